//! What happened to a key, as the payload of an emit.

use bytes::{Buf, BufMut, Bytes};
use rangewatch_bridge::{BoxError, Codec};
use thiserror::Error;

/// What a revision did to a key: the payload of each key, with the codec [`EtcdEvents`].
///
/// It has what etcd's `Event` and `KeyValue` have, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdEvent {
    /// Whether the key was put or deleted.
    pub kind: EventKind,
    /// The value. Empty if the key was deleted.
    pub value: Bytes,
    /// The revision that created the key. 0 if the key was deleted.
    pub create_revision: u64,
    /// The revision of this event: the value of the emit.
    pub mod_revision: u64,
    /// How often the key was put since it was created. 0 if it was deleted.
    pub version: u64,
    /// The id of the lease that the key is attached to. 0 if there is none.
    pub lease: i64,
}

/// Whether a key was put or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a consumer that ignores one of these keeps a wrong copy"
)]
pub enum EventKind {
    /// The key was put.
    Put,
    /// The key was deleted, also because its lease has ended.
    Delete,
}

/// The codec of [`EtcdEvent`]: `Reader::builder(source).payloads(EtcdEvents)`.
///
/// The bytes stay in the memory of the process.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is nothing to configure, and a unit is written as a value"
)]
pub struct EtcdEvents;

/// The bytes of a payload are not an [`EtcdEvent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an event of etcd: use `EtcdEvents` with an `EtcdSource` only")]
#[non_exhaustive]
pub struct PayloadError;

const PUT: u8 = 1;
const DELETE: u8 = 2;
/// The kind and four numbers.
const HEADER_BYTES: usize = 33;

impl EtcdEvent {
    /// Whether the key was put: it exists at this revision.
    #[must_use]
    pub const fn is_put(&self) -> bool {
        matches!(self.kind, EventKind::Put)
    }

    /// The memory that the event takes, in bytes, for
    /// [`payload_bytes`](rangewatch_bridge::ReaderBuilder::payload_bytes).
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        size_of::<Self>() + self.value.len()
    }

    /// Appends the event of a key, whose value is `value`.
    pub(crate) fn encode(&self, value: &[u8], into: &mut Vec<u8>) {
        into.reserve(HEADER_BYTES + value.len());
        into.put_u8(match self.kind {
            EventKind::Put => PUT,
            EventKind::Delete => DELETE,
        });
        into.put_u64_le(self.create_revision);
        into.put_u64_le(self.mod_revision);
        into.put_u64_le(self.version);
        into.put_i64_le(self.lease);
        into.extend_from_slice(value);
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, PayloadError> {
        if bytes.len() < HEADER_BYTES {
            return Err(PayloadError);
        }
        let kind = match bytes.get_u8() {
            PUT => EventKind::Put,
            DELETE => EventKind::Delete,
            _ => return Err(PayloadError),
        };
        Ok(Self {
            kind,
            create_revision: bytes.get_u64_le(),
            mod_revision: bytes.get_u64_le(),
            version: bytes.get_u64_le(),
            lease: bytes.get_i64_le(),
            value: Bytes::copy_from_slice(bytes),
        })
    }
}

impl Codec<EtcdEvent> for EtcdEvents {
    fn encode(&self, _key: &[u8], payload: &EtcdEvent, into: &mut Vec<u8>) {
        payload.encode(&payload.value, into);
    }

    fn decode(&self, _key: &[u8], bytes: &[u8]) -> Result<EtcdEvent, BoxError> {
        EtcdEvent::decode(bytes).map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_decoded_as_it_was_encoded() {
        for (kind, value) in [(EventKind::Put, "x"), (EventKind::Delete, "")] {
            let event = EtcdEvent {
                kind,
                value: Bytes::from(value),
                create_revision: 2,
                mod_revision: u64::MAX,
                version: 4,
                lease: i64::MIN,
            };
            let mut bytes = Vec::new();
            Codec::encode(&EtcdEvents, b"k", &event, &mut bytes);
            assert_eq!(EtcdEvents.decode(b"k", &bytes).unwrap(), event);
            for n_bytes in 0..HEADER_BYTES {
                EtcdEvents.decode(b"k", &bytes[..n_bytes]).unwrap_err();
            }
            bytes[0] = 0;
            EtcdEvents.decode(b"k", &bytes).unwrap_err();
        }
    }
}
