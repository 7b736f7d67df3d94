//! Items of an event subscription.

use std::fmt;

use thiserror::Error;

use crate::{Event, Span};

/// One item of an event subscription, from
/// [`EventSubscription::recv_item`](crate::EventSubscription::recv_item).
/// [`recv`](crate::EventSubscription::recv) returns events only.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::Item;
///
/// /// The checkpoint to resume after.
/// fn checkpoint(item: &Item) -> Option<u64> {
///     match item {
///         Item::Event(event) => Some(event.value()),
///         Item::Gap(span) => Some(span.last()),
///         Item::Progress(value) => Some(*value),
///         _ => None,
///     }
/// }
/// # assert_eq!(checkpoint(&Item::Progress(7)), Some(7));
/// ```
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<P = ()> {
    /// An emit that matched.
    Event(Event<P>),
    /// Emits that matched while the queue was full, with
    /// [`Overflow::Coalesce`](crate::Overflow::Coalesce): rescan the store from its first value to
    /// its last.
    Gap(Span),
    /// A progress mark: every matching emit up to this value was received or reported as missed,
    /// and every later event and gap has a greater value. Marks at an interval repeat while nothing
    /// is emitted.
    ///
    /// Requested with [`request_progress`](crate::EventSubscription::request_progress) or
    /// [`progress_every`](crate::SubscribeBuilder::progress_every). Store it as the checkpoint to
    /// resume after.
    Progress(u64),
}

impl<P> Clone for Item<P> {
    fn clone(&self) -> Self {
        match self {
            Self::Event(event) => Self::Event(event.clone()),
            Self::Gap(gap) => Self::Gap(*gap),
            Self::Progress(mark) => Self::Progress(*mark),
        }
    }
}

impl<P> fmt::Debug for Item<P> {
    /// Shows no payloads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => f.debug_tuple("Event").field(event).finish(),
            Self::Gap(gap) => f.debug_tuple("Gap").field(gap).finish(),
            Self::Progress(mark) => f.debug_tuple("Progress").field(mark).finish(),
        }
    }
}

/// Why a progress mark could not be requested.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{ProgressError, RangeWatchBus};
///
/// let bus = RangeWatchBus::new();
/// let mut sub = bus.subscribe("a".."b").events(16)?;
/// assert_eq!(sub.request_progress(), Err(ProgressError::NoHistory));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProgressError {
    /// The bus has no history: its values need not increase, so that a mark has no meaning.
    #[error("this bus has no history: build it with `RangeWatchBus::builder().history(..)`")]
    NoHistory,
}
