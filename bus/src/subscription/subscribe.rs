//! The builder of subscriptions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::recv_error::InEpoch;
use super::registration::Registration;
use crate::keys::{EmptyRangeMessage, KeyRanges};
use crate::order::{Shared, WakeHost};
use crate::queue::QueueBudget;
use crate::subscription::{EventTemplate, Phase, Since};
use crate::{EmptyRangeError, EventSubscription, Overflow, Selectors, WakeSubscription};

/// Builds a subscription, from [`RangeWatchBus::subscribe`](crate::RangeWatchBus::subscribe) or
/// [`RangeWatchBus::reserve`](crate::RangeWatchBus::reserve).
///
/// [`wake`](Self::wake) or [`events`](Self::events) makes the subscription. The
/// defaults: started, with the next emit; overflow policy
/// [`Overflow::Park`] with history and [`Overflow::Lagged`] without; at most
/// [`DEFAULT_QUEUE_BYTES`](Self::DEFAULT_QUEUE_BYTES) in the queue; no progress marks.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{Overflow, RangeWatchBus, Selector};
///
/// let bus = RangeWatchBus::new();
/// let _jobs = bus
///     .subscribe(Selector::prefix("job/"))
///     .overflow(Overflow::Disconnect)
///     .queue_bytes(1 << 20)
///     .events(256)?;
/// # Ok::<(), rangewatch_bus::SubscribeError>(())
/// ```
#[must_use = "nothing is subscribed until `wake` or `events` is called"]
pub struct SubscribeBuilder<'a, P = ()> {
    shared: &'a Arc<Shared<P>>,
    wake_host: &'a WakeHost,
    selectors: Selectors,
    phase: Phase,
    since: Option<Since>,
    epoch: Option<u64>,
    overflow: Option<Overflow>,
    max_bytes: Option<usize>,
    budget: Option<QueueBudget>,
    progress_every: Option<Duration>,
}

/// Why a subscription could not be made.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, SubscribeError};
///
/// let bus = RangeWatchBus::new();
/// let swapped = bus.subscribe("z".."a").events(16);
/// assert!(matches!(swapped, Err(SubscribeError::EmptyRange { .. })));
/// assert_eq!(bus.subscribe(..).events(0).unwrap_err(), SubscribeError::ZeroCapacity);
/// ```
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
    /// The capacity in events or the bound in bytes is 0.
    #[error(
        "an event queue needs room for at least one event and one byte: ask for more than 0, \
         or for a wake subscription"
    )]
    ZeroCapacity,
    /// The interval of progress marks is zero.
    #[error("progress marks need an interval above zero")]
    ZeroInterval,
    /// `overflow`, `queue_bytes` or `progress_every` was called for a wake subscription, which has
    /// no queue.
    #[error(
        "overflow, queue_bytes and progress_every belong to a queue of events: \
         leave them out, or subscribe for events"
    )]
    NoQueue,
    /// `since` or `since_after` was called for a reserved subscription, which begins when it is
    /// opened.
    #[error(
        "a reserved subscription begins when it is opened: leave out since and since_after, or subscribe and hold"
    )]
    SinceReserved,
    /// `follow` or `mirror` was called for a reserved subscription.
    #[error("a reserved subscription begins when it is opened: subscribe to follow")]
    FollowReserved,
    /// `since` or `since_after` was called for a [`Mirror`](crate::Mirror), which begins with a
    /// snapshot.
    #[error("a mirror begins with a snapshot: leave out since and since_after, or follow")]
    SinceMirror,
    /// The history does not reach back to the value of `since`, or the one after `since_after`, or
    /// that value is of [another epoch](SubscribeBuilder::epoch).
    #[error(
        "the history begins at {floor}{}: rescan, and subscribe since {floor} or later",
        InEpoch(*epoch)
    )]
    Compacted {
        /// The least value that a subscription can begin with.
        floor: u64,
        /// The epoch of the bus, in which `floor` counts.
        epoch: u64,
    },
    /// [`since`](SubscribeBuilder::since) for events, [`Overflow::Park`], progress marks and a
    /// [`Mirror`](crate::Mirror) need a bus with history.
    #[error(
        "this bus has no history: build it with `RangeWatchBus::builder().history(..)`, \
         or do without a mirror, since, parking and progress marks"
    )]
    NoHistory,
    /// The bus has as many subscriptions as it may have. Each counts until it is dropped, also if
    /// it is reserved, held or has ended.
    #[error(
        "the bus has {max} subscriptions, its maximum: drop those that are no longer needed, \
         or build it with a greater `max_subscriptions`"
    )]
    TooManySubscriptions {
        /// The bound, set with
        /// [`max_subscriptions`](crate::RangeWatchBusBuilder::max_subscriptions).
        max: usize,
    },
    /// The bus is closed.
    #[error("the bus is closed: nothing will be emitted any more")]
    Closed,
}

