//! One table per direction: kind number, variant, body type. Encoding, decoding and the list for documents
//! and tests all come from it, so they cannot disagree.

/// Declares an enum of frames with its kind numbers.
macro_rules! frames {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $kind:literal $variant:ident($body:ty)),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name { $($(#[$vdoc])* $variant($body)),+ }

        impl $name {
            /// Every kind number of this direction with its name.
            pub const KINDS: &[(u8, &str)] = &[$(($kind, stringify!($variant))),+];

            /// The kind number of the frame.
            #[must_use]
            pub fn kind(&self) -> u8 {
                match self { $(Self::$variant(_) => $kind),+ }
            }

            /// The encoded frame: length, kind, body.
            #[must_use]
            pub fn encode(&self) -> bytes::Bytes {
                match self {
                    $(Self::$variant(body) => $crate::Frame::encode($kind, &$crate::codec::encode(body))),+
                }
            }

            /// Reads a frame; `None` when its kind is unknown and it must be skipped.
            ///
            /// # Errors
            /// [`CodecError`](crate::CodecError) when the body is not what its kind says.
            pub fn decode(frame: &$crate::Frame) -> Result<Option<Self>, $crate::CodecError> {
                Ok(Some(match frame.kind {
                    $($kind => Self::$variant($crate::codec::decode(&frame.body)?),)+
                    _ => return Ok(None),
                }))
            }
        }
    };
}
pub(crate) use frames;
