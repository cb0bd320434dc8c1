//! Error codes between a WebTransport application (32 bits) and HTTP/3 (62 bits).
//!
//! WebTransport codes live in a range of HTTP/3 codes that leaves out the reserved ones, hence the
//! division by 0x1e (draft-ietf-webtrans-http3 §4.4). The constants at the end are the HTTP/3 codes
//! the session layer itself uses.

use quinn::VarInt;

/// First HTTP/3 code of the range.
const FIRST: u64 = 0x52e4_a40f_a8db;
/// Last HTTP/3 code of the range.
const LAST: u64 = 0x52e5_ac98_3162;

/// No error: the connection has served its purpose (RFC 9114 §8.1).
pub const H3_NO_ERROR: u64 = 0x100;
/// The peer makes us hold too much (RFC 9114 §8.1).
pub const H3_EXCESSIVE_LOAD: u64 = 0x107;
/// The request was not processed (RFC 9114 §8.1).
pub const H3_REQUEST_REJECTED: u64 = 0x10b;
/// The stream's head did not arrive in time (RFC 9114 §8.1).
pub const H3_REQUEST_INCOMPLETE: u64 = 0x10d;
/// A CONNECT stream that breaks its format (RFC 9297 §3.3).
pub const H3_DATAGRAM_ERROR: u64 = 0x33;
/// A stream came for a session that is not there yet, and too many wait already.
pub const WT_BUFFERED_STREAM_REJECTED: u64 = 0x3994_bd84;
/// A stream came for, or was left over from, a session that is gone.
pub const WT_SESSION_GONE: u64 = 0x170d_7b68;

/// HTTP/3 code that carries the application's `code`.
#[must_use]
pub fn to_http3(code: u32) -> VarInt {
    let code = u64::from(code);
    varint(FIRST + code + code / 0x1e)
}

/// Application code carried by an HTTP/3 code; `None` for codes outside the range and for the reserved
/// ones inside it.
#[must_use]
pub fn from_http3(code: VarInt) -> Option<u32> {
    let code = code.into_inner();
    if !(FIRST..=LAST).contains(&code) || (code - 0x21).is_multiple_of(0x1f) {
        return None;
    }
    let shifted = code - FIRST;
    u32::try_from(shifted - shifted / 0x1f).ok()
}

/// A constant of this module as quinn wants it.
#[must_use]
pub fn varint(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_the_range_are_those_of_the_draft() {
        assert_eq!(to_http3(0).into_inner(), FIRST);
        assert_eq!(to_http3(u32::MAX).into_inner(), LAST);
    }

    #[test]
    fn codes_of_http3_itself_carry_no_application_code() {
        for code in [0, 0x100, 0x10c, WT_SESSION_GONE, FIRST - 1, LAST + 1] {
            assert_eq!(from_http3(varint(code)), None);
        }
    }

    proptest! {
        #[test]
        fn every_code_comes_back(code: u32) {
            prop_assert_eq!(from_http3(to_http3(code)), Some(code));
        }
    }
}
