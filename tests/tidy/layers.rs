//! Who may name whom. The layers are folders under `src/`; `server` introduces them to each other, nobody else does.
//! The compiler keeps I/O crates out of the core (`--no-default-features`); what it cannot see is checked here.

use crate::code::{Named, paths};
use crate::tree::{Breach, File, demand, files};

/// The four layers around the core. None of them sees another, and none sees how the core decides.
const AROUND_THE_CORE: &[&str] = &["transport", "store", "peer", "admin"];

/// What of the core the layers around it may name: its data types, and its root, which re-exports them.
const CORE_LOGIC: &[&str] = &[
    "state",
    "decide",
    "apply",
    "session",
    "conversation",
    "presence",
    "fanout",
    "routing",
    "replication",
    "limits",
    "permission",
];

/// What would let time, chance, a socket, a disk, a task or an iteration order into the core.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "the core has no tasks"),
    ("quinn", "the core has no sockets"),
    ("h3", "the core has no sockets"),
    ("rustls", "the core has no sockets"),
    ("axum", "the core has no sockets"),
    ("hyper", "the core has no sockets"),
    ("sled", "the core has no disk"),
    ("rand", "entropy is an argument"),
    ("getrandom", "entropy is an argument"),
    ("metrics", "the core reports by effects"),
    ("std::time::Instant", "time is an argument"),
    ("std::time::SystemTime", "time is an argument"),
    ("std::thread", "the core has no tasks"),
    ("std::fs", "the core has no disk"),
    ("std::env", "configuration is an argument"),
    ("std::process", "the core has no processes"),
    ("std::collections::HashMap", "iteration order would leak into the output: BTreeMap"),
    ("std::collections::HashSet", "iteration order would leak into the output: BTreeSet"),
    ("std::collections::hash_map", "iteration order would leak into the output"),
    ("std::hash::RandomState", "entropy is an argument"),
    ("std::sync::Mutex", "one owner, many senders"),
    ("std::sync::RwLock", "one owner, many senders"),
];

/// What starts a task, a thread or a queue. All of them are in one folder, so that each can be counted and bounded.
const STARTS_SOMETHING: &[&str] = &[
    "tokio::spawn",
    "tokio::task::spawn",
    "tokio::task::spawn_blocking",
    "task::spawn",
    "std::thread::spawn",
    "thread::spawn",
    "std::thread::Builder",
    "thread::Builder",
    "tokio::sync::mpsc::channel",
    "mpsc::channel",
    "mpsc::unbounded_channel",
    "tokio::sync::mpsc::unbounded_channel",
    "std::sync::mpsc::channel",
    "std::sync::mpsc::sync_channel",
    "mpsc::sync_channel",
];

#[test]
fn the_layers_around_the_core_never_meet() {
    demand(
        &meetings(&files()),
        "data flows one way through the driver; a layer that knows another cannot be replaced or tested alone",
    );
}

#[test]
fn the_core_is_pure() {
    demand(
        &impurities(&files()),
        "same inputs, same run: that is what makes the simulator, the standby and a restart agree",
    );
}

#[test]
fn a_library_with_an_owner_is_named_in_its_own_place_only() {
    demand(
        &foreign_hands(&files()),
        "a format or a store that is touched from two places cannot be replaced",
    );
}

#[test]
fn only_the_server_starts_tasks_and_makes_channels() {
    demand(
        &starts(&files()),
        "every queue has a bound, a name and a policy, and every task somebody who waits for it",
    );
}

#[test]
fn the_contract_depends_on_nobody() {
    demand(&upward(&files()), "dependencies flow towards the protocol, never out of it");
}

fn rust(files: &[File], folder: &str) -> Vec<(usize, Vec<Named>)> {
    let under =
        files.iter().enumerate().filter(|(_, file)| file.has_extension("rs") && file.is_under(folder));
    under.map(|(index, file)| (index, paths(&file.path, &file.text))).collect()
}

fn meetings(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for layer in AROUND_THE_CORE {
        for (index, named) in rust(files, &format!("src/{layer}")) {
            for path in &named {
                let other = AROUND_THE_CORE
                    .iter()
                    .chain(&["server"])
                    .find(|other| path.starts_with(&format!("crate::{other}")));
                if let Some(other) = other.filter(|other| other != &layer) {
                    breaches.push(Breach::at(
                        &files[index],
                        path.line,
                        format!("{layer} names {other} ({})", path.text()),
                    ));
                }
                let logic =
                    CORE_LOGIC.iter().find(|logic| path.starts_with(&format!("crate::core::{logic}")));
                if let Some(logic) = logic {
                    breaches.push(Breach::at(
                        &files[index],
                        path.line,
                        format!("{layer} names the core's logic (core::{logic})"),
                    ));
                }
            }
        }
    }
    breaches
}

