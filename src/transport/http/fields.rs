//! What a request says beside its body: the fields of `docs/protocol.md`, read strictly.

use super::super::Origins;
use http::{HeaderMap, header::ORIGIN};

/// The carrier key.
pub(super) const CARRIER: &str = "duet-carrier";
/// Number of a chunk.
pub(super) const SEQ: &str = "duet-seq";
/// Highest batch that the client has.
pub(super) const ACK: &str = "duet-ack";
/// The client's code when it closes.
pub(super) const CLOSE: &str = "duet-close";
/// What readers of event streams send instead of [`ACK`].
pub(super) const LAST_EVENT: &str = "last-event-id";
/// Number of the last batch of an answer.
pub(super) const BATCH: &str = "duet-batch";
/// Why a carrier is over, or was refused.
pub(super) const CODE: &str = "duet-code";
/// The same in words.
pub(super) const REASON: &str = "duet-reason";

/// The numbers of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) seq: Option<u64>,
    pub(super) ack: u64,
    pub(super) close: Option<u32>,
}

impl Fields {
    /// `None` when one of them is no number.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let (ack, last_event) = (number(headers, ACK)?, number(headers, LAST_EVENT)?);
        let close = match number(headers, CLOSE)? {
            None => None,
            Some(code) => Some(u32::try_from(code).ok()?),
        };
        let ack = ack.unwrap_or(0).max(last_event.unwrap_or(0));
        Some(Self { seq: number(headers, SEQ)?, ack, close })
    }
}

/// Whether the page that asks, if it is one, may connect.
pub(super) fn allowed(headers: &HeaderMap, origins: &Origins) -> bool {
    origins.allow(headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or("")))
}

/// A field's number if the field is there; `None` if it is no number: decimal digits, at most 18.
#[expect(clippy::option_option, reason = "absent and wrong are two things")]
fn number(headers: &HeaderMap, name: &str) -> Option<Option<u64>> {
    let Some(value) = headers.get(name) else { return Some(None) };
    let digits = value.as_bytes();
    let plain = (1..=DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| Some(digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))))
}

const DIGITS_MAX: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(rows: &[(&'static str, &str)]) -> Option<Fields> {
        let mut headers = HeaderMap::new();
        for (name, value) in rows {
            headers.insert(*name, value.parse().unwrap());
        }
        Fields::read(&headers)
    }

    #[test]
    fn the_higher_acknowledgement_counts_and_what_is_no_number_does_not() {
        let fields = read(&[(SEQ, "7"), (ACK, "3"), (LAST_EVENT, "4")]).unwrap();
        assert_eq!(fields, Fields { seq: Some(7), ack: 4, close: None });
        assert_eq!(read(&[]), Some(Fields { seq: None, ack: 0, close: None }));
        for wrong in ["", " 1", "+1", "-1", "1e3", "0x1", "9999999999999999999"] {
            assert_eq!(read(&[(ACK, wrong)]), None, "{wrong:?}");
        }
        assert_eq!(read(&[(CLOSE, "4294967296")]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_in_a_field_are_read_without_panic(bytes: Vec<u8>) {
            let Ok(value) = http::HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            let mut headers = HeaderMap::new();
            headers.insert(SEQ, value);
            let _ = Fields::read(&headers);
        }
    }
}
