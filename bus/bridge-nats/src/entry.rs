//! Messages of a log.

use bytes::{BufMut, Bytes, BytesMut};
use rangewatch_bridge::{Frame, MAX_VALUE, Part};

use crate::nats_log::NatsLog;

/// The first byte of a message: one of a bridge, of this version.
const VERSION: u8 = 0xB2;
const BEGIN: u8 = 0;
const FRAMES: u8 = 1;
const PART: u8 = 2;
/// The size of the header, the same in every message.
pub(crate) const HEADER_BYTES: usize = 47;
/// The length before each frame.
pub(crate) const LENGTH_BYTES: usize = 4;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The beginning of an epoch.
    Begin,
    /// Whole frames that follow each other.
    Frames,
    /// A part of a frame.
    Part(PartOf),
}

/// Where a part belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartOf {
    /// The number of the part, from 1.
    pub(crate) n: u32,
    /// Where it ends in the frame, in bytes.
    pub(crate) end: u32,
    /// The size of the frame, in bytes.
    pub(crate) total: u32,
    /// The checksum of the frame, which tells it from another frame of the same value.
    pub(crate) checksum: u32,
}

/// What every message tells, so that one message is enough to know where the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) epoch: u64,
    /// The value before the first emit of the message. Of a beginning, the one that the epoch
    /// begins after.
    pub(crate) prev: Option<u64>,
    /// The value of the last emit of the message. 0 in a beginning.
    pub(crate) value: u64,
    pub(crate) kind: Kind,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) header: Header,
    /// The frames, if the message holds whole ones.
    pub(crate) frames: Vec<Frame>,
    /// The bytes, if it is a part.
    pub(crate) part: Bytes,
}

impl Header {
    /// The last value of the log up to this message: that of the last emit that is whole.
    pub(crate) const fn head(&self) -> Option<u64> {
        match self.kind {
            Kind::Frames => Some(self.value),
            Kind::Part(part) if part.end == part.total => Some(self.value),
            Kind::Begin | Kind::Part(_) => self.prev,
        }
    }

    /// Whether it is a part, and the last one of its emit is to come.
    pub(crate) const fn is_unfinished(&self) -> bool {
        matches!(self.kind, Kind::Part(part) if part.end != part.total)
    }

    /// The part of `frame` that continues the parts up to this message.
    pub(crate) fn next_part(&self, frame: &Frame) -> Option<PartOf> {
        let Kind::Part(part) = self.kind else {
            return None;
        };
        let is_of = (self.prev, self.value) == (frame.prev(), frame.value())
            && (part.total as usize, part.checksum) == (frame.bytes().len(), checksum(frame));
        (is_of && part.end < part.total).then_some(PartOf {
            n: part.n + 1,
            ..part
        })
    }

    /// Encodes a message, whose body has `n_bytes`.
    fn encode(&self, n_bytes: usize) -> BytesMut {
        let (kind, of) = match self.kind {
            Kind::Begin => (BEGIN, None),
            Kind::Frames => (FRAMES, None),
            Kind::Part(part) => (PART, Some(part)),
        };
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES + n_bytes);
        bytes.put_slice(&[VERSION, 0, 0, 0, 0, kind, u8::from(self.prev.is_some())]);
        bytes.put_u64_le(self.epoch);
        bytes.put_u64_le(self.prev.unwrap_or(0));
        bytes.put_u64_le(self.value);
        let of = of.map_or([0; 4], |of| [of.n, of.end, of.total, of.checksum]);
        of.into_iter().for_each(|number| bytes.put_u32_le(number));
        let checksum = crc32fast::hash(&bytes[5..]);
        bytes[1..5].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        if bytes[0] != VERSION {
            return Err("it does not begin as a message of this version: another program wrote it");
        }
        if u32_at(1) != crc32fast::hash(&bytes[5..]) {
            return Err("the checksum of its header is wrong");
        }
        let kind = match bytes[5] {
            BEGIN => Kind::Begin,
            FRAMES => Kind::Frames,
            PART => Kind::Part(PartOf {
                n: u32_at(31),
                end: u32_at(35),
                total: u32_at(39),
                checksum: u32_at(43),
            }),
            _ => return Err("its kind is not known"),
        };
        Ok(Self {
            epoch: u64_at(7),
            prev: (bytes[6] != 0).then(|| u64_at(15)),
            value: u64_at(23),
            kind,
        })
    }
}