fn impurities(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, named) in rust(files, "src/core") {
        for path in &named {
            if let Some((_, why)) = IMPURE.iter().find(|(impure, _)| path.starts_with(impure)) {
                breaches.push(Breach::at(&files[index], path.line, format!("{}: {why}", path.text())));
            }
            let layer = AROUND_THE_CORE.iter().chain(&["server", "config", "arbiter"]);
            if let Some(layer) = layer.clone().find(|layer| path.starts_with(&format!("crate::{layer}"))) {
                breaches.push(Breach::at(
                    &files[index],
                    path.line,
                    format!("the core names {layer}, which lies around it"),
                ));
            }
        }
    }
    breaches
}

/// `sled` belongs to src/store; `bincode` to one file of the protocol and one of the core; `h3` and `quinn` to the
/// transports and links, with the server that configures them.
fn foreign_hands(files: &[File]) -> Vec<Breach> {
    let owners: &[(&str, &[&str])] = &[
        ("sled", &["src/store/"]),
        ("bincode", &["crates/protocol/src/codec.rs", "src/core/codec.rs"]),
        ("h3", &["src/transport/"]),
        ("jsonwebtoken", &["src/server/", "src/admin/", "src/main.rs"]),
    ];
    let mut breaches = Vec::new();
    for (index, named) in rust(files, "src").into_iter().chain(rust(files, "crates")) {
        let file = &files[index];
        for path in &named {
            for (library, places) in owners {
                if path.starts_with(library) && !places.iter().any(|place| file.path.starts_with(place)) {
                    breaches.push(Breach::at(
                        file,
                        path.line,
                        format!("{library} is named in {} only", places.join(" and ")),
                    ));
                }
            }
        }
    }
    breaches
}

fn starts(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, named) in rust(files, "src") {
        let file = &files[index];
        if file.is_under("src/server") {
            continue;
        }
        for path in named.iter().filter(|path| STARTS_SOMETHING.iter().any(|starter| path.text() == *starter))
        {
            breaches.push(Breach::at(file, path.line, format!("{} outside src/server", path.text())));
        }
    }
    breaches
}

fn upward(files: &[File]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (index, named) in rust(files, "crates/protocol") {
        for path in named.iter().filter(|path| {
            path.starts_with("duet") || path.starts_with("duet_client") || path.starts_with("tokio")
        }) {
            breaches.push(Breach::at(
                &files[index],
                path.line,
                format!("the protocol names {}", path.text()),
            ));
        }
    }
    for (index, named) in rust(files, "crates/client") {
        for path in named.iter().filter(|path| path.starts_with("duet")) {
            breaches.push(Breach::at(&files[index], path.line, "the client names the server".to_owned()));
        }
    }
    breaches
}

#[cfg(test)]
mod proofs {
    use super::*;

    fn one(path: &str, text: &str) -> [File; 1] {
        [File::made_up(path, text)]
    }

    #[test]
    fn a_layer_that_names_another_is_found() {
        assert_eq!(
            meetings(&one("src/transport/quic.rs", "use crate::{core::Input, store::Tree};")).len(),
            1
        );
        assert_eq!(meetings(&one("src/store/mod.rs", "fn f() { super::server::g() }")).len(), 1);
        assert_eq!(meetings(&one("src/admin/api.rs", "use crate::core::state::State;")).len(), 1);
        assert_eq!(meetings(&one("src/server/mod.rs", "use crate::{transport, store};")), []);
        assert_eq!(
            meetings(&one("src/store/mod.rs", "use crate::core::record::Record; use crate::store::tree;")),
            []
        );
    }

    #[test]
    fn an_impure_core_is_found() {
        for text in [
            "use std::{time::Instant};",
            "fn f() { tokio::time::sleep(d) }",
            "use std::collections::{BTreeMap, HashMap};",
        ] {
            assert_eq!(impurities(&one("src/core/clock.rs", text)).len(), 1, "{text}");
        }
        assert_eq!(impurities(&one("src/core/clock.rs", "use std::time::Duration; // no Instant here")), []);
        assert_eq!(impurities(&one("src/core/clock.rs", "use crate::config::Config;")).len(), 1);
    }

    #[test]
    fn a_library_in_foreign_hands_is_found() {
        assert_eq!(foreign_hands(&one("src/server/driver.rs", "fn f(db: &sled::Db) {}")).len(), 1);
        assert_eq!(foreign_hands(&one("crates/protocol/src/frame.rs", "use bincode::Encode;")).len(), 1);
        assert_eq!(foreign_hands(&one("src/store/log.rs", "use sled::Tree;")), []);
    }

    #[test]
    fn a_task_started_outside_the_server_is_found() {
        let text = "use tokio::sync::mpsc; fn f() { tokio::spawn(g); mpsc::channel(1); }";
        assert_eq!(starts(&one("src/transport/quic.rs", text)).len(), 2);
        assert_eq!(starts(&one("src/server/driver.rs", text)), []);
        assert_eq!(
            starts(&one("src/store/log.rs", "#[cfg(test)]\nmod tests { fn f() { std::thread::spawn(g); } }")),
            []
        );
    }

    #[test]
    fn a_contract_that_looks_up_is_found() {
        assert_eq!(upward(&one("crates/protocol/src/frame.rs", "use duet::core::Input;")).len(), 1);
        assert_eq!(upward(&one("crates/client/src/machine.rs", "use duet_protocol::Frame;")), []);
    }
}
