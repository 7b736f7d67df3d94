//! Payloads as bytes.

use bytes::Bytes;

/// An error of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Translates the payloads of a bus to bytes and back.
///
/// All writers and readers of a log use the same one. The bytes of a payload count in the bound of
/// an emit, [`max_frame_bytes`](crate::Log::max_frame_bytes).
///
/// # Examples
///
/// ```
/// use rangewatch_bridge::{BoxError, Codec};
///
/// /// Text, or nothing for a key that was deleted.
/// #[derive(Debug)]
/// struct Text;
///
/// impl Codec<Option<String>> for Text {
///     fn encode(&self, _key: &[u8], payload: &Option<String>, into: &mut Vec<u8>) {
///         if let Some(text) = payload {
///             into.push(1);
///             into.extend_from_slice(text.as_bytes());
///         }
///     }
///
///     fn decode(&self, _key: &[u8], bytes: &[u8]) -> Result<Option<String>, BoxError> {
///         match bytes.split_first() {
///             None => Ok(None),
///             Some((_, text)) => Ok(Some(str::from_utf8(text)?.to_owned())),
///         }
///     }
/// }
/// ```
pub trait Codec<P>: Send + Sync + 'static {
    /// Appends the bytes of the payload of `key`.
    fn encode(&self, key: &[u8], payload: &P, into: &mut Vec<u8>);

    /// Reads the payload of `key`.
    ///
    /// # Errors
    ///
    /// Any, if the bytes are not those of a payload. The reader reports the emit as lost then.
    fn decode(&self, key: &[u8], bytes: &[u8]) -> Result<P, BoxError>;
}

/// The codec of a bus without payloads.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is nothing to configure, and a unit is written as a value"
)]
pub struct NoPayloads;

impl Codec<()> for NoPayloads {
    fn encode(&self, _key: &[u8], (): &(), _into: &mut Vec<u8>) {}

    fn decode(&self, _key: &[u8], _bytes: &[u8]) -> Result<(), BoxError> {
        Ok(())
    }
}

/// The codec of payloads that are bytes.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is nothing to configure, and a unit is written as a value"
)]
pub struct BytesPayloads;

impl Codec<Bytes> for BytesPayloads {
    fn encode(&self, _key: &[u8], payload: &Bytes, into: &mut Vec<u8>) {
        into.extend_from_slice(payload);
    }

    fn decode(&self, _key: &[u8], bytes: &[u8]) -> Result<Bytes, BoxError> {
        Ok(Bytes::copy_from_slice(bytes))
    }
}
