//! What stands nowhere: paths of somebody's machine, hosts of package registries, numbers of a tracker, notes to self.
//! The forbidden words are put together here from halves, so that this file obeys its own rule.

use crate::tree::{Breach, File, demand, files};

#[test]
fn no_file_knows_somebodys_machine() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("C:", "\\"),
    ];
    demand(&find(&files(), &words, |_| true), "a path of one machine is wrong on every other");
}

#[test]
fn no_file_names_a_package_registry() {
    let words = [
        concat!("registry.npm", "js"),
        concat!("registry.yarn", "pkg"),
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("py", "pi.org"),
        concat!("files.python", "hosted"),
    ];
    demand(
        &find(&files(), &words, |_| true),
        "where packages come from is the builder's choice, made in their own settings",
    );
}

#[test]
fn no_code_carries_notes_to_self() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
    ];
    demand(&find(&files(), &words, is_code), "do it, or write down in the documents why not");
}

#[test]
fn no_file_points_into_a_tracker() {
    demand(&tracker_numbers(&files()), "the tree must explain itself to who has only the tree");
}

fn is_code(file: &File) -> bool {
    ["rs", "ts", "js", "py", "sh", "css", "html"].iter().any(|kind| file.has_extension(kind))
        || file.is_under("tests/tools")
}

fn find(files: &[File], words: &[&str], concerned: impl Fn(&File) -> bool) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| concerned(file)) {
        for (index, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| stands_alone(line, word)) {
                breaches.push(Breach::at(file, index + 1, format!("contains `{word}`")));
            }
        }
    }
    breaches
}

/// Whether the word stands in the line, not inside a longer word.
fn stands_alone(line: &str, word: &str) -> bool {
    let wordy = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(wordy) && word.starts_with(wordy);
        let after = line[at + word.len()..].chars().next().is_some_and(wordy) && word.ends_with(wordy);
        !before && !after
    })
}

/// `issue` followed by `#` and a number. Numbers in other projects' trackers (`owner/name #7`) are sources, and allowed.
fn tracker_numbers(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for file in files.iter().filter(|file| !file.path.ends_with("-lock.json")) {
        for (index, line) in file.text.lines().enumerate() {
            let lower = line.to_lowercase();
            let found = lower.match_indices("issue").any(|(at, word)| {
                let number = lower[at + word.len()..].trim_start().strip_prefix('#');
                number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            });
            if found {
                breaches.push(Breach::at(file, index + 1, "points at a number in a tracker"));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod proofs {
    use super::*;

    #[test]
    fn a_note_to_self_is_found_and_a_longer_word_is_not() {
        let word = concat!("XX", "X");
        let files = [File::made_up("src/a.rs", &format!("// {word}: later\n// {word}L\n"))];
        let found: Vec<_> = find(&files, &[word], is_code).into_iter().map(|breach| breach.line).collect();
        assert_eq!(found, [1]);
    }

    #[test]
    fn a_machine_path_is_found_in_any_file() {
        let files = [File::made_up("docs/a.md", concat!("see /ro", "ot/x"))];
        assert_eq!(find(&files, &[concat!("/ro", "ot/")], |_| true).len(), 1);
    }

    #[test]
    fn a_tracker_number_is_found_and_plain_english_is_not() {
        let text =
            format!("fixes {} #12\nthe server may issue 3 tokens\nthe issue of 7\nissued 4\n", "Issue");
        let found: Vec<_> =
            tracker_numbers(&[File::made_up("docs/a.md", &text)]).into_iter().map(|b| b.line).collect();
        assert_eq!(found, [1]);
    }
}
