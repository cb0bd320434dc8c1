//! What the documents name exists: files behind links, make targets behind commands.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::tree::{Breach, File, demand, files};

#[test]
fn every_link_inside_the_repository_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    demand(&dead_links(&files(), |path| root.join(path).exists()), "a reader follows links");
}

#[test]
fn every_make_target_that_is_named_exists() {
    demand(&missing_targets(&files()), "a command in a document is a promise");
}

#[test]
fn every_make_target_explains_itself() {
    demand(
        &silent_targets(&files()),
        "`make help` is where people look first: add `## what it does` to the rule",
    );
}

fn documents(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.has_extension("md"))
}

/// Links `[text](target)` to files, checked with and without an anchor; addresses elsewhere are not followed.
fn dead_links(files: &[File], exists: impl Fn(&Path) -> bool) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in documents(files) {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        for (line, target) in links(&file.text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let Some(found) = normal(&folder.join(path)).filter(|_| !path.starts_with('/')) else {
                breaches.push(Breach::at(file, line, format!("`{target}` leads out of the repository")));
                continue;
            };
            let found = if path.is_empty() { PathBuf::from(&file.path) } else { found };
            if !exists(&found) {
                breaches.push(Breach::at(file, line, format!("`{target}` leads nowhere")));
            } else if !anchor.is_empty() && !anchors(files, &found).is_none_or(|all| all.contains(anchor)) {
                breaches.push(Breach::at(file, line, format!("`{target}`: no heading makes this anchor")));
            }
        }
    }
    breaches
}

/// The targets of all links outside of code, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let mut rest = line;
        while let Some(at) = rest.find("](").filter(|_| !fenced) {
            let in_code = line[..line.len() - rest.len() + at].matches('`').count() % 2 == 1;
            rest = &rest[at + 2..];
            if let Some(end) = rest.find(')').filter(|_| !in_code) {
                found.push((index + 1, rest[..end].split(' ').next().unwrap_or_default()));
            }
        }
    }
    found
}

/// The path without `.` and `..`; none if it leaves the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir if !out.pop() => return None,
            Component::ParentDir => {}
            Component::Normal(name) => out.push(name),
            _ => {}
        }
    }
    Some(out)
}

/// The anchors that a Markdown file's headings make, in GitHub's way; none for other files.
fn anchors(files: &[File], path: &Path) -> Option<BTreeSet<String>> {
    let file = documents(files).find(|file| Path::new(&file.path) == path)?;
    let headings = file.text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>()
    };
    Some(headings.map(slug).collect())
}

/// `make name` in code spans and fenced blocks.
fn missing_targets(files: &[File]) -> Vec<Breach> {
    let known: BTreeSet<&str> = targets(files).into_iter().map(|(_, name, _)| name).collect();
    let mut breaches = Vec::new();
    for file in documents(files) {
        let mut fenced = false;
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            let spans = line.split('`').skip(1).step_by(2);
            let commands: Vec<&str> =
                if fenced { vec![line.trim_start().trim_start_matches("$ ")] } else { spans.collect() };
            for command in commands {
                let Some(name) =
                    command.strip_prefix("make ").and_then(|rest| rest.split_whitespace().next())
                else {
                    continue;
                };
                if !known.contains(name) {
                    breaches.push(Breach::at(file, index + 1, format!("`make {name}` does not exist")));
                }
            }
        }
    }
    breaches
}

fn silent_targets(files: &[File]) -> Vec<Breach> {
    let Some(makefile) = files.iter().find(|file| file.path == "Makefile") else { return Vec::new() };
    let silent = targets(files).into_iter().filter(|(_, _, explained)| !explained);
    silent.map(|(line, name, _)| Breach::at(makefile, line, format!("`{name}` has no explanation"))).collect()
}

/// The Makefile's targets: line, name, and whether the rule explains itself.
fn targets(files: &[File]) -> Vec<(usize, &str, bool)> {
    let Some(makefile) = files.iter().find(|file| file.path == "Makefile") else { return Vec::new() };
    let rules = makefile.text.lines().enumerate().filter_map(|(index, line)| {
        let (name, rest) = line.split_once(':')?;
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        (plain && !rest.starts_with('=')).then(|| (index + 1, name, rest.contains("## ")))
    });
    rules.collect()
}

#[cfg(test)]
mod proofs {
    use super::*;

    #[test]
    fn a_dead_link_is_found() {
        let text = "[a](good.md) [b](bad.md) [c](../../out.md) [d](https://example.org) `[e](code.md)`\n[f](#here) [g](#gone)\n# Here\n";
        let files = [File::made_up("docs/a.md", text)];
        let exists = |path: &Path| path == Path::new("docs/good.md") || path == Path::new("docs/a.md");
        let found: Vec<_> = dead_links(&files, exists).into_iter().map(|breach| breach.says).collect();
        assert_eq!(
            found,
            [
                "`bad.md` leads nowhere",
                "`../../out.md` leads out of the repository",
                "`#gone`: no heading makes this anchor"
            ]
        );
    }

    #[test]
    fn a_target_that_does_not_exist_is_found() {
        let files = [
            File::made_up("Makefile", "X := 1\n.PHONY: test\ntest: ## all\n\t@true\nquiet:\n"),
            File::made_up(
                "README.md",
                "`make test`, `make tea`\n```sh\nmake coffee\n$ make test\n```\nmake sense\n",
            ),
        ];
        let found: Vec<_> =
            missing_targets(&files).into_iter().map(|breach| (breach.line, breach.says)).collect();
        assert_eq!(
            found,
            [(1, "`make tea` does not exist".to_owned()), (3, "`make coffee` does not exist".to_owned())]
        );
        assert_eq!(silent_targets(&files).len(), 1);
    }
}
