//! The SETTINGS dialects of WebTransport, added to the bytes that h3 writes.
//!
//! Every draft announced itself with another setting, and browsers look only for their own. h3 emits
//! the one of draft-02 and offers no way to add more, but the adapter below it sees the control stream
//! pass and can lengthen its first frame. Source: draft-ietf-webtrans-http3-02, -07, -13, -15 and RFC
//! 9297 §2.1.1 for the settings, RFC 9114 §7.2.4 for the frame.

use bytes::{Bytes, BytesMut};
use duet_protocol::frame::{put_varint, take_varint};

/// What is announced beyond h3's own settings, as (identifier, value).
///
/// One session's worth of credit where a larger value would promise per-session flow control, which
/// no client here needs: streams are limited by QUIC itself.
pub const DIALECTS: [(u64, u64); 4] = [
    // SETTINGS_WT_MAX_SESSIONS, draft-13 and Safari; 1 means "no session flow control".
    (0x14e9_cd29, 1),
    // SETTINGS_WEBTRANSPORT_MAX_SESSIONS, draft-07.
    (0xc671_706a, 1),
    // SETTINGS_WT_ENABLED, draft-15.
    (0x2c7c_f000, 1),
    // SETTINGS_H3_DATAGRAM of draft-ietf-masque-h3-datagram-04, still read beside 0x33.
    (0x00ff_d277, 1),
];

const STREAM_TYPE_CONTROL: u64 = 0x00;
const FRAME_TYPE_SETTINGS: u64 = 0x04;

/// Adds `extra` to the SETTINGS frame at the head of a control stream. Anything that is not the head
/// of a control stream is given back unchanged, as are settings that are already there.
#[must_use]
pub fn extend(head: &Bytes, extra: &[(u64, u64)]) -> Bytes {
    rewrite(head, extra).unwrap_or_else(|| head.clone())
}

fn rewrite(head: &[u8], extra: &[(u64, u64)]) -> Option<Bytes> {
    let mut rest = head;
    if take_varint(&mut rest)? != STREAM_TYPE_CONTROL || take_varint(&mut rest)? != FRAME_TYPE_SETTINGS {
        return None;
    }
    let length = usize::try_from(take_varint(&mut rest)?).ok()?;
    let present = rest.get(..length)?;
    let after = &rest[length..];

    let mut payload = BytesMut::from(present);
    for (identifier, value) in extra {
        if !contains(present, *identifier)? {
            put_varint(&mut payload, *identifier);
            put_varint(&mut payload, *value);
        }
    }
    let mut out = BytesMut::with_capacity(head.len() + extra.len() * 16);
    put_varint(&mut out, STREAM_TYPE_CONTROL);
    put_varint(&mut out, FRAME_TYPE_SETTINGS);
    put_varint(&mut out, payload.len() as u64);
    out.extend_from_slice(&payload);
    out.extend_from_slice(after);
    Some(out.freeze())
}

fn contains(mut payload: &[u8], identifier: u64) -> Option<bool> {
    while !payload.is_empty() {
        let found = take_varint(&mut payload)?;
        take_varint(&mut payload)?;
        if found == identifier {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn settings_grow_by_the_dialects_and_what_follows_stays() {
        let head = Bytes::from_static(&[0, 4, 2, 8, 1, 0x21, 0]);
        assert_eq!(&extend(&head, &[(0x33, 1)])[..], &[0, 4, 4, 8, 1, 0x33, 1, 0x21, 0]);
    }

    #[test]
    fn a_setting_is_never_sent_twice() {
        let head = Bytes::from_static(&[0, 4, 2, 8, 1]);
        assert_eq!(extend(&head, &[(8, 0)]), head);
    }

    #[test]
    fn other_streams_pass_unchanged() {
        for head in [&[2_u8][..], &[3], &[0], &[0, 7, 0], &[0, 4, 9, 1]] {
            let head = Bytes::copy_from_slice(head);
            assert_eq!(extend(&head, &DIALECTS), head);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_pass(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let head = Bytes::from(bytes);
            prop_assert!(extend(&head, &DIALECTS).len() >= head.len().min(1));
        }
    }
}
