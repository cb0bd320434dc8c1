//! What a restart restores, compared with the fold of the whole log from its first entry (I12), and every promise that was
//! ever made compared with what is there (I1).

use crate::{disk::Disk, process::Node, truth::Truth};
use duet::core::State;
use std::fmt::Debug;

/// Everything in the state is a function of the log.
pub(crate) fn state(found: &State, truth: &Truth) -> Result<(), String> {
    fold(found, &truth.state)?;
    for (key, room) in &truth.rooms {
        let conversation = found.conversations.get(key).ok_or(format!("I1: {key:?} is gone"))?;
        same("length of a conversation", &conversation.head.seq, &(room.events.len() as u64))?;
        for (user, marks) in &room.marks {
            let member = conversation.members.get(user).ok_or(format!("{user} is no member of {key:?}"))?;
            same("watermarks", &(member.received, member.read), marks)?;
        }
        for (user, member) in &conversation.members {
            let unread = conversation.messages_after(member.read);
            same(&format!("unread messages of {user} in {key:?}"), &unread, &room.unread(member.read))?;
        }
    }
    Ok(())
}

/// At the end of a run, on a node of a pair.
pub(crate) fn state_at_the_end(node: &Node, truth: &Truth) -> Result<(), String> {
    let Some(core) = &node.core else { return Ok(()) };
    state(core.state(), truth)?;
    events(&node.disk, truth)
}

/// Two folds of the same log.
pub(crate) fn fold(found: &State, wanted: &State) -> Result<(), String> {
    same("tip", &found.tip, &wanted.tip)?;
    same("tenants", &found.tenants, &wanted.tenants)?;
    same("users", &found.users, &wanted.users)?;
    same("sessions", &found.sessions, &wanted.sessions)?;
    same("conversations", &found.conversations, &wanted.conversations)?;
    same("table of message ids", &found.dedup, &wanted.dedup)?;
    same("memberships", &found.memberships, &wanted.memberships)?;
    same("open support conversations", &found.support, &wanted.support)?;
    same("direct conversations", &found.directs, &wanted.directs)?;
    same("sessions by user", &found.user_sessions, &wanted.user_sessions)?;
    same("first entries of the reigns", &found.reigns, &wanted.reigns)
}

/// Every durable event is where history pages find it.
pub(crate) fn events(disk: &Disk, truth: &Truth) -> Result<(), String> {
    for (key, room) in &truth.rooms {
        for event in &room.events {
            let wanted = duet_protocol::codec::encode(event);
            if disk.event(*key, event.seq).map(|bytes| &bytes[..]) != Some(&wanted[..]) {
                return Err(format!("I4: event {} of {key:?} is missing or another one", event.seq));
            }
        }
    }
    Ok(())
}

fn same<T: PartialEq + Debug>(what: &str, found: &T, wanted: &T) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("I12: {what}: restored {}, the log says {}", short(found), short(wanted)))
}

fn short(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    text.chars().take(600).collect()
}
