//! Frames: emits as bytes, each of which names the emit before it.

use std::fmt;

use bytes::{Buf, Bytes};
use thiserror::Error;

use crate::LogError;

/// The greatest value of an emit in a log: a reader's bus needs a value above it for its floor, and
/// `u64::MAX` as the id of an entry would make a Redis stream accept nothing more.
pub const MAX_VALUE: u64 = u64::MAX - 2;

/// The first byte of a frame.
const VERSION: u8 = 0xB1;
/// The version and the checksum.
const HEADER_BYTES: usize = 5;
/// A length or a number takes at most so many bytes.
const MAX_VARINT_BYTES: usize = 10;

/// An emit as a log stores it: its value, the value of the emit before it in the log, its keys and
/// their payloads.
///
/// Because a frame names the emit before it, a reader sees whether an emit is missing between two
/// frames, whatever lost it: a trim, a server that was restored, a client that skipped one. A frame
/// is encoded once, and is shared by reference.
///
/// | bytes | |
/// |---|---|
/// | 1 | the version, `0xB1` |
/// | 4 | the CRC-32 of what follows, little-endian |
/// | 1 to 10 | the value, as a LEB128 number |
/// | 1 to 10 | the value minus that of the emit before it; 0 if the log begins with this emit |
/// | 1 to 10 | the number of keys |
/// | for each key | its length, its bytes, the length of its payload, its bytes |
///
/// # Examples
///
/// ```
/// use rangewatch_bridge::{Frame, FrameBuilder};
///
/// let mut builder = FrameBuilder::new(Some(6), 7);
/// builder.push(b"order/17", b"two shirts");
/// let frame = builder.finish();
///
/// let decoded = Frame::decode(frame.bytes().clone())?;
/// assert_eq!((decoded.prev(), decoded.value()), (Some(6), 7));
/// assert!(decoded.entries().eq([(&b"order/17"[..], &b"two shirts"[..])]));
/// # Ok::<(), rangewatch_bridge::FrameError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Bytes,
    value: u64,
    prev: Option<u64>,
    n_keys: usize,
    /// Where the first key begins.
    keys_at: usize,
}

/// Why bytes are not a [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// They do not begin as a frame of a version that is known.
    #[error("it does not begin as a frame of this version: another program has written it")]
    NotAFrame,
    /// The checksum is another.
    #[error("its checksum is wrong: it was changed or cut")]
    Checksum,
    /// A number or a length does not fit.
    #[error("its parts do not fit its length")]
    Malformed,
    /// The value exceeds [`MAX_VALUE`], or is not above that of the emit before it.
    #[error("its value is out of range")]
    Value,
}

impl Frame {
    /// Checks that `bytes` are one frame, to the last byte.
    ///
    /// # Errors
    ///
    /// [`FrameError`], for any other bytes. Never panics.
    pub fn decode(bytes: Bytes) -> Result<Self, FrameError> {
        let body = match bytes.get(..HEADER_BYTES) {
            Some([VERSION, checksum @ ..]) => {
                let body = &bytes[HEADER_BYTES..];
                if crc32fast::hash(body).to_le_bytes() != *checksum {
                    return Err(FrameError::Checksum);
                }
                body
            }
            _ => return Err(FrameError::NotAFrame),
        };
        let mut rest = body;
        let (prev, value) = take_values(&mut rest)?;
        let n_keys = take_len(&mut rest)?;
        let keys_at = bytes.len() - rest.len();
        for _ in 0..n_keys {
            take_slice(&mut rest)?;
            take_slice(&mut rest)?;
        }
        if !rest.is_empty() {
            return Err(FrameError::Malformed);
        }
        Ok(Self {
            bytes,
            value,
            prev,
            n_keys,
            keys_at,
        })
    }

    /// Reads the value of the emit before it and its own from the beginning of a frame, such as its
    /// first part. Neither is checked.
    ///
    /// # Errors
    ///
    /// [`FrameError::NotAFrame`], [`FrameError::Malformed`], [`FrameError::Value`].
    pub fn peek(bytes: &[u8]) -> Result<(Option<u64>, u64), FrameError> {
        if bytes.first() != Some(&VERSION) {
            return Err(FrameError::NotAFrame);
        }
        let mut rest = bytes.get(HEADER_BYTES..).ok_or(FrameError::NotAFrame)?;
        take_values(&mut rest)
    }

    /// Checks that no frame takes more than `max_bytes`, for implementations of logs.
    ///
    /// # Errors
    ///
    /// [`LogError::TooLarge`], for the first one that does.
    pub fn check_sizes(frames: &[Self], max_bytes: usize) -> Result<(), LogError> {
        let too_large = |frame: &&Self| frame.bytes.len() > max_bytes;
        match frames.iter().find(too_large) {
            Some(frame) => Err(LogError::TooLarge {
                value: frame.value,
                n_bytes: frame.bytes.len(),
                max_bytes,
            }),
            None => Ok(()),
        }
    }

    /// The value of the emit.
    #[must_use]
    pub const fn value(&self) -> u64 {
        self.value
    }

