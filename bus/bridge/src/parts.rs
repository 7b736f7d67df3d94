//! Frames in parts, for engines that bound the size of an entry.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

use crate::{ForeignEntry, Frame, LogItem};

/// Puts frames together that an engine stores in parts, for implementations of logs.
///
/// The parts of a frame are numbered from 1, and the last one is marked. A part that does not
/// follow the one before it ends the frame that was begun, which is reported as a foreign entry,
/// unless the same frame begins again: a writer was lost between two parts, and another one has
/// appended them all.
///
/// # Examples
///
/// ```
/// use rangewatch_bridge::{FrameBuilder, LogItem, Part, Parts};
///
/// let mut builder = FrameBuilder::new(None, 7);
/// builder.push(b"order/17", b"two shirts");
/// let frame = builder.finish();
///
/// let mut parts = Parts::new(1 << 20);
/// let mut items = Vec::new();
/// for (n, bytes, is_last) in Parts::split(&frame, 10) {
///     let part = Part { value: 7, n, is_last, bytes };
///     parts.push(part, || format!("7-{n}"), &mut items);
/// }
/// assert_eq!(items, [LogItem::Emit(frame)]);
/// ```
#[derive(Debug)]
pub struct Parts {
    max_frame_bytes: usize,
    /// The frame that has begun, its value, and the number of its last part.
    begun: Option<(BytesMut, u64, u64)>,
}

/// A part of a frame, or a frame in one part.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "implementations of logs make it")]
pub struct Part {
    /// The value of the frame.
    pub value: u64,
    /// The number of the part, from 1.
    pub n: u64,
    /// Whether it is the last one of the frame.
    pub is_last: bool,
    /// The bytes.
    pub bytes: Bytes,
}

impl Parts {
    /// Puts frames of at most `max_frame_bytes` together: the bound on the memory that an
    /// unfinished one takes.
    #[must_use]
    pub const fn new(max_frame_bytes: usize) -> Self {
        Self {
            max_frame_bytes,
            begun: None,
        }
    }

    /// Splits a frame into parts of at most `max_part_bytes`, which is at least 1. Each is its
    /// number, its bytes, and whether it is the last one.
    pub fn split(
        frame: &Frame,
        max_part_bytes: usize,
    ) -> impl Iterator<Item = (u64, Bytes, bool)> + '_ {
        let bytes = frame.bytes();
        let max = max_part_bytes.max(1);
        let starts = (0..bytes.len()).step_by(max);
        (1..).zip(starts).map(move |(n, start)| {
            let end = bytes.len().min(start + max);
            (n, bytes.slice(start..end), end == bytes.len())
        })
    }

    /// Takes the next part of a log. Adds the frame to `items` if it is complete, and foreign
    /// entries if this part or those before it are none; `at` names the place of this part.
    pub fn push(&mut self, part: Part, at: impl Fn() -> String, items: &mut Vec<LogItem>) {
        if part.n == 1 {
            match &self.begun {
                Some((_, value, _)) if *value == part.value => self.begun = None,
                _ => self.abandon(items),
            }
        } else {
            let follows = |(_, value, n): &(BytesMut, u64, u64)| {
                *value == part.value && n.checked_add(1) == Some(part.n)
            };
            if !self.begun.as_ref().is_some_and(follows) {
                self.abandon(items);
                let reason = format!("part {} of the emit {} comes alone", part.n, part.value);
                items.push(LogItem::Foreign(ForeignEntry::new(at(), reason)));
                return;
            }
        }
        let bytes = match self.begun.take() {
            None if part.is_last => part.bytes,
            begun => {
                let (mut bytes, ..) = begun.unwrap_or_default();
                if bytes.len().saturating_add(part.bytes.len()) > self.max_frame_bytes {
                    let mut reason = format!("the emit {} ", part.value);
                    let _ = write!(reason, "takes more than {} bytes", self.max_frame_bytes);
                    items.push(LogItem::Foreign(ForeignEntry::new(at(), reason)));
                    return;
                }
                bytes.extend_from_slice(&part.bytes);
                if !part.is_last {
                    self.begun = Some((bytes, part.value, part.n));
                    return;
                }
                bytes.freeze()
            }
        };
        items.push(match Frame::decode(bytes) {
            Ok(frame) if frame.value() == part.value => LogItem::Emit(frame),
            Ok(frame) => {
                let reason = format!(
                    "its place says {}, and it holds {}",
                    part.value,
                    frame.value()
                );
                LogItem::Foreign(ForeignEntry::new(at(), reason))
            }
            Err(error) => LogItem::Foreign(ForeignEntry::new(at(), error)),
        });
    }

    /// Whether a frame has begun whose last part is yet to come.
    #[must_use]
    pub const fn is_unfinished(&self) -> bool {
        self.begun.is_some()
    }

    /// Reports the frame that has begun: it stays unfinished.
    fn abandon(&mut self, items: &mut Vec<LogItem>) {
        if let Some((_, value, n)) = self.begun.take() {
            let reason = format!("the emit ends after part {n}");
            let at = format!("of value {value}");
            items.push(LogItem::Foreign(ForeignEntry::new(at, reason)));
        }
    }
}
