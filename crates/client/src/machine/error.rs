//! What a caller is told when something cannot be done: a code of the contract, a sentence, and a retry advice.

use duet_protocol::{Code, Refusal};

/// Something was refused, by the server or by the client itself (codes below 100).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ClientError {
    /// Number and name; its range says whose fault it is.
    pub code: Code,
    /// For people: what to do.
    pub message: String,
    /// Wait at least this long before the next try, milliseconds; 0 if waiting does not help.
    pub retry_after_ms: u32,
}

impl ClientError {
    /// The code with its own sentence.
    #[must_use]
    pub fn from_code(code: Code) -> Self {
        Self { code, message: code.sentence().into(), retry_after_ms: 0 }
    }

    /// The code with a sentence for this case.
    #[must_use]
    pub fn new(code: Code, message: &str) -> Self {
        Self { code, message: message.into(), retry_after_ms: 0 }
    }

    /// Whether the same thing may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.code.retryable()
    }
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> Self {
        let message =
            if refusal.message.is_empty() { refusal.code.sentence().into() } else { refusal.message };
        Self { code: refusal.code, message, retry_after_ms: refusal.retry_after_ms }
    }
}
