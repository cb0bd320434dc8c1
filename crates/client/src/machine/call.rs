//! Calls: requests that have one answer. Their numbers, what may be asked, and what comes back.

use super::event::LogEntry;
use duet_protocol::{
    Command, ConversationId, DisplayName, UserId,
    call::{self, Outcome, Serve},
    command::{
        AddMembers, Assign, CreateConversation, HistoryRequest, Page, RemoveMember, SetAvailability,
        SetStatus, WatchInbox, WatchPresence,
    },
    delivery::{Availability, ConversationKind, Status},
    ids::Label,
};

/// The number of a call; its answer names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// A request with one answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// What the user chooses to be, for all their devices. Said again in every new session.
    SetAvailability(Availability),
    /// Replaces the list of watched users, 200 at most. Said again after every reconnect.
    WatchPresence(Vec<UserId>),
    /// Starts or ends the inbox. Said again after every reconnect.
    WatchInbox(bool),
    /// Creates a conversation; the same id again is the same conversation.
    CreateConversation {
        /// Chosen by the caller; see [`Machine::new_conversation_id`](super::Machine::new_conversation_id).
        conversation: ConversationId,
        /// Which rules it follows.
        kind: ConversationKind,
        /// What it is about.
        subject: Option<DisplayName>,
        /// Other members: exactly one for `Direct`, any for `Group`, none for `Support`.
        members: Vec<UserId>,
    },
    /// Adds members to a group.
    AddMembers(ConversationId, Vec<UserId>),
    /// Takes a member out, or oneself.
    RemoveMember(ConversationId, UserId),
    /// Makes an agent responsible; `None` is the caller.
    Assign(ConversationId, Option<UserId>),
    /// Moves a support conversation on.
    SetStatus(ConversationId, Status),
    /// The methods that this connection serves. Said again after every reconnect.
    Serve(Vec<Label>),
    /// A question to a service: method, question, how long to wait in milliseconds. Not repeated after a loss.
    Ask(Label, Vec<u8>, u32),
    /// A page of the past, 1 to 500 events.
    History(ConversationId, Page, u16),
}

/// What a call brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It was carried out.
    Done,
    /// The conversation exists; for `Direct`, it may be one that existed before, with another id.
    Created(ConversationId),
    /// A page of the past.
    History(HistoryEntries),
    /// What a service answered.
    Outcome(Outcome),
}

/// A page of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntries {
    /// The conversation.
    pub conversation: ConversationId,
    /// Ascending, without gaps.
    pub entries: Vec<LogEntry>,
    /// Whether there is more in the direction that was asked for.
    pub more: bool,
}

impl Call {
    /// Whether doing it twice is the same as doing it once, so that it may be sent again after a lost answer.
    pub(crate) fn is_idempotent(&self) -> bool {
        !matches!(self, Self::Assign(..) | Self::SetStatus(..) | Self::Ask(..))
    }

    /// The conversation that has to exist first. Calls about it wait for its creation.
    pub(crate) fn needs(&self) -> Option<ConversationId> {
        match self {
            Self::AddMembers(id, _)
            | Self::RemoveMember(id, _)
            | Self::Assign(id, _)
            | Self::SetStatus(id, _)
            | Self::History(id, ..) => Some(*id),
            _ => None,
        }
    }

    /// The frame.
    pub(crate) fn command(&self, RequestId(request): RequestId) -> Command {
        match self.clone() {
            Self::SetAvailability(availability) => {
                Command::SetAvailability(SetAvailability { request, availability })
            }
            Self::WatchPresence(users) => Command::WatchPresence(WatchPresence { request, users }),
            Self::WatchInbox(on) => Command::WatchInbox(WatchInbox { request, on }),
            Self::CreateConversation { conversation, kind, subject, members } => {
                Command::CreateConversation(CreateConversation {
                    request,
                    conversation,
                    kind,
                    subject,
                    members,
                })
            }
            Self::AddMembers(conversation, users) => {
                Command::AddMembers(AddMembers { request, conversation, users })
            }
            Self::RemoveMember(conversation, user) => {
                Command::RemoveMember(RemoveMember { request, conversation, user })
            }
            Self::Assign(conversation, agent) => Command::Assign(Assign { request, conversation, agent }),
            Self::SetStatus(conversation, status) => {
                Command::SetStatus(SetStatus { request, conversation, status })
            }
            Self::Serve(methods) => Command::Serve(Serve { request, methods }),
            Self::Ask(method, body, timeout_ms) => {
                Command::Call(call::Call { request, method, body, timeout_ms })
            }
            Self::History(conversation, page, limit) => {
                Command::HistoryRequest(HistoryRequest { request, conversation, page, limit })
            }
        }
    }
}
