//! A pack: so many consecutive messages of the table, as one row of the checkpoint and one block of memory.
//!
//! Who spoke where is written once a pack, times and log indexes as what they add to the message before: a message takes
//! 30 to 40 bytes, or 120 if each has an author and a conversation of its own, so that every pack fits one row of the store.
//! `docs/storage.md` describes the bytes.

use super::{super::record::ConversationKey, Accepted};
use duet_protocol::{
    ClientMessageId, CodecError, UserId,
    codec::{self, Decode, Encode},
};

/// Messages of a full pack.
pub(super) const SIZE: usize = 32;

/// What is stored.
#[derive(Encode, Decode)]
struct Pack {
    speakers: Vec<Speaker>,
    messages: Vec<Message>,
}

/// Somebody in a conversation.
#[derive(PartialEq, Encode, Decode)]
struct Speaker {
    key: ConversationKey,
    author: UserId,
}

/// A message; `index` and `at_ms` are what they add to those of the message before, of the first to zero.
#[derive(Encode, Decode)]
struct Message {
    speaker: u8,
    id: ClientMessageId,
    seq: u64,
    index: u64,
    at_ms: u64,
    fingerprint: [u8; 8],
}

/// The bytes of up to [`SIZE`] messages.
pub(super) fn encode(accepted: &[Accepted]) -> Vec<u8> {
    let mut pack = Pack { speakers: Vec::new(), messages: Vec::with_capacity(accepted.len()) };
    let (mut index, mut at_ms) = (0, 0);
    for one in accepted {
        let known = pack.speakers.iter().position(|known| known.key == one.key && known.author == one.author);
        let speaker = known.unwrap_or(pack.speakers.len());
        if known.is_none() {
            pack.speakers.push(Speaker { key: one.key, author: one.author.clone() });
        }
        pack.messages.push(Message {
            speaker: u8::try_from(speaker).unwrap_or(u8::MAX),
            id: one.id,
            seq: one.seq,
            index: one.index.wrapping_sub(index),
            at_ms: one.at_ms.wrapping_sub(at_ms),
            fingerprint: one.fingerprint.to_be_bytes(),
        });
        (index, at_ms) = (one.index, one.at_ms);
    }
    codec::encode(&pack)
}

/// The messages of a pack.
///
/// # Errors
/// [`CodecError`] when the bytes are none.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Accepted>, CodecError> {
    let Pack { speakers, messages } = codec::decode(bytes)?;
    let (mut index, mut at_ms) = (0_u64, 0_u64);
    let whole = |message: Message| {
        index = index.wrapping_add(message.index);
        at_ms = at_ms.wrapping_add(message.at_ms);
        let nobody = || CodecError::Malformed("a message of nobody".into());
        let Speaker { key, author } = speakers.get(usize::from(message.speaker)).ok_or_else(nobody)?;
        let Message { id, seq, fingerprint, .. } = message;
        let fingerprint = u64::from_be_bytes(fingerprint);
        Ok(Accepted { key: *key, author: author.clone(), id, seq, index, at_ms, fingerprint })
    };
    messages.into_iter().map(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::TenantId;
    use duet_protocol::ConversationId;

    fn accepted(author: &str, number: u64) -> Accepted {
        Accepted {
            key: ConversationKey { tenant: TenantId(1), conversation: ConversationId([7; 16]) },
            author: UserId::parse(author).unwrap(),
            id: ClientMessageId::new(1_800_000_000_000 + number, [number as u8; 10]),
            seq: 10 + number,
            index: 300 + 2 * number,
            at_ms: 1_800_000_000_000 + number,
            fingerprint: 0x0102_0304_0506_0708,
        }
    }

    #[test]
    fn a_pack_has_its_golden_bytes_and_comes_back() {
        let messages = [accepted("ana", 0), accepted("ben", 1), accepted("ana", 2)];
        let bytes = encode(&messages);
        let key = format!("01{}", "07".repeat(16));
        let expected = [
            "02".to_owned(),
            format!("{key}03616e61"),
            format!("{key}0362656e"),
            "03".to_owned(),
            "00 01a3185c5000 7000 8000000000000000 0a fb2c01 fd00505c18a3010000 0102030405060708".to_owned(),
            "01 01a3185c5001 7101 8101010101010101 0b 02 01 0102030405060708".to_owned(),
            "00 01a3185c5002 7202 8202020202020202 0c 02 01 0102030405060708".to_owned(),
        ];
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected.concat().replace(' ', ""));
        assert_eq!(decode(&bytes), Ok(messages.to_vec()));
    }

    #[test]
    fn a_pack_of_strangers_with_the_longest_names_fits_one_row_of_the_store() {
        let far = |number: u64| {
            let author = format!("{number:0>64}");
            let key = ConversationKey {
                tenant: TenantId(u32::MAX),
                conversation: ConversationId([number as u8; 16]),
            };
            let (index, at_ms, seq) = (number * 1_000, number * 60_000, u64::from(u32::MAX));
            Accepted { key, index, at_ms, seq, ..accepted(&author, number) }
        };
        let messages: Vec<_> = (0..SIZE as u64).map(far).collect();
        let bytes = encode(&messages);
        assert!(bytes.len() <= 4_000, "{} bytes", bytes.len());
        assert_eq!(decode(&bytes), Ok(messages));
    }

    #[test]
    fn a_message_of_nobody_and_every_cut_are_refused() {
        let bytes = encode(&[accepted("ana", 0)]);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        let mut wrong = bytes.clone();
        let speaker = 1 + 1 + 16 + 1 + 3 + 1;
        assert_eq!(wrong[speaker], 0);
        wrong[speaker] = 1;
        assert!(matches!(decode(&wrong), Err(CodecError::Malformed(_))));
    }
}