impl Entry {
    /// The message that begins an epoch after `head`.
    pub(crate) fn begin(epoch: u64, head: Option<u64>) -> Bytes {
        let header = Header {
            epoch,
            prev: head,
            value: 0,
            kind: Kind::Begin,
        };
        header.encode(0).freeze()
    }

    /// The next message that appends `frames` to a log that ends with `last`, of at most
    /// `max_bytes`: as many frames as fit, or a part of the first one.
    pub(crate) fn next(frames: &[Frame], last: &Header, max_bytes: usize) -> (Header, Bytes) {
        let room = max_bytes.saturating_sub(HEADER_BYTES);
        let mut n_bytes = 0;
        let n_fitting = frames.iter().take_while(|frame| {
            n_bytes += LENGTH_BYTES + frame.bytes().len();
            n_bytes <= room
        });
        let n_fitting = n_fitting.count();
        let epoch = last.epoch;
        let first = &frames[0];
        if let Some(end) = frames[..n_fitting].last() {
            let header = Header {
                epoch,
                prev: first.prev(),
                value: end.value(),
                kind: Kind::Frames,
            };
            let mut bytes = header.encode(n_bytes.min(room));
            for frame in &frames[..n_fitting] {
                bytes.put_u32_le(frame.bytes().len() as u32);
                bytes.put_slice(frame.bytes());
            }
            return (header, bytes.freeze());
        }
        // Another writer may have begun to append this frame: the two go on together, instead of
        // beginning again and again.
        let part = last.next_part(first).unwrap_or_else(|| PartOf {
            n: 1,
            end: 0,
            total: first.bytes().len() as u32,
            checksum: checksum(first),
        });
        let start = part.end as usize;
        let end = first.bytes().len().min(start + room.max(1));
        let header = Header {
            epoch,
            prev: first.prev(),
            value: first.value(),
            kind: Kind::Part(PartOf {
                end: end as u32,
                ..part
            }),
        };
        let mut bytes = header.encode(end - start);
        bytes.put_slice(&first.bytes()[start..end]);
        (header, bytes.freeze())
    }

    /// Reads a message, or says why it is not one of a bridge.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, String> {
        let header = bytes
            .first_chunk()
            .ok_or("it is shorter than a message of a bridge: another program wrote it")?;
        let header = Header::decode(header)?;
        let body = bytes.slice(HEADER_BYTES..);
        let mut entry = Self {
            header,
            frames: Vec::new(),
            part: Bytes::new(),
        };
        match header.kind {
            Kind::Begin if body.is_empty() => {}
            Kind::Frames => entry.frames = decode_frames(body, &header)?,
            Kind::Part(part) if is_part(&body, &header, part) => entry.part = body,
            _ => return Err("its header does not fit its length".to_owned()),
        }
        Ok(entry)
    }

    /// The parts of frames that it holds, for [`Parts`](rangewatch_bridge::Parts).
    pub(crate) fn into_parts(self) -> impl Iterator<Item = Part> {
        let part = match self.header.kind {
            Kind::Part(part) => Some(Part {
                value: self.header.value,
                n: u64::from(part.n),
                is_last: part.end == part.total,
                bytes: self.part,
            }),
            Kind::Begin | Kind::Frames => None,
        };
        let frames = self.frames.into_iter().map(|frame| Part {
            value: frame.value(),
            n: 1,
            is_last: true,
            bytes: frame.bytes().clone(),
        });
        frames.chain(part)
    }
}

/// Reads frames that follow each other, as the header says.
fn decode_frames(mut body: Bytes, header: &Header) -> Result<Vec<Frame>, String> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut prev = header.prev;
    while let Some(length) = body.first_chunk() {
        let n_bytes = u32::from_le_bytes(*length) as usize;
        if body.len() - LENGTH_BYTES < n_bytes {
            return Err("it was cut".to_owned());
        }
        let mut frame = body.split_to(LENGTH_BYTES + n_bytes);
        let frame = Frame::decode(frame.split_off(LENGTH_BYTES));
        let frame = frame.map_err(|error| error.to_string())?;
        if frame.prev() != prev {
            return Err("its emits do not follow each other".to_owned());
        }
        prev = Some(frame.value());
        frames.push(frame);
    }
    if !body.is_empty() || frames.is_empty() || prev != Some(header.value) {
        return Err("its emits are not those that its header names".to_owned());
    }
    Ok(frames)
}

/// Whether a body is a part as the header says.
fn is_part(body: &Bytes, header: &Header, part: PartOf) -> bool {
    let (end, total) = (part.end as usize, part.total as usize);
    let is_first = end == body.len();
    header.value <= MAX_VALUE
        && header.prev < Some(header.value)
        && !body.is_empty()
        && end >= body.len()
        && end <= total
        && total <= NatsLog::MAX_FRAME_BYTES
        && part.n >= 1
        && is_first == (part.n == 1)
}

