//! The repository as a list of text files, and how a rule reports.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// One text file: its path from the repository's root, with `/`, and all of its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// A made-up file, for proving that a rule can fail.
    pub(crate) fn made_up(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    pub(crate) fn is_under(&self, folder: &str) -> bool {
        self.path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// One place where a rule is broken. Line 0 means the file as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) says: String,
}

impl Breach {
    pub(crate) fn at(file: &File, line: usize, says: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, says: says.into() }
    }
}

/// Fails the test with all breaches, one a line, in the form that editors jump to, followed by the reason for the rule.
pub(crate) fn demand(breaches: &[Breach], reason: &str) {
    let mut report = String::new();
    for breach in breaches {
        let _ = writeln!(report, "  {}:{}: {}", breach.path, breach.line, breach.says);
    }
    assert!(breaches.is_empty(), "{} breach(es):\n{report}Why: {reason}", breaches.len());
}

/// Every text file that belongs to the repository, sorted by path. What is built, installed or written at run time is
/// left out, and so is what is no UTF-8.
pub(crate) fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "the tree under {} looks empty", root.display());
    found
}

/// Folders that hold no source, by name: wherever they lie, except `certs`, of which only the explanation is source.
const SKIPPED: &[&str] = &[
    "target",
    "node_modules",
    "dist",
    ".git",
    "duet-data",
    "corpus",
    "artifacts",
    "test-results",
    "coverage",
];

fn collect(root: &Path, folder: &Path, found: &mut Vec<File>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(root, &path, found);
        } else if kind.is_file() {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if relative.starts_with("certs/") && relative != "certs/README.md" {
                continue;
            }
            found.push(File { path: relative, text });
        }
    }
}