    /// The value of the emit before it in the log; `None` if the log begins with this one.
    #[must_use]
    pub const fn prev(&self) -> Option<u64> {
        self.prev
    }

    /// The number of keys.
    #[must_use]
    pub const fn n_keys(&self) -> usize {
        self.n_keys
    }

    /// The keys in the order in which they were emitted, each with the bytes of its payload.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.bytes[self.keys_at..];
        (0..self.n_keys).map_while(move |_| {
            let key = take_slice(&mut rest).ok()?;
            let payload = take_slice(&mut rest).ok()?;
            Some((key, payload))
        })
    }

    /// The keys in the order in which they were emitted.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.entries().map(|(key, _)| key)
    }

    /// The encoded frame.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("value", &self.value)
            .field("prev", &self.prev)
            .field("n_keys", &self.n_keys)
            .field("n_bytes", &self.bytes.len())
            .finish()
    }
}

/// Encodes a [`Frame`].
#[derive(Clone, Debug)]
#[must_use = "a frame is made by `finish`"]
pub struct FrameBuilder {
    value: u64,
    prev: Option<u64>,
    n_keys: usize,
    entries: Vec<u8>,
}

impl FrameBuilder {
    /// What most emits of one key take, so that they are written without growing the buffer.
    const ENTRIES_BYTES: usize = 64;

    /// Begins the frame of an emit of `value`, which follows that of `prev` in the log.
    ///
    /// # Panics
    ///
    /// If `value` is above [`MAX_VALUE`], or not above `prev`.
    pub fn new(prev: Option<u64>, value: u64) -> Self {
        assert!(value <= MAX_VALUE, "the value {value} is above MAX_VALUE");
        assert!(
            prev < Some(value),
            "the value {value} does not lie above the one before it, {prev:?}"
        );
        Self {
            value,
            prev,
            n_keys: 0,
            entries: Vec::with_capacity(Self::ENTRIES_BYTES),
        }
    }

    /// Adds a key and the bytes of its payload.
    pub fn push(&mut self, key: &[u8], payload: &[u8]) {
        self.push_with(key, |into| into.extend_from_slice(payload));
    }

    /// Adds a key, and the payload that `encode` appends.
    pub fn push_with(&mut self, key: &[u8], encode: impl FnOnce(&mut Vec<u8>)) {
        put_number(&mut self.entries, key.len() as u64);
        self.entries.extend_from_slice(key);
        // Most payloads are empty or short: one byte for the length, more if it turns out longer.
        let at = self.entries.len();
        self.entries.push(0);
        encode(&mut self.entries);
        let n_bytes = self.entries.len() - at - 1;
        if n_bytes < 0x80 {
            self.entries[at] = n_bytes as u8;
        } else {
            let mut len = Vec::with_capacity(MAX_VARINT_BYTES);
            put_number(&mut len, n_bytes as u64);
            self.entries.splice(at..=at, len);
        }
        self.n_keys += 1;
    }

    /// The size of the frame so far, in bytes, at most 34 more than that of its keys and payloads
    /// with their lengths.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        HEADER_BYTES + 3 * MAX_VARINT_BYTES + self.entries.len()
    }

    /// Encodes the frame.
    #[must_use]
    pub fn finish(self) -> Frame {
        let mut bytes = Vec::with_capacity(self.n_bytes());
        bytes.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
        put_number(&mut bytes, self.value);
        put_number(&mut bytes, self.prev.map_or(0, |prev| self.value - prev));
        put_number(&mut bytes, self.n_keys as u64);
        let keys_at = bytes.len();
        bytes.extend_from_slice(&self.entries);
        let checksum = crc32fast::hash(&bytes[HEADER_BYTES..]).to_le_bytes();
        bytes[1..HEADER_BYTES].copy_from_slice(&checksum);
        Frame {
            bytes: bytes.into(),
            value: self.value,
            prev: self.prev,
            n_keys: self.n_keys,
            keys_at,
        }
    }
}

fn put_number(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn take_number(from: &mut &[u8]) -> Result<u64, FrameError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        if !from.has_remaining() {
            return Err(FrameError::Malformed);
        }
        let byte = from.get_u8();
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(FrameError::Malformed);
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(FrameError::Malformed)
}

/// The value of the emit before, and the value.
fn take_values(from: &mut &[u8]) -> Result<(Option<u64>, u64), FrameError> {
    let value = take_number(from)?;
    let prev = match take_number(from)? {
        0 => None,
        rise => Some(value.checked_sub(rise).ok_or(FrameError::Value)?),
    };
    if value > MAX_VALUE {
        return Err(FrameError::Value);
    }
    Ok((prev, value))
}

fn take_len(from: &mut &[u8]) -> Result<usize, FrameError> {
    usize::try_from(take_number(from)?).map_err(|_| FrameError::Malformed)
}

fn take_slice<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], FrameError> {
    let len = take_len(from)?;
    let (slice, rest) = from.split_at_checked(len).ok_or(FrameError::Malformed)?;
    *from = rest;
    Ok(slice)
}
