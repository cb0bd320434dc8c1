//! Bodies of frames: bincode 2, standard configuration. The only file that names bincode.
//!
//! Integers are little-endian varints, text and lists carry a length, an enum its variant number. Field and
//! variant order are the wire: append only, behind a negotiated version. Decoding is limited to
//! [`MAX_BODY_BYTES`] *before* anything is allocated and must consume its input whole: hostile lengths and
//! trailing bytes are errors. See bincode's own `docs/spec.md` for the format.

pub use bincode::{BorrowDecode, Decode, Encode};
use bincode::{
    config::{Configuration, Limit, LittleEndian, Varint},
    de::Decoder,
    enc::Encoder,
    error::{DecodeError, EncodeError},
};

/// The largest body that is decoded, in bytes.
pub const MAX_BODY_BYTES: usize = 65_536;

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

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_BODY_BYTES>> =
    bincode::config::standard().with_limit::<MAX_BODY_BYTES>();

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
