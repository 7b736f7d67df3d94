//! Why a receive gives no item.

use thiserror::Error;

/// A consumer was too slow, and its queue dropped the oldest events to make room for newer ones.
///
/// The events missed are those directly before the next one received; the order is otherwise
/// unharmed. This is what a [`Stream`](futures_core::Stream) of events yields where
/// [`EventSubscription::recv`](crate::EventSubscription::recv) returns [`RecvError::Lagged`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "missed {missed} events: rescan what you watch, and receive faster or ask for a larger capacity"
)]
pub struct Lagged {
    missed: u64,
}

impl Lagged {
    pub(crate) const fn new(missed: u64) -> Self {
        Self { missed }
    }

    /// The exact number of events missed, at least 1.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

/// Why [`EventSubscription::recv`](crate::EventSubscription::recv) returned no event.
///
/// In the wildcard arm that a match needs, return the error: an error that your code does not know
/// says neither that the stream goes on, as after a lag, nor that it has ended. Whoever takes it for
/// the end may lose events in silence; whoever takes it for a lag may loop for ever.
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
///             Err(RecvError::Lagged(missed)) => println!("missed {missed} events: rescan"),
///             Err(RecvError::Closed) => return Ok(()),
///             Err(unknown) => return Err(unknown),
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The consumer was too slow and missed exactly this many events, those directly before the
    /// next one received. Not the end: the oldest event retained is next.
    #[error(
        "missed {0} events: rescan what you watch, and receive faster or ask for a larger capacity"
    )]
    Lagged(u64),
    /// The bus is closed, and everything that the queue held has been received. Every later receive
    /// says so too.
    #[error("the bus is closed and everything has been received")]
    Closed,
}

/// Why [`EventSubscription::try_recv`](crate::EventSubscription::try_recv) returned no event.
///
/// In the wildcard arm that a match needs, return the error, as for [`RecvError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// The queue is empty for now.
    #[error("no event for now: try again after an emit, or await one with recv")]
    Empty,
    /// The consumer was too slow and missed exactly this many events, those directly before the
    /// next one received. Not the end: the oldest event retained is next.
    #[error(
        "missed {0} events: rescan what you watch, and receive faster or ask for a larger capacity"
    )]
    Lagged(u64),
    /// The bus is closed, and everything that the queue held has been received. Every later receive
    /// says so too.
    #[error("the bus is closed and everything has been received")]
    Closed,
}

/// Why [`WakeSubscription::recv`](crate::WakeSubscription::recv) returned no span: the bus is
/// closed, and the last span has been received. Every later receive says so too.
///
/// A wake subscription cannot lag, so there is no other error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the bus is closed and everything has been received")]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is nothing to add, and a unit is written in patterns"
)]
pub struct Closed;

/// Why [`WakeSubscription::try_recv`](crate::WakeSubscription::try_recv) returned no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryWakeError {
    /// Nothing matched since the last receive.
    #[error(
        "nothing matched since the last receive: try again after an emit, or await one with recv"
    )]
    Empty,
    /// The bus is closed, and the last span has been received. Every later receive says so too.
    #[error("the bus is closed and everything has been received")]
    Closed,
}

impl From<Lagged> for RecvError {
    fn from(lagged: Lagged) -> Self {
        Self::Lagged(lagged.missed())
    }
}

impl From<Lagged> for TryRecvError {
    fn from(lagged: Lagged) -> Self {
        Self::Lagged(lagged.missed())
    }
}
