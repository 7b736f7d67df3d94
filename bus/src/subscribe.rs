//! From selectors to a subscription.

use std::num::NonZeroUsize;
use std::sync::Arc;

use thiserror::Error;

use crate::event_queue::EventQueue;
use crate::key_range::EmptyRangeMessage;
use crate::key_ranges::KeyRanges;
use crate::mailbox::Mailbox;
use crate::registration::{Registration, Subscriber};
use crate::shared::Shared;
use crate::span::SpanBuffer;
use crate::{EmptyRangeError, EventSubscription, Selectors, WakeSubscription};

/// Makes a subscription, from [`RangeWatchBus::subscribe`](crate::RangeWatchBus::subscribe).
///
/// Nothing is subscribed until one of its functions returns a subscription.
#[derive(Debug)]
#[must_use = "nothing is subscribed until `wake` or `events` is called"]
pub struct SubscribeBuilder<'a> {
    shared: &'a Arc<Shared>,
    selectors: Selectors,
}

/// Why a subscription was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A range selector holds no key: its end does not lie above its start.
    #[error("{}", EmptyRangeMessage { from, to })]
    EmptyRange {
        /// The start of the range, which would be inclusive.
        from: Box<[u8]>,
        /// The end of the range, which would be exclusive.
        to: Box<[u8]>,
    },
    /// A queue of no events was asked for.
    #[error(
        "an event queue needs room for at least one event: ask for a capacity above 0, \
         or for a wake subscription"
    )]
    ZeroCapacity,
    /// The bus is closed, for good.
    #[error("the bus is closed: nothing will be emitted any more")]
    Closed,
}

impl From<EmptyRangeError> for SubscribeError {
    fn from(EmptyRangeError { from, to }: EmptyRangeError) -> Self {
        Self::EmptyRange { from, to }
    }
}

impl<'a> SubscribeBuilder<'a> {
    pub(crate) const fn new(shared: &'a Arc<Shared>, selectors: Selectors) -> Self {
        Self { shared, selectors }
    }

    /// Subscribes to one [`Span`](crate::Span) per receive, of all matching emits since the last:
    /// O(1) memory, nothing to overflow.
    ///
    /// An emit that begins after this has returned is seen. One that is concurrent is seen wholly
    /// or not at all, and if it is seen, so is every later one.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::EmptyRange`] if a range selector holds no key, [`SubscribeError::Closed`]
    /// if the bus is closed.
    pub fn wake(self) -> Result<WakeSubscription, SubscribeError> {
        let ranges = KeyRanges::normalize(&self.selectors)?;
        let mailbox = Arc::new(Mailbox::new(SpanBuffer::new()));
        let subscriber = Subscriber::Wake(Arc::clone(&mailbox));
        Ok(WakeSubscription::new(
            mailbox,
            Registration::new(self.shared, &ranges, subscriber)?,
        ))
    }

    /// Subscribes to every matching emit as an [`Event`](crate::Event), through a queue of at most
    /// `capacity` events.
    ///
    /// A full queue drops its oldest event for a new one, and the next receive says how many were
    /// dropped. The capacity is a bound on the number of events; memory is allocated as the
    /// queue fills, so a huge capacity costs nothing by itself.
    ///
    /// An emit that begins after this has returned is seen. One that is concurrent is seen wholly
    /// or not at all, and if it is seen, so is every later one.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::EmptyRange`] if a range selector holds no key,
    /// [`SubscribeError::ZeroCapacity`] if `capacity` is 0, [`SubscribeError::Closed`] if the
    /// bus is closed.
    pub fn events(self, capacity: usize) -> Result<EventSubscription, SubscribeError> {
        let ranges = Arc::new(KeyRanges::normalize(&self.selectors)?);
        let capacity = NonZeroUsize::new(capacity).ok_or(SubscribeError::ZeroCapacity)?;
        let mailbox = Arc::new(Mailbox::new(EventQueue::new(capacity)));
        let subscriber = Subscriber::Events(Arc::clone(&mailbox));
        let registration = Registration::new(self.shared, &ranges, subscriber)?;
        Ok(EventSubscription::new(mailbox, ranges, registration))
    }
}
