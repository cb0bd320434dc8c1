//! A refusal: the client's fault or its bad luck; the session lives on.

use duet_protocol::{Code, Refusal, Subject};

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The number that programs act on.
    pub code: Code,
    /// The sentence that people act on.
    pub message: String,
    /// Wait at least so long before the next try, milliseconds; 0 if waiting does not help.
    pub retry_after_ms: u32,
}

impl Reject {
    /// A refusal for good.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: 0 }
    }

    /// A refusal for now.
    #[must_use]
    pub fn later(code: Code, message: impl Into<String>, retry_after_ms: u32) -> Self {
        Self { code, message: message.into(), retry_after_ms }
    }

    /// The frame's body.
    #[must_use]
    pub fn about(self, subject: Subject) -> Refusal {
        Refusal { subject, code: self.code, message: self.message, retry_after_ms: self.retry_after_ms }
    }
}

/// Nothing of that name is visible to this user: the same answer whether it exists or not.
#[must_use]
pub fn not_found(what: &str) -> Reject {
    Reject::new(Code::NOT_FOUND, format!("There is no such {what} for this user."))
}
