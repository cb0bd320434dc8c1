//! Session and outbox in a file, rewritten whole at every change: so that a process that is killed has left what it knew.

use duet_client::{
    Storage,
    machine::{OutboxEntry, Persist, Purpose, Saved, SavedSession},
    protocol::{ClientMessageId, Code, ConversationId, command::Durability, event::Content},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// One client's file.
pub(crate) struct File {
    path: PathBuf,
    now: Mutex<Saved>,
}

impl File {
    /// What was kept there before; nothing when there is no such file.
    pub(crate) fn open(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let kept: Value = serde_json::from_str(&text).unwrap_or_default();
        let outbox = kept["outbox"].as_array().into_iter().flatten().filter_map(entry).collect();
        Self { path, now: Mutex::new(Saved { session: session(&kept["session"]), outbox }) }
    }

    fn write(&self, saved: &Saved) {
        let session = saved.session.as_ref().map(
            |kept| json!({ "resume": hex(&kept.resume), "epoch": kept.epoch, "peers": kept.peers.clone() }),
        );
        let outbox: Vec<Value> = saved.outbox.iter().map(line).collect();
        let text = json!({ "session": session, "outbox": outbox }).to_string();
        // Renamed into place: a kill leaves the old file or the new one, never half of one.
        let beside = self.path.with_extension("new");
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &self.path));
        if let Err(error) = written {
            crate::tell(&json!({ "error": format!("{}: {error}", self.path.display()) }));
        }
    }
}

impl Storage for File {
    fn load(&self) -> Saved {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn save(&self, change: Persist) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            Persist::Put(entry) => {
                now.outbox.retain(|kept| kept.id != entry.id);
                now.outbox.push(entry);
            }
            Persist::Remove(id) => now.outbox.retain(|kept| kept.id != id),
            Persist::Session(session) => now.session = session,
        }
        self.write(&now);
    }
}

fn session(kept: &Value) -> Option<SavedSession> {
    let peers = kept["peers"].as_array()?.iter().filter_map(|peer| peer.as_str().map(str::to_owned));
    Some(SavedSession {
        resume: bytes(&kept["resume"])?,
        epoch: kept["epoch"].as_u64()?,
        peers: peers.collect(),
    })
}

fn line(entry: &OutboxEntry) -> Value {
    json!({
        "id": entry.id.to_string(), "conversation": entry.conversation.to_string(),
        "format": entry.content.format, "body": hex(&entry.content.body), "replyTo": entry.reply_to,
        "mirrored": entry.durability == Durability::Mirrored, "order": entry.order,
        "purpose": hex(&entry.purpose.encode()), "queuedAt": entry.queued_at_ms, "wakes": entry.wakes, "failed": entry.failed.map(|code| code.0),
    })
}

fn entry(kept: &Value) -> Option<OutboxEntry> {
    let number = |name: &str| kept[name].as_u64();
    let small = |name: &str| number(name).and_then(|number| u16::try_from(number).ok());
    Some(OutboxEntry {
        id: ClientMessageId::parse(kept["id"].as_str()?).ok()?,
        conversation: ConversationId::parse(kept["conversation"].as_str()?).ok()?,
        content: Content { format: small("format")?, body: bytes(&kept["body"])? },
        reply_to: number("replyTo"),
        purpose: bytes(&kept["purpose"]).and_then(|kept| Purpose::decode(&kept)).unwrap_or_default(),
        durability: if kept["mirrored"] == true { Durability::Mirrored } else { Durability::Accepted },
        order: number("order")?,
        queued_at_ms: number("queuedAt")?,
        wakes: kept["wakes"] == true,
        failed: small("failed").map(Code),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &Value) -> Option<Vec<u8>> {
    let digits = text.as_str()?.as_bytes();
    digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()))
        .collect()
}
