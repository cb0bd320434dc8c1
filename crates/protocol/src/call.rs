//! Calls: a question to a back end over the connection that is there anyway, and its answer. Ephemeral: never stored,
//! never repeated by the server.
//!
//! ```text
//!  caller ── Call ──► server ── CallAsked ──► one session of a `service` that serves the method
//!  caller ◄─ Answered ─ server ◄── Answer ───┘
//! ```

use crate::{
    codec::{Decode, Encode},
    hello::Role,
    ids::{Label, UserId},
};

/// Replaces the list of methods that this connection serves; an empty one ends it. Answer: `Done`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Serve {
    /// Comes back in the answer.
    pub request: u32,
    /// At most 64 methods.
    pub methods: Vec<Label>,
}

/// Asks whoever serves `method`. Answer: [`Answered`], or a refusal.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Call {
    /// Comes back in the answer.
    pub request: u32,
    /// Which question.
    pub method: Label,
    /// The question; its meaning is agreed between caller and service.
    pub body: Vec<u8>,
    /// How long the caller waits, 1 to 60,000 milliseconds.
    pub timeout_ms: u32,
}

/// A service's answer to a [`CallAsked`]. Not answered; one that comes too late is dropped.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Answer {
    /// From the question.
    pub call: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a call that reached its service.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Outcome {
    /// The answer.
    Returned(Vec<u8>),
    /// The service could or would not.
    Failed(Failure),
}

/// Why a service did not answer a call.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Failure {
    /// The application's own number.
    pub code: u16,
    /// For people, at most 1,024 bytes.
    pub message: String,
}

/// A question for a service. It answers with [`Answer`].
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct CallAsked {
    /// Names the call in the answer; unique on the connection.
    pub call: u64,
    /// Who asks.
    pub user: UserId,
    /// Their role.
    pub role: Role,
    /// Which question.
    pub method: Label,
    /// The question.
    pub body: Vec<u8>,
    /// How long an answer is waited for, milliseconds.
    pub timeout_ms: u32,
}

/// The answer to a [`Call`].
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Answered {
    /// From the call.
    pub request: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// Nobody waits for an answer to this call any more: the caller left or its time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CallEnded {
    /// From the question.
    pub call: u64,
}
