//! Bodies of frames: bincode 2, standard configuration. The only file that names bincode.
//!
//! Integers are little-endian varints, text and lists carry a length, an enum its variant number. Field and
//! variant order are the wire: append only, behind a negotiated version. A body above [`MAX_BODY_BYTES`] is
//! refused unread, a length within it before [`MAX_MEMORY_BYTES`] would be allocated, and the input must be
//! consumed whole: hostile lengths and trailing bytes are errors. `docs/protocol.md` describes the format.

pub use bincode::{BorrowDecode, Decode, Encode};
use bincode::{
    config::{Configuration, Limit, LittleEndian, Varint},
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

/// The largest body that is decoded, in bytes.
pub const MAX_BODY_BYTES: usize = 65_536;

/// The most memory that a body may claim while it is decoded, in bytes. bincode counts what a value takes in
/// memory, not on the wire, so the bound must lie above [`MAX_BODY_BYTES`]: a full list of members is larger
/// in memory than in its frame.
pub const MAX_MEMORY_BYTES: usize = 4 * MAX_BODY_BYTES;

/// Why a body could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The bytes are no value of the expected type, or a field breaks its own rule.
    #[error("malformed body: {0}")]
    Malformed(String),
    /// The value ended before the bytes did.
    #[error("{0} bytes left over behind the body")]
    Trailing(usize),
}

/// The bytes of `value`.
///
/// Total for the types of this crate: they hold nothing that bincode refuses to encode, so a refusal is a
/// defect of the type, not of its content.
#[must_use]
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    match bincode::encode_to_vec(value, bincode::config::standard()) {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("a protocol type refused to be encoded: {error}"),
    }
}

/// The value whose bytes are exactly `bytes`.
///
/// # Errors
/// [`CodecError`] for anything else, and for bodies above [`MAX_BODY_BYTES`].
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_BODY_BYTES {
        return Err(CodecError::Malformed("the body is above the limit".into()));
    }
    let (value, used) = bincode::decode_from_slice::<T, _>(bytes, CONFIG)
        .map_err(|error| CodecError::Malformed(describe(&error)))?;
    if used == bytes.len() { Ok(value) } else { Err(CodecError::Trailing(bytes.len() - used)) }
}

/// Encodes a validated text as a plain string. For the newtypes of [`crate::ids`].
pub(crate) fn encode_str<E: Encoder>(text: &str, encoder: &mut E) -> Result<(), EncodeError> {
    text.encode(encoder)
}

/// Decodes a string and lets `check` turn it into a validated value. For the newtypes of [`crate::ids`].
pub(crate) fn decode_checked<C, D: Decoder<Context = C>, T, E: std::fmt::Display>(
    decoder: &mut D,
    check: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, DecodeError> {
    let text = String::decode(decoder)?;
    check(&text).map_err(|error| DecodeError::OtherString(error.to_string()))
}

/// An enum that may grow while a version lasts: what a receiver does not know counts as another variant.
pub(crate) trait Open: Copy + 'static {
    /// The variants in the order of the wire.
    const KNOWN: &'static [Self];
}

/// Decodes a field that has no rule of its own.
pub(crate) fn any<C, D: Decoder<Context = C>, T: Decode<C>>(decoder: &mut D) -> Result<T, DecodeError> {
    T::decode(decoder)
}

/// Decodes an open enum where a number that is not known makes no sense: in what a client asks for.
pub(crate) fn known<C, D: Decoder<Context = C>, T: Open>(decoder: &mut D) -> Result<T, DecodeError> {
    let number = u32::decode(decoder)?;
    let found = usize::try_from(number).ok().and_then(|number| T::KNOWN.get(number));
    found.copied().ok_or_else(|| DecodeError::OtherString(format!("there is no variant {number}")))
}

/// Implements decoding for an enum without content that may grow, with what stands for an unknown variant.
macro_rules! open_enum {
    ($name:ident { $($variant:ident),+ } else $fallback:ident) => {
        impl $crate::codec::Open for $name {
            const KNOWN: &'static [Self] = &[$(Self::$variant),+];
        }
        impl<C> bincode::Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                let number = <u32 as bincode::Decode<C>>::decode(decoder)?;
                let known = usize::try_from(number)
                    .ok()
                    .and_then(|number| <Self as $crate::codec::Open>::KNOWN.get(number));
                Ok(known.copied().unwrap_or(Self::$fallback))
            }
        }
        bincode::impl_borrow_decode!($name);
    };
}
pub(crate) use open_enum;

/// Implements decoding for a struct, field by field in the order of the wire: `any` value, or a `known` variant.
macro_rules! known_fields {
    ($name:ident { $($field:ident: $how:ident),+ }) => {
        impl<C> bincode::Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                Ok(Self { $($field: $crate::codec::$how(decoder)?),+ })
            }
        }
        bincode::impl_borrow_decode!($name);
    };
}
pub(crate) use known_fields;

/// Implements the codec for a newtype over validated text, given its `parse` and `as_str`.
macro_rules! text_codec {
    ($name:ident) => {
        impl bincode::Encode for $name {
            fn encode<E: bincode::enc::Encoder>(
                &self,
                encoder: &mut E,
            ) -> Result<(), bincode::error::EncodeError> {
                $crate::codec::encode_str(self.as_str(), encoder)
            }
        }
        impl<C> bincode::Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                $crate::codec::decode_checked(decoder, $name::parse)
            }
        }
        impl<'de, C> bincode::BorrowDecode<'de, C> for $name {
            fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = C>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                <Self as bincode::Decode<C>>::decode(decoder)
            }
        }
    };
}
pub(crate) use text_codec;

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_MEMORY_BYTES>> =
    bincode::config::standard().with_limit::<MAX_MEMORY_BYTES>();

/// bincode's own words, without the content of the bytes: they may be a message or a token.
fn describe(error: &DecodeError) -> String {
    match error {
        DecodeError::UnexpectedEnd { .. } => "the body ends too early".into(),
        DecodeError::LimitExceeded => "a length goes beyond the limit".into(),
        DecodeError::UnexpectedVariant { type_name, found, .. } => {
            format!("{type_name} has no variant {found}")
        }
        DecodeError::Utf8 { .. } => "text is not UTF-8".into(),
        DecodeError::OtherString(rule) => rule.clone(),
        DecodeError::Other(rule) => (*rule).into(),
        _ => "not a value of this type".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_that_fits_a_frame_is_decoded() {
        let body = encode(&vec![0xa5u8; MAX_BODY_BYTES - 3]);
        assert_eq!(body.len(), MAX_BODY_BYTES);
        assert_eq!(decode::<Vec<u8>>(&body).map(|bytes| bytes.len()), Ok(MAX_BODY_BYTES - 3));
    }

    #[test]
    fn a_body_above_the_limit_is_refused_unread() {
        let body = encode(&vec![0u8; MAX_BODY_BYTES - 2]);
        assert_eq!(
            decode::<Vec<u8>>(&body),
            Err(CodecError::Malformed("the body is above the limit".into()))
        );
    }

    #[test]
    fn a_length_beyond_the_memory_bound_is_refused_before_it_is_allocated() {
        for claim in [MAX_MEMORY_BYTES as u64, u64::from(u32::MAX), u64::MAX] {
            let mut body = vec![0xfd];
            body.extend(claim.to_le_bytes());
            let refused = decode::<Vec<u8>>(&body);
            assert_eq!(refused, Err(CodecError::Malformed("a length goes beyond the limit".into())));
        }
    }
}