/// The checksum that is in a frame.
fn checksum(frame: &Frame) -> u32 {
    let bytes = frame.bytes();
    bytes.get(1..5).map_or(0, |bytes| {
        u32::from_le_bytes(std::array::from_fn(|i| bytes[i]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rangewatch_bridge::FrameBuilder;

    fn frame(prev: Option<u64>, value: u64, n_bytes: usize) -> Frame {
        let mut builder = FrameBuilder::new(prev, value);
        builder.push(b"key", &vec![value as u8; n_bytes]);
        builder.finish()
    }

    fn begun(head: Option<u64>) -> Header {
        Entry::decode(&Entry::begin(7, head)).unwrap().header
    }

    #[test]
    fn a_beginning_is_read_back() {
        for head in [None, Some(0), Some(u64::MAX - 2)] {
            let header = begun(head);
            assert_eq!((header.epoch, header.kind), (7, Kind::Begin));
            assert_eq!((header.prev, header.head()), (head, head));
        }
    }

    #[test]
    fn frames_that_fit_are_one_message_and_the_others_the_next() {
        let frames = [
            frame(None, 1, 40),
            frame(Some(1), 5, 40),
            frame(Some(5), 6, 40),
        ];
        let two = HEADER_BYTES + 2 * (LENGTH_BYTES + frames[0].bytes().len());
        let (header, bytes) = Entry::next(&frames, &begun(None), two);
        assert_eq!(bytes.len(), two);
        assert_eq!((header.prev, header.head()), (None, Some(5)));
        let entry = Entry::decode(&bytes).unwrap();
        assert_eq!((entry.header, &entry.frames[..]), (header, &frames[..2]));
        let (header, bytes) = Entry::next(&frames[2..], &header, two);
        let entry = Entry::decode(&bytes).unwrap();
        assert_eq!((entry.header, &entry.frames[..]), (header, &frames[2..]));
        assert_eq!((header.prev, header.head()), (Some(5), Some(6)));
    }

    #[test]
    fn a_large_frame_is_several_messages_which_writers_continue_together() {
        let frames = [frame(Some(3), 4, 1000), frame(Some(4), 5, 0)];
        let mut last = begun(Some(3));
        let mut read = Vec::new();
        for (n, max_bytes) in [(1, 300), (2, 100), (3, 500), (4, 500)] {
            let (header, bytes) = Entry::next(&frames, &last, max_bytes);
            assert!(bytes.len() <= max_bytes);
            let entry = Entry::decode(&bytes).unwrap();
            assert_eq!(entry.header, header);
            let Kind::Part(part) = header.kind else {
                panic!("{header:?}");
            };
            assert_eq!(part.n, n);
            read.extend_from_slice(&entry.part);
            let is_last = part.end == part.total;
            assert_eq!(header.head(), Some(if is_last { 4 } else { 3 }));
            last = header;
            if is_last {
                assert_eq!(n, 4);
            }
        }
        assert_eq!(&read, frames[0].bytes());
        // What was begun is of another frame: it begins again.
        let (begun, _) = Entry::next(&frames, &begun(Some(3)), 300);
        let other = [frame(Some(3), 4, 999)];
        let (header, _) = Entry::next(&other, &begun, 300);
        assert!(matches!(header.kind, Kind::Part(part) if part.n == 1));
    }

    #[test]
    fn other_bytes_are_not_a_message() {
        let frames = [frame(None, 1, 40), frame(Some(1), 5, 40)];
        let (_, bytes) = Entry::next(&frames, &begun(None), 1000);
        let (_, part) = Entry::next(&frames, &begun(None), 80);
        for good in [bytes, part, Entry::begin(7, None)] {
            assert!(Entry::decode(&good).is_ok());
            for at in 0..good.len() {
                let mut changed = good.to_vec();
                changed[at] ^= 0x10;
                let decoded = Entry::decode(&changed.into());
                // The bytes of a part are checked with the others.
                let is_part = decoded.as_ref().is_ok_and(|entry| !entry.part.is_empty());
                assert!(decoded.is_err() || (is_part && at >= HEADER_BYTES), "{at}");
                assert!(Entry::decode(&good.slice(..at)).is_err() || is_part, "{at}");
            }
            let mut longer = good.to_vec();
            longer.push(0);
            assert!(Entry::decode(&longer.into()).is_err());
        }
    }
}
