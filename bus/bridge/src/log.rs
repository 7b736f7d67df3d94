//! The traits that an engine implements.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use thiserror::Error;

use crate::{BoxError, Frame, MAX_VALUE};

/// An ordered, replayable log of the emits of one bus, on some engine.
///
/// A log holds [`Frame`]s, whose values strictly increase, each naming the value before it. It has
/// an **epoch**, a number that its writers choose. A log whose server has lost or rewound its data
/// begins another epoch. A log that has no epoch does not exist yet.
///
/// Implementations translate and hold no policy: they do not reconnect, retry, buffer or skip.
/// [`Reader`](crate::Reader), [`Appender`](crate::Appender) and [`Writer`](crate::Writer) do that,
/// and check what they read. [`conformance`](crate::conformance) tests an implementation.
#[async_trait]
pub trait Log: fmt::Debug + Send + Sync + 'static {
    /// Connects for appending.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`] if the server cannot be reached, [`LogError::Refused`] if it
    /// refuses, [`LogError::ReadOnly`] if this log can only be read.
    async fn writer(&self) -> Result<Box<dyn LogWriter>, LogError>;

    /// Connects for reading.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`] if the server cannot be reached, [`LogError::Refused`] if it
    /// refuses.
    async fn reader(&self) -> Result<Box<dyn LogReader>, LogError>;

    /// The largest frame that this log takes, in bytes.
    fn max_frame_bytes(&self) -> usize;

    /// Chooses a new epoch: the milliseconds since 1970, or one more than `last` if that is
    /// greater.
    fn new_epoch(&self, last: Option<u64>) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_millis() as u64);
        last.map_or(now, |last| now.max(last + 1))
    }
}

#[async_trait]
impl<L: Log + ?Sized> Log for Arc<L> {
    async fn writer(&self) -> Result<Box<dyn LogWriter>, LogError> {
        (**self).writer().await
    }

    async fn reader(&self) -> Result<Box<dyn LogReader>, LogError> {
        (**self).reader().await
    }

    fn max_frame_bytes(&self) -> usize {
        (**self).max_frame_bytes()
    }

    fn new_epoch(&self, last: Option<u64>) -> u64 {
        (**self).new_epoch(last)
    }
}

/// A connection that appends to a log. After [`LogError::Unavailable`] it is of no use.
///
/// The methods are not cancel safe: a connection whose call was dropped is of no use either.
#[async_trait]
pub trait LogWriter: Send {
    /// The epoch and the bounds of the log.
    ///
    /// # Errors
    ///
    /// [`LogError::Missing`] if the log does not exist, [`LogError::Unavailable`],
    /// [`LogError::Refused`], [`LogError::Foreign`].
    async fn head(&mut self) -> Result<Head, LogError>;

    /// Appends what the log does not have of `frames`, which follow each other: each names the one
    /// before it.
    ///
    /// In one step, as seen by other writers: leaves out the frames at or below the head of the
    /// log, and appends the others in their order if the first of them names the head as the value
    /// before it. A frame is appended whole or not at all; if the connection breaks, the frames
    /// that were appended are the first ones. A call may be repeated.
    ///
    /// # Errors
    ///
    /// [`LogError::NotNext`] if frames above the head do not continue it, and nothing was appended;
    /// [`LogError::EpochChanged`] if the epoch of the log is not `epoch`, [`LogError::Missing`] if
    /// there is no log; [`LogError::TooLarge`]; [`LogError::Foreign`] if the end of the log was
    /// written by another program. [`LogError::Unavailable`] leaves open whether frames were
    /// appended. [`LogError::Refused`].
    async fn append(&mut self, epoch: u64, frames: &[Frame]) -> Result<Appended, LogError>;

    /// Begins an empty log whose epoch is `epoch`, and whose first emit follows `head`. What the
    /// log of the epoch `last` held is removed.
    ///
    /// Has no effect if the epoch of the log is not `last` (`None`: the log is missing): of several
    /// writers that begin an epoch at once, one does, and the others learn of it from
    /// [`head`](Self::head). `epoch` is greater than `last`.
    ///
    /// # Errors
    ///
    /// [`LogError::Unavailable`], [`LogError::Refused`].
    async fn begin_epoch(
        &mut self,
        last: Option<u64>,
        epoch: u64,
        head: Option<u64>,
    ) -> Result<(), LogError>;

    /// Removes emits below `before`. Returns the floor of the log, which may be below `before`: an
    /// engine may remove in pieces, and never removes more. Without effect on an empty log.
    ///
    /// # Errors
    ///
    /// [`LogError::Missing`], [`LogError::EpochChanged`], [`LogError::Unavailable`],
    /// [`LogError::Refused`].
    async fn compact(&mut self, epoch: u64, before: u64) -> Result<u64, LogError>;
}

/// A connection that reads a log. After [`LogError::Unavailable`] it is of no use.
///
/// The methods are not cancel safe: a connection whose call was dropped is of no use either.
#[async_trait]
pub trait LogReader: Send {
    /// The epoch and the bounds of the log.
    ///
    /// # Errors
    ///
    /// [`LogError::Missing`] if the log does not exist, [`LogError::Unavailable`],
    /// [`LogError::Refused`].
    async fn head(&mut self) -> Result<Head, LogError>;

