//! Errors of receiving.

use std::fmt;

use thiserror::Error;

use crate::Span;

/// Why [`EventSubscription::recv`](crate::EventSubscription::recv) returned no event.
///
/// [`Lagged`](Self::Lagged) and [`Coalesced`](Self::Coalesced) are gaps, after which more events
/// follow. The others are the end. Use [`is_end`](Self::is_end), which also knows variants that
/// your code does not.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{EventSubscription, RecvError};
///
/// async fn follow(mut sub: EventSubscription) -> Result<(), RecvError> {
///     loop {
///         match sub.recv().await {
///             Ok(event) => println!("{} changed", event.value()),
///             Err(RecvError::Closed) => return Ok(()),
///             Err(gap) if !gap.is_end() => println!("{gap}: rescan"),
///             Err(end) => return Err(end),
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The queue was full, and exactly this many events were dropped, those directly before the
    /// next one received. Not the end: the oldest event retained is next.
    ///
    /// A history may still have the missed events: until the next receive, the
    /// [`position`](crate::EventSubscription::position) is that before the gap, and a subscription
    /// after it receives them.
    #[error(
        "missed {0} events: rescan what you watch, and receive faster or ask for a larger capacity"
    )]
    Lagged(u64),
    /// The queue was full, and these events were coalesced. Not the end: later events follow.
    #[error(
        "{} events were coalesced into a gap: rescan from {} to {}, and receive faster or ask for a larger capacity",
        .0.count(), .0.first(), .0.last()
    )]
    Coalesced(Span),
    /// The queue was full, and the subscription ended. Every later receive returns the same error,
    /// or [`Compacted`](Self::Compacted) if the bus is restored.
    #[error(
        "the queue was full, and the subscription ended: subscribe again since {resume} if there is a history, or rescan, \
         and receive faster or ask for a larger capacity"
    )]
    Disconnected {
        /// The value of the first event that was not received. A subscription since this value
        /// misses nothing that is still in the history.
        resume: u64,
    },
    /// Events that the subscription had yet to read were removed from the history, or the bus was
    /// [restored](crate::RangeWatchBus::restore), and the subscription ended. Every later receive
    /// returns the same error, until the bus is restored again.
    #[error(
        "events that were not received yet were removed from the history: rescan, and subscribe again \
         since {floor}{}", InEpoch(*epoch)
    )]
    Compacted {
        /// The least value that a new subscription can begin with.
        floor: u64,
        /// The epoch of the bus, in which `floor` counts. If it is not that of the subscription,
        /// the bus was [restored](crate::RangeWatchBus::restore).
        epoch: u64,
    },
    /// The bus is closed, and everything that the queue held was received. Every later receive
    /// returns the same error. [`close_reason`](crate::EventSubscription::close_reason) says why.
    #[error("the bus is closed and everything has been received")]
    Closed,
}

impl RecvError {
    /// Whether this is the end: every later receive returns the same error.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        match self {
            Self::Lagged(_) | Self::Coalesced(_) => false,
            Self::Disconnected { .. } | Self::Compacted { .. } | Self::Closed => true,
        }
    }
}

/// Names an epoch in a message, unless it is that of a bus without epochs.
pub(crate) struct InEpoch(pub(crate) u64);

impl fmt::Display for InEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            epoch => write!(f, " in epoch {epoch}"),
        }
    }
}