impl From<EmptyRangeError> for SubscribeError {
    fn from(EmptyRangeError { from, to }: EmptyRangeError) -> Self {
        Self::EmptyRange { from, to }
    }
}

impl SubscribeBuilder<'_> {
    /// The default bound of a queue in bytes: 64 MiB.
    ///
    /// Prevents that a few emits of very many keys take all memory.
    pub const DEFAULT_QUEUE_BYTES: usize = 64 << 20;
}

impl<'a, P: Send + Sync + 'static> SubscribeBuilder<'a, P> {
    pub(crate) const fn new(
        shared: &'a Arc<Shared<P>>,
        wake_host: &'a WakeHost,
        selectors: Selectors,
        phase: Phase,
    ) -> Self {
        Self {
            shared,
            wake_host,
            selectors,
            phase,
            since: None,
            epoch: None,
            overflow: None,
            max_bytes: None,
            budget: None,
            progress_every: None,
        }
    }

    /// Begins with the emits of the value `value` and above: first those in the history, then the
    /// live ones, without a gap or a repeat in between.
    ///
    /// With a value above the head nothing below it is received. With `None` the subscription
    /// begins with the next emit, as if this had not been called. This replaces an earlier `since`
    /// or [`since_after`](Self::since_after).
    ///
    /// For events the bus needs a history that reaches back to `value`. A [`wake`](Self::wake)
    /// subscription needs none: without history it begins with a
    /// [conservative](crate::Span::is_conservative) span from `value` to the last value that was
    /// emitted, unless that is below, and the consumer scans its own store for the span.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(1000)).build()?;
    /// for value in 1..=5 {
    ///     bus.emit(value, ["k"])?;
    /// }
    /// let mut sub = bus.subscribe("a".."z").since(4).events(16)?;
    /// bus.emit(6, ["k"])?;
    /// for value in 4..=6 {
    ///     assert_eq!(sub.try_recv()?.value(), value);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn since(mut self, value: impl Into<Option<u64>>) -> Self {
        self.since = value.into().map(Since::at);
        self
    }

    /// As [`since`](Self::since), without the value itself: to resume after the last value that was
    /// applied, such as a checkpoint or a `Last-Event-ID`.
    ///
    /// After `u64::MAX` nothing follows: the subscription receives no emit, only the close. A bus
    /// without history may emit the value `u64::MAX` again; that one is excluded, too.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(1000)).build()?;
    /// for value in 1..=5 {
    ///     bus.emit(value, ["k"])?;
    /// }
    /// let checkpoint = 3;
    /// let mut sub = bus.subscribe("a".."z").since_after(checkpoint).events(16)?;
    /// assert_eq!(sub.try_recv()?.value(), 4);
    ///
    /// // After what another subscription has received, or live if it has received nothing.
    /// let mut next = bus.subscribe("a".."z").since_after(sub.position()).events(16)?;
    /// assert_eq!(next.try_recv()?.value(), 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn since_after(mut self, value: impl Into<Option<u64>>) -> Self {
        self.since = value.into().map(Since::after);
        self
    }

    /// Sets the epoch of the value that [`since`](Self::since) or
    /// [`since_after`](Self::since_after) is given, as [`RangeWatchBus::epoch`] or
    /// [`EventSubscription::epoch`] returned it with the value. If the bus has another epoch,
    /// subscribing fails with [`SubscribeError::Compacted`].
    ///
    /// With `None` the value is taken for one of the epoch of the bus, as if this had not been
    /// called. Without a value to begin with it has no effect. With one, the bus needs a history.
    ///
    /// [`RangeWatchBus::epoch`]: crate::RangeWatchBus::epoch
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus, SubscribeError};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(1000)).build()?;
    /// bus.emit(1, ["k"])?;
    /// bus.emit(2, ["k"])?;
    /// let mut sub = bus.subscribe(..).events(16)?;
    /// let (checkpoint, epoch) = (sub.position(), sub.epoch());
    ///
    /// bus.restore(1, Some(1))?; // the value 2 was lost
    /// let resumed = bus.subscribe(..).since_after(checkpoint).epoch(epoch).events(16);
    /// assert_eq!(resumed.unwrap_err(), SubscribeError::Compacted { floor: 2, epoch: 1 });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn epoch(mut self, epoch: impl Into<Option<u64>>) -> Self {
        self.epoch = epoch.into();
        self
    }

    /// Sets the policy for a full queue of [`events`](Self::events). A wake subscription has no
    /// queue.
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// Bounds the queue of [`events`](Self::events) in bytes, besides its capacity in events. An
    /// event counts all keys of its emit, 8 bytes for each key and for the emit, and what all its
    /// payloads [weigh](crate::RangeWatchBusBuilder::payload_bytes). Queues share the memory of an
    /// emit, but each counts it.
    pub const fn queue_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Bounds the queue also by a budget that it shares with others. Only for a queue that
    /// disconnects: every other policy would have to re-check when another queue releases bytes.
    pub(crate) fn budget(mut self, budget: Option<QueueBudget>) -> Self {
        self.budget = budget;
        self
    }

    /// Makes a held subscription, which delivers nothing until [`start`](EventSubscription::start)
    /// or [`start_after`](EventSubscription::start_after) is called.
    ///
    /// # Examples
    ///
    /// A snapshot, then the events after it, without a gap or a repeat:
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    /// # fn snapshot() -> u64 { 2 }
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut sub = bus.subscribe("a".."z").hold().events(256)?;
    /// for revision in 1..=3 {
    ///     bus.emit(revision, ["k"])?;
    /// }
    /// let revision = snapshot(); // of revision 2
    /// sub.start_after(revision)?;
    /// assert_eq!(sub.try_recv()?.value(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn hold(mut self) -> Self {
        if matches!(self.phase, Phase::Started) {
            self.phase = Phase::Held;
        }
        self
    }

    /// Requests a [progress mark](crate::Item::Progress) about every `interval`, with a jitter of a
    /// tenth, while the consumer receives with [`recv_item`](EventSubscription::recv_item).
    ///
    /// Uses the [`Timer`](crate::timer::Timer) of the bus, from the first receive on. Marks are
    /// also received when nothing ever matched. Needs a bus with history; a wake subscription has
    /// no marks.
    pub const fn progress_every(mut self, interval: Duration) -> Self {
        self.progress_every = Some(interval);
        self
    }

    /// Makes a wake subscription: one [`Span`](crate::Span) per receive, of all matching emits
    /// since the last, in constant memory.
    ///
    /// An emit that begins after this has returned is seen. A concurrent one is seen wholly or not
    /// at all, and if it is seen, so is every later one. With [`since`](Self::since) and history,
    /// this reads the history from there, in pieces.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::EmptyRange`] if a range selector holds no key,
    /// [`SubscribeError::Compacted`] if the history does not reach back to `since`,
    /// [`SubscribeError::SinceReserved`], [`SubscribeError::NoQueue`] if a setting of event queues
    /// was given, [`SubscribeError::TooManySubscriptions`], [`SubscribeError::Closed`] if the bus
    /// is closed.
    pub fn wake(self) -> Result<WakeSubscription, SubscribeError> {
        let ranges = KeyRanges::normalize(&self.selectors)?;
        self.check_since()?;
        if self.overflow.is_some() || self.max_bytes.is_some() || self.progress_every.is_some() {
            return Err(SubscribeError::NoQueue);
        }
        let mailbox = self
            .shared
            .subscribe_wake(&ranges, self.start(), self.phase)?;
        let registration = Registration::new(self.wake_host.clone(), mailbox);
        Ok(WakeSubscription::new(registration))
    }

    /// Makes an event subscription: every matching emit is an [`Event`](crate::Event), in a queue
    /// of at most `capacity` events.
    ///
    /// [`overflow`](Self::overflow) sets the policy for a full queue. The capacity is a
    /// bound; memory is allocated as the queue fills.
    ///
    /// An emit that begins after this has returned is seen. A concurrent one is seen wholly
    /// or not at all, and if it is seen, so is every later one.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::EmptyRange`] if a range selector holds no key,
    /// [`SubscribeError::ZeroCapacity`] if `capacity` or the bound in bytes is 0,
    /// [`SubscribeError::ZeroInterval`], [`SubscribeError::SinceReserved`],
    /// [`SubscribeError::Compacted`] if the history does not reach back to `since`,
    /// [`SubscribeError::NoHistory`] if there is none and since, parking or marks need it,
    /// [`SubscribeError::TooManySubscriptions`], [`SubscribeError::Closed`] if the bus is closed.
    pub fn events(self, capacity: usize) -> Result<EventSubscription<P>, SubscribeError> {
        self.check_since()?;
        let (since, phase) = (self.start(), self.phase);
        self.into_template(capacity).subscribe(since, phase)
    }

    /// The settings of a follower, and its start if it begins with events.
    pub(crate) fn into_following(
        self,
        capacity: usize,
    ) -> Result<(EventTemplate<P>, Option<Since>), SubscribeError> {
        if self.phase == Phase::Reserved {
            return Err(SubscribeError::FollowReserved);
        }
        let since = self.start();
        Ok((self.into_template(capacity), since))
    }

    /// The ranges of a mirror.
    pub(crate) fn mirrored(&self) -> Result<KeyRanges, SubscribeError> {
        if self.since.is_some() {
            return Err(SubscribeError::SinceMirror);
        }
        if self.shared.bounds().is_none() {
            return Err(SubscribeError::NoHistory);
        }
        Ok(KeyRanges::normalize(&self.selectors)?)
    }

    fn into_template(self, capacity: usize) -> EventTemplate<P> {
        EventTemplate {
            shared: Arc::clone(self.shared),
            selectors: self.selectors,
            capacity,
            overflow: self.overflow,
            max_bytes: self.max_bytes,
            budget: self.budget,
            progress_every: self.progress_every,
        }
    }

    fn start(&self) -> Option<Since> {
        self.since.map(|since| since.of(self.epoch))
    }

    fn check_since(&self) -> Result<(), SubscribeError> {
        match (self.phase, self.since) {
            (Phase::Reserved, Some(_)) => Err(SubscribeError::SinceReserved),
            _ => Ok(()),
        }
    }
}

impl<P> fmt::Debug for SubscribeBuilder<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscribeBuilder")
            .field("shared", &self.shared)
            .field("selectors", &self.selectors)
            .field("phase", &self.phase)
            .field("since", &self.since)
            .field("epoch", &self.epoch)
            .field("overflow", &self.overflow)
            .field("max_bytes", &self.max_bytes)
            .field("budget", &self.budget)
            .field("progress_every", &self.progress_every)
            .finish()
    }
}