    /// Continues with the emits of `epoch` above `after`; `None`: with those from the beginning.
    /// `after` may lie above the head.
    ///
    /// # Errors
    ///
    /// [`LogError::EpochChanged`], [`LogError::Missing`], [`LogError::Unavailable`],
    /// [`LogError::Refused`]. [`LogError::Compacted`] if `after` lies below what the log holds,
    /// here or at [`next`](Self::next), if this log can tell.
    async fn seek(&mut self, epoch: u64, after: Option<u64>) -> Result<(), LogError>;

    /// Waits for the next items, and returns some, in order. May return none after some seconds, as
    /// a sign that the connection is alive; an implementation that hears nothing from its server
    /// for longer fails.
    ///
    /// # Errors
    ///
    /// [`LogError::Compacted`], [`LogError::EpochChanged`], [`LogError::Missing`],
    /// [`LogError::Unavailable`], [`LogError::Refused`]. Items that were read before are returned
    /// first.
    async fn next(&mut self) -> Result<Vec<LogItem>, LogError>;
}

/// What a [`LogReader`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogItem {
    /// An emit.
    Emit(Frame),
    /// Every emit at or below this value was read: the log was read to its head, or its values
    /// increase without emits.
    Progress(u64),
    /// An entry that is no frame. What follows it tells whether an emit was lost.
    Foreign(ForeignEntry),
}

/// An entry of a log that is not a frame of this crate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the entry {at} is not one of a bridge: {reason}")]
#[non_exhaustive]
pub struct ForeignEntry {
    /// Where it is, in the words of the engine.
    pub at: String,
    /// What is wrong with it.
    pub reason: String,
}

impl ForeignEntry {
    /// Names an entry.
    pub fn new(at: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self {
            at: at.into(),
            reason: reason.to_string(),
        }
    }
}

/// The epoch and the bounds of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementations of logs make it")]
pub struct Head {
    /// The epoch.
    pub epoch: u64,
    /// The value of the last emit, or the one that the epoch began after; `None` if there is none.
    pub value: Option<u64>,
    /// The least value from which on the log holds all emits. 0 if the log cannot tell.
    pub floor: u64,
}

impl Head {
    /// Checks that a bus can go on from here.
    pub(crate) fn checked(self) -> Result<Self, LogError> {
        if self.value > Some(MAX_VALUE) || self.floor > MAX_VALUE + 1 {
            let entry = ForeignEntry::new("at the end", "its value is above the greatest one");
            return Err(LogError::Foreign(entry));
        }
        Ok(self)
    }
}

/// What [`LogWriter::append`] did: of the frames that it was given, the first ones were left out,
/// the others were appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "implementations of logs make it")]
pub struct Appended {
    /// The head of the log before the append; `None` if it was empty.
    pub head_before: Option<u64>,
}

impl Appended {
    /// What became of the emit of `value`, one of those that were given.
    #[must_use]
    pub fn outcome(&self, value: u64) -> Outcome {
        match self.head_before {
            Some(head) if value < head => Outcome::Older,
            Some(head) if value == head => Outcome::Duplicate,
            _ => Outcome::Appended,
        }
    }
}

/// What became of an emit that was given to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is in the log now.
    Appended,
    /// The head of the log had this value: another writer, or an earlier attempt, appended it.
    Duplicate,
    /// It lies below the head of the log, which has it, or had it, or will never take it.
    Older,
}

/// Why an operation of a log failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The connection was lost, or could not be made. An append may have taken effect.
    #[error("the server of the log cannot be reached: connect again, and repeat what was appended")]
    Unavailable(#[source] BoxError),
    /// The log has no epoch: no writer has begun it, or its server has lost it.
    #[error("the log does not exist: no writer has begun it, or its server has lost its data")]
    Missing,
    /// The log has another epoch.
    #[error("the log has begun another epoch, {epoch}: read its head, and rescan")]
    EpochChanged {
        /// The epoch of the log.
        epoch: u64,
    },
    /// The frames above the head do not continue it.
    #[error("the frames do not continue the log, whose head is {head:?}: append what follows it")]
    NotNext {
        /// The head of the log; `None` if it is empty.
        head: Option<u64>,
    },
    /// Emits that were to be read were removed.
    #[error("the log was compacted: it begins with {floor}")]
    Compacted {
        /// The least value from which on the log holds all emits.
        floor: u64,
    },
    /// The end of the log was written by another program, which has to be removed first.
    #[error("the log ends with an entry that is not one of a bridge: remove it, and append again")]
    Foreign(#[source] ForeignEntry),
    /// A frame is larger than the log takes.
    #[error(
        "the emit {value} takes {n_bytes} bytes, and the log takes {max_bytes}: emit less at a time"
    )]
    TooLarge {
        /// The value of the emit.
        value: u64,
        /// The size of its frame, in bytes.
        n_bytes: usize,
        /// The bound.
        max_bytes: usize,
    },
    /// The log can only be read.
    #[error("this log can only be read: append at its source")]
    ReadOnly,
    /// The server refuses what it was asked, and will at every attempt: a wrong password, a key of
    /// another type, a full disk.
    #[error("the server of the log refuses")]
    Refused(#[source] BoxError),
}

impl LogError {
    /// [`Unavailable`](Self::Unavailable), with its cause.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }

    /// [`Refused`](Self::Refused), with its cause.
    pub fn refused(source: impl Into<BoxError>) -> Self {
        Self::Refused(source.into())
    }
}