/// Why [`EventSubscription::try_recv`](crate::EventSubscription::try_recv) returned no event: the
/// reasons of [`RecvError`], and those for which [`recv`](crate::EventSubscription::recv) waits.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, TryRecvError};
///
/// let bus = RangeWatchBus::new();
/// let mut sub = bus.subscribe("a".."b").events(16)?;
/// assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
/// bus.emit(1, ["a1"])?;
/// assert_eq!(sub.try_recv()?.value(), 1);
/// sub.pause()?;
/// assert_eq!(sub.try_recv(), Err(TryRecvError::NotStarted));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// The queue is empty.
    #[error("the queue is empty: try again after an emit, or await an event with recv")]
    Empty,
    /// The subscription reads from the history, and none of the emits that this call has read
    /// match. One call reads at most 4,096 emits.
    #[error("nothing that matches in the part of the history that was read: try again at once")]
    CatchingUp,
    /// The subscription is reserved, held or paused.
    #[error("the subscription is not started: start it to receive")]
    NotStarted,
    /// As [`RecvError::Lagged`].
    #[error("{}", RecvError::Lagged(*.0))]
    Lagged(u64),
    /// As [`RecvError::Coalesced`].
    #[error("{}", RecvError::Coalesced(*.0))]
    Coalesced(Span),
    /// As [`RecvError::Disconnected`].
    #[error("{}", RecvError::Disconnected { resume: *resume })]
    Disconnected {
        /// The value of the first event that was not received.
        resume: u64,
    },
    /// As [`RecvError::Compacted`].
    #[error("{}", RecvError::Compacted { floor: *floor, epoch: *epoch })]
    Compacted {
        /// The least value that a new subscription can begin with.
        floor: u64,
        /// The epoch of the bus, in which `floor` counts.
        epoch: u64,
    },
    /// As [`RecvError::Closed`].
    #[error("{}", RecvError::Closed)]
    Closed,
}

impl TryRecvError {
    /// The error that [`recv`](crate::EventSubscription::recv) would return; `None` if it would
    /// wait.
    #[must_use]
    pub const fn recv_error(self) -> Option<RecvError> {
        match self {
            Self::Empty | Self::CatchingUp | Self::NotStarted => None,
            Self::Lagged(missed) => Some(RecvError::Lagged(missed)),
            Self::Coalesced(gap) => Some(RecvError::Coalesced(gap)),
            Self::Disconnected { resume } => Some(RecvError::Disconnected { resume }),
            Self::Compacted { floor, epoch } => Some(RecvError::Compacted { floor, epoch }),
            Self::Closed => Some(RecvError::Closed),
        }
    }
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(missed) => Self::Lagged(missed),
            RecvError::Coalesced(gap) => Self::Coalesced(gap),
            RecvError::Disconnected { resume } => Self::Disconnected { resume },
            RecvError::Compacted { floor, epoch } => Self::Compacted { floor, epoch },
            RecvError::Closed => Self::Closed,
        }
    }
}

/// Why [`WakeSubscription::recv`](crate::WakeSubscription::recv) returned no span: the bus is
/// closed, and the last span was received. Every later receive returns the same error.
/// [`close_reason`](crate::WakeSubscription::close_reason) says why.
///
/// There is no other error, because a wake subscription cannot lag.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{Closed, RangeWatchBus};
///
/// # futures::executor::block_on(async {
/// let bus = RangeWatchBus::new();
/// let mut wake = bus.subscribe("a".."b").wake()?;
/// bus.emit(1, ["a1"])?;
/// bus.close();
/// assert_eq!(wake.recv().await?.last(), 1);
/// assert_eq!(wake.recv().await, Err(Closed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bus is closed and everything has been received")]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is nothing to add, and a unit is written in patterns"
)]
pub struct Closed;

/// Why [`WakeSubscription::try_recv`](crate::WakeSubscription::try_recv) returned no span.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, TryWakeError};
///
/// let bus = RangeWatchBus::new();
/// let mut wake = bus.subscribe(..).wake()?;
/// assert_eq!(wake.try_recv(), Err(TryWakeError::Empty));
/// bus.close();
/// assert_eq!(wake.try_recv(), Err(TryWakeError::Closed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryWakeError {
    /// Nothing matched since the last receive.
    #[error(
        "nothing matched since the last receive: try again after an emit, or await one with recv"
    )]
    Empty,
    /// The subscription is reserved, held or paused.
    #[error("the subscription is not started: start it to receive")]
    NotStarted,
    /// The bus is closed, and the last span was received. Every later receive returns the same
    /// error.
    #[error("the bus is closed and everything has been received")]
    Closed,
}
