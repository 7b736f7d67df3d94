//! The subscription that receives every event.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::event_queue::{EventQueue, Queued};
use crate::key_ranges::KeyRanges;
use crate::mailbox::Mailbox;
use crate::registration::Registration;
use crate::{Event, Lagged, RecvError, Selectors, TryRecvError};

/// Receives every matching emit as an [`Event`], in order, through a bounded queue.
///
/// Made by [`SubscribeBuilder::events`](crate::SubscribeBuilder::events). One emit is one event,
/// however many keys and selectors match.
///
/// # Lagging
///
/// The queue holds at most `capacity` events. A matching emit that finds it full drops the oldest
/// event to make room, and never waits. The next receive then returns how many events were dropped,
/// exactly, and the one after it the oldest event retained: what is missed is always in one piece,
/// directly before the next event.
///
/// # Consumer
///
/// There is one consumer at a time, whichever way it receives: only the waker of the latest pending
/// receive is woken, and once per wait. It is kept until an emit or the close wakes it or the
/// subscription is dropped, also when the future that registered it is dropped before. No executor
/// is needed: any that polls futures will do, and [`poll_recv`](Self::poll_recv) by hand.
///
/// # End
///
/// After the bus is [closed](crate::RangeWatchBus::close), everything still in the queue is
/// received, then [`RecvError::Closed`]; the stream ends. Dropping the subscription, or
/// [`cancel`](Self::cancel), ends it from this side.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, TryRecvError};
///
/// let bus = RangeWatchBus::new();
/// let mut sub = bus.subscribe("a".."m").events(2)?;
/// for value in 1..=5 {
///     bus.emit(value, ["a", "x", "b"])?;
/// }
///
/// assert_eq!(sub.try_recv().unwrap_err(), TryRecvError::Lagged(3));
/// let event = sub.try_recv()?;
/// assert_eq!(event.value(), 4);
/// assert!(event.keys().eq([b"a", b"b"]));
/// assert_eq!(sub.try_recv()?.value(), 5);
/// assert_eq!(sub.try_recv().unwrap_err(), TryRecvError::Empty);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventSubscription {
    mailbox: Arc<Mailbox<EventQueue>>,
    watched: Arc<KeyRanges>,
    registration: Registration,
}

impl EventSubscription {
    pub(crate) const fn new(
        mailbox: Arc<Mailbox<EventQueue>>,
        watched: Arc<KeyRanges>,
        registration: Registration,
    ) -> Self {
        Self {
            mailbox,
            watched,
            registration,
        }
    }

    /// Receives the next event, waiting for one if the queue is empty.
    ///
    /// # Errors
    ///
    /// [`RecvError::Lagged`] if events were dropped since the last receive; the oldest event
    /// retained is next. [`RecvError::Closed`] if the bus is closed and the queue is empty.
    ///
    /// # Cancel safety
    ///
    /// Yes. An event, or the report that events were missed, leaves the subscription only as the
    /// result of this function; if the future is dropped before, nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// use rangewatch_bus::{RangeWatchBus, RecvError, Selector};
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut jobs = bus.subscribe(Selector::prefix("job/")).events(16)?;
    /// bus.emit(1, ["job/7", "other"])?;
    /// bus.close();
    /// loop {
    ///     match jobs.recv().await {
    ///         Ok(event) => assert!(event.keys().eq([b"job/7"])),
    ///         Err(RecvError::Lagged(missed)) => println!("missed {missed} events: rescan"),
    ///         Err(RecvError::Closed) => break,
    ///         Err(other) => return Err(other.into()),
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn recv(&mut self) -> Result<Event, RecvError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Receives the next event without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if the queue is empty for now. [`TryRecvError::Lagged`] if events
    /// were dropped since the last receive; the oldest event retained is next.
    /// [`TryRecvError::Closed`] if the bus is closed and the queue is empty.
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        match self.mailbox.try_take() {
            Poll::Ready(Some(item)) => Ok(self.event(item)?),
            Poll::Ready(None) => Err(TryRecvError::Closed),
            Poll::Pending => Err(TryRecvError::Empty),
        }
    }

    /// [`recv`](Self::recv) for those who poll by hand.
    ///
    /// On `Pending`, the waker of `cx` is woken by the next matching emit or by the close, in place
    /// of the waker of any earlier call. A call with the same waker as before does not clone it
    /// again.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, RecvError>> {
        Poll::Ready(match ready!(self.mailbox.poll_take(cx)) {
            Some(item) => self.event(item).map_err(RecvError::from),
            None => Err(RecvError::Closed),
        })
    }

    /// The number of events in the queue, at most the [`capacity`](Self::capacity).
    #[must_use]
    pub fn len(&self) -> usize {
        self.mailbox.peek(EventQueue::len)
    }

    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The greatest number of events that the queue holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.mailbox.peek(EventQueue::capacity).get()
    }

    /// What this subscription watches: the selectors that it was given, in normal form.
    ///
    /// Overlapping and touching selectors are merged; what remains is disjoint, in ascending order
    /// and put in the plainest form.
    #[must_use]
    pub fn selectors(&self) -> Selectors {
        self.registration.selectors()
    }

    /// Ends the subscription: no later emit reaches it, and what it held is gone and its memory
    /// free.
    ///
    /// The same as dropping it, for code that wants to say so. There is nothing to wait for, hence
    /// no `async`: no code of the consumer runs inside the bus.
    pub fn cancel(self) {
        drop(self);
    }

    fn event(&self, item: Result<Queued, Lagged>) -> Result<Event, Lagged> {
        item.map(|Queued { seq, value, keys }| {
            Event::new(seq, value, keys, Arc::clone(&self.watched))
        })
    }
}

impl Stream for EventSubscription {
    type Item = Result<Event, Lagged>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.mailbox.poll_take(cx));
        Poll::Ready(item.map(|item| self.event(item)))
    }
}

impl fmt::Debug for EventSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSubscription")
            .field("selectors", &self.selectors())
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
