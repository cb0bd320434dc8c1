//! Heads and sizes. A file says what it is in its first line, and stays small enough to be read in one sitting.

use crate::tree::{Breach, File, demand, files};

/// Lines that a file may have before it must be named below, and before nothing helps any more.
const LINES_MAX: usize = 400;
const LINES_NEVER: usize = 600;

/// Files above [`LINES_MAX`], each with its reason. Meant to stay empty.
const LONGER_FOR_A_REASON: &[(&str, &str)] = &[];

#[test]
fn every_source_file_opens_by_saying_what_it_is() {
    demand(&heads(&files()), "who opens a file at random should learn its duty before its code");
}

#[test]
fn no_file_outgrows_one_sitting() {
    demand(
        &sizes(&files(), LONGER_FOR_A_REASON),
        "what rots is the place where everything is composed: split it by duty",
    );
}

#[test]
fn every_folder_of_modules_is_reached_from_one_style_of_file() {
    demand(
        &module_style(&files()),
        "`name/mod.rs` and `name.rs` beside `name/` mixed make a module hard to find",
    );
}

#[test]
fn the_contract_and_its_twin_share_their_file_names() {
    demand(&missing_twins(&files()), "who knows one language's side must find the other's without searching");
}

fn heads(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files {
        let wanted = match file.path.rsplit('.').next() {
            Some("rs") => "//!",
            Some("ts") => "/**",
            Some("py") => "\"\"\"",
            _ => continue,
        };
        let first =
            file.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!/")).unwrap_or("");
        if !first.starts_with(wanted) {
            breaches.push(Breach::at(
                file,
                1,
                format!("the first line must begin with `{wanted}` and say what this is"),
            ));
        }
    }
    breaches
}

fn sizes(files: &[File], allowed: &[(&str, &str)]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| ["rs", "ts", "py"].iter().any(|kind| file.has_extension(kind))) {
        let lines = file.text.lines().count();
        let excused = allowed.iter().any(|(path, _)| *path == file.path);
        if lines > LINES_NEVER {
            breaches.push(Breach::at(file, 0, format!("{lines} lines; {LINES_NEVER} are never allowed")));
        } else if lines > LINES_MAX && !excused {
            breaches.push(Breach::at(
                file,
                0,
                format!("{lines} lines; more than {LINES_MAX} need a reason in this rule"),
            ));
        }
    }
    for (path, _) in allowed {
        let still = files.iter().any(|file| file.path == *path && file.text.lines().count() > LINES_MAX);
        if !still {
            breaches.push(Breach {
                path: (*path).to_owned(),
                line: 0,
                says: "no longer needs its exception".to_owned(),
            });
        }
    }
    breaches
}

fn module_style(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| file.has_extension("rs") && file.path.contains("src/")) {
        let folder = format!("{}/mod.rs", file.path.trim_end_matches(".rs"));
        let inside = file.path.trim_end_matches(".rs");
        if files.iter().any(|other| other.path == folder) {
            breaches.push(Breach::at(file, 0, format!("both this file and {folder} exist")));
        } else if !inside.ends_with("/lib")
            && files.iter().any(|other| other.has_extension("rs") && other.is_under(inside))
        {
            breaches.push(Breach::at(
                file,
                0,
                format!("belongs at {folder}, beside the modules that it introduces"),
            ));
        }
    }
    breaches
}

/// `crates/protocol/src/x.rs` and `client-demo/sdk/src/protocol/x.ts`, apart from the roots and tests.
fn missing_twins(files: &[File]) -> Vec<Breach> {
    let (ours, theirs) = ("crates/protocol/src/", "client-demo/sdk/src/protocol/");
    let mut breaches = Vec::new();
    for file in files {
        let twin = if let Some(name) = file.path.strip_prefix(ours).and_then(|rest| rest.strip_suffix(".rs"))
        {
            format!("{theirs}{name}.ts")
        } else if let Some(name) = file.path.strip_prefix(theirs).and_then(|rest| rest.strip_suffix(".ts")) {
            format!("{ours}{name}.rs")
        } else {
            continue;
        };
        let alone = ["lib.rs", "index.ts"].iter().any(|root| file.path.ends_with(root))
            || file.path.ends_with(".test.ts");
        if !alone && !files.iter().any(|other| other.path == twin) {
            breaches.push(Breach::at(file, 0, format!("has no twin {twin}")));
        }
    }
    breaches
}

#[cfg(test)]
mod proofs {
    use super::*;

    #[test]
    fn a_missing_head_is_found() {
        let files = [
            File::made_up("src/a.rs", "//! What it is.\n"),
            File::made_up("src/b.rs", "use std::fmt;\n"),
            File::made_up("client-demo/sdk/src/c.ts", "// hello\n"),
            File::made_up("tests/e2e/d.py", "#!/usr/bin/env python3\n\"\"\"What it is.\"\"\"\n"),
        ];
        let found: Vec<_> = heads(&files).into_iter().map(|breach| breach.path).collect();
        assert_eq!(found, ["src/b.rs", "client-demo/sdk/src/c.ts"]);
    }

    #[test]
    fn a_long_file_is_found_and_an_idle_exception_too() {
        let files = [
            File::made_up("src/short.rs", &"\n".repeat(LINES_MAX)),
            File::made_up("src/long.rs", &"\n".repeat(LINES_MAX + 1)),
            File::made_up("src/huge.rs", &"\n".repeat(LINES_NEVER + 1)),
        ];
        let allowed = [("src/long.rs", "a table"), ("src/huge.rs", "no"), ("src/short.rs", "was long")];
        let found: Vec<_> = sizes(&files, &allowed).into_iter().map(|breach| breach.path).collect();
        assert_eq!(found, ["src/huge.rs", "src/short.rs"]);
        assert_eq!(sizes(&files[..2], &[]).len(), 1);
    }

    #[test]
    fn a_module_beside_its_folder_is_found() {
        let files = [File::made_up("src/core.rs", ""), File::made_up("src/core/state.rs", "")];
        assert_eq!(module_style(&files).len(), 1);
        let good = [
            File::made_up("src/core/mod.rs", ""),
            File::made_up("src/core/state.rs", ""),
            File::made_up("src/lib.rs", ""),
        ];
        assert_eq!(module_style(&good), []);
    }

    #[test]
    fn a_missing_twin_is_found() {
        let files = [
            File::made_up("crates/protocol/src/lib.rs", ""),
            File::made_up("crates/protocol/src/frame.rs", ""),
            File::made_up("crates/protocol/src/codec.rs", ""),
            File::made_up("client-demo/sdk/src/protocol/frame.ts", ""),
            File::made_up("client-demo/sdk/src/protocol/frame.test.ts", ""),
            File::made_up("client-demo/sdk/src/protocol/bytes.ts", ""),
        ];
        let found: Vec<_> = missing_twins(&files).into_iter().map(|breach| breach.path).collect();
        assert_eq!(found, ["crates/protocol/src/codec.rs", "client-demo/sdk/src/protocol/bytes.ts"]);
    }
}
