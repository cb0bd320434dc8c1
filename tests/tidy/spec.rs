//! The SDK's specification and the conformance suite say the same: every clause is held by a law, every law holds a clause, and
//! the document names the laws by their names.

use crate::tree::{Breach, File, demand, files};
use std::collections::{BTreeMap, BTreeSet};

const SPEC: &str = "docs/sdk-spec.md";
const LAWS: &str = "client-demo/conformance/scenarios";

#[test]
fn the_sdk_specification_and_the_conformance_suite_agree() {
    demand(
        &disagreements(&files()),
        "a clause that nothing holds is a wish, and a law of no clause holds nothing",
    );
}

/// Laws by clause.
type Held = BTreeMap<String, BTreeSet<String>>;

fn disagreements(files: &[File]) -> Vec<Breach> {
    let Some(spec) = files.iter().find(|file| file.path == SPEC) else {
        return vec![Breach { path: SPEC.to_owned(), line: 0, says: "is missing".to_owned() }];
    };
    let mut breaches = Vec::new();
    let (mut said, mut done) = (Held::new(), Held::new());
    for (line, clause, laws) in clauses(&spec.text) {
        if laws.is_empty() {
            breaches.push(Breach::at(spec, line, format!("{clause} names no law")));
        }
        if said.insert(clause.clone(), laws).is_some() {
            breaches.push(Breach::at(spec, line, format!("{clause} stands here twice")));
        }
    }
    for file in files.iter().filter(|file| file.is_under(LAWS) && file.has_extension("js")) {
        for (line, law, clauses) in laws(&file.text) {
            if clauses.is_empty() {
                breaches.push(Breach::at(file, line, format!("“{law}” names no clause")));
            }
            for clause in clauses {
                if !said.get(&clause).is_some_and(|laws| laws.contains(&law)) {
                    breaches.push(Breach::at(
                        file,
                        line,
                        format!("{clause} in {SPEC} does not name “{law}”"),
                    ));
                }
                done.entry(clause).or_default().insert(law.clone());
            }
        }
    }
    for (clause, laws) in &said {
        for law in laws.iter().filter(|law| !done.get(clause).is_some_and(|done| done.contains(*law))) {
            breaches.push(Breach::at(spec, 0, format!("{clause}: no law “{law}” names this clause")));
        }
    }
    breaches
}

/// `- **C-WORD-1** … → `law`, `law``: line, clause, laws. A clause ends with its list item.
fn clauses(text: &str) -> Vec<(usize, String, BTreeSet<String>)> {
    let mut found: Vec<(usize, String, String)> = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        if let Some((clause, rest)) = line.strip_prefix("- **C-").and_then(|rest| rest.split_once("**")) {
            found.push((index + 1, format!("C-{clause}"), rest.to_owned()));
            inside = true;
        } else if line.starts_with("  ") && inside {
            if let Some((.., said)) = found.last_mut() {
                said.push(' ');
                said.push_str(line.trim());
            }
        } else {
            inside = false;
        }
    }
    let named = |said: &str| {
        let list = said.split_once('→').map_or("", |(_, list)| list);
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    found.into_iter().map(|(line, clause, said)| (line, clause, named(&said))).collect()
}

/// `law('name', ['C-WORD-1', …], …)`: line, name, clauses; however it is broken into lines.
fn laws(text: &str) -> Vec<(usize, String, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("law(") {
        let line = text[..at].lines().count();
        let mut words = text[at..].split('\'');
        // Nothing but spaces between the parenthesis and the name: otherwise this only speaks of laws.
        if words.next().is_none_or(|before| before.trim_end() != "law(") {
            continue;
        }
        let Some(name) = words.next() else { continue };
        let list = text[at..].split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        let clauses = list.map_or("", |(list, _)| list).split('\'').skip(1).step_by(2);
        found.push((line, name.to_owned(), clauses.map(str::to_owned).collect()));
    }
    found
}

#[cfg(test)]
mod proofs {
    use super::*;

    const AGREED: &str =
        "law(\n    'one',\n    ['C-A-1', 'C-A-2'],\n    {},\n  ),\n law('two', ['C-A-1'], {}, x)";

    fn found(spec: &str, laws: &str) -> Vec<String> {
        let files = [File::made_up(SPEC, spec), File::made_up(&format!("{LAWS}/a.js"), laws)];
        disagreements(&files).into_iter().map(|breach| breach.says).collect()
    }

    #[test]
    fn a_clause_without_a_law_and_a_law_without_a_clause_are_found() {
        let spec =
            "- **C-A-1** Is so.\n  → `one`,\n  `two`\n- **C-A-2** Too. → `one`\n\nWords about `one`.\n";
        assert_eq!(found(spec, AGREED), Vec::<String>::new());
        assert_eq!(found(&format!("{spec}- **C-A-3** Else.\n"), AGREED), ["C-A-3 names no law"]);
        assert_eq!(found(&format!("{spec}- **C-A-2** Again. → `one`\n"), AGREED).len(), 1);
        assert_eq!(found(spec, &format!("{AGREED} law('three', [], {{}})")), ["“three” names no clause"]);
        assert_eq!(found(spec, "law('one', ['C-A-1', 'C-A-2'])").len(), 1, "two is named and does not exist");
        assert_eq!(found(spec, &format!("{AGREED} law('three', ['C-A-1'])")).len(), 1);
        assert_eq!(disagreements(&[]).len(), 1);
    }
}
