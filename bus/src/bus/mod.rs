//! The handle of a bus, handles that emit only, and weak ones.

mod emit;
mod emitter;
mod weak_bus;

use std::fmt;
use std::sync::Arc;

use crate::builder::RangeWatchBusBuilder;
use crate::order::{Shared, State, WakeHost};
use crate::subscription::Phase;
use crate::timer::ThreadTimer;
use crate::{BusStats, CompactError, EmitError, RestoreError, Selectors, Seq, SubscribeBuilder};

pub use emitter::Emitter;
pub use weak_bus::WeakRangeWatchBus;

/// An event bus for byte keys: an [`emit`](Self::emit) carries a value and a set of keys, and
/// reaches every subscription that watches a range in which one of the keys lies.
///
/// Clones are handles of the same bus. The bus closes when [`close`](Self::close) is called or when
/// the last handle is dropped. [Batches](crate::Batch) and [emitters](Emitter) are handles;
/// subscriptions and [weak handles](WeakRangeWatchBus) are not.
///
/// One bus is one key space and one order. Buses share nothing, and a bus is cheap: an `Arc` and a
/// few empty vectors.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, Selector};
///
/// let bus = RangeWatchBus::new();
/// let mut pods = bus.subscribe(Selector::prefix("/registry/pods/")).events(256)?;
///
/// let emitted = bus.emit(1, ["/registry/pods/web-1", "/registry/nodes/n1"])?;
/// assert_eq!(emitted.matched(), 1);
/// assert_eq!(pods.try_recv()?.value(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RangeWatchBus<P = ()> {
    owner: Arc<CloseOnDrop<P>>,
}

/// Shared by the handles of a bus, not by its subscriptions: its drop closes the bus.
pub(crate) struct CloseOnDrop<P> {
    shared: Arc<Shared<P>>,
    /// For the wake subscriptions, whose type does not name that of the payloads.
    wake_host: WakeHost,
}

impl RangeWatchBus {
    /// Makes a bus without history and without subscriptions.
    #[must_use]
    pub fn new() -> Self {
        let state = State::new(None, usize::MAX);
        Self::over(Shared::new(state, Arc::new(ThreadTimer), None, None))
    }

    /// Builds a bus with a name, with history, a restored head or another source of time.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(1_000)).build()?;
    /// assert_eq!(bus.floor(), Some(0));
    /// # Ok::<(), rangewatch_bus::BuildError>(())
    /// ```
    pub fn builder() -> RangeWatchBusBuilder {
        RangeWatchBusBuilder::default()
    }
}

impl<P: Send + Sync + 'static> RangeWatchBus<P> {
    pub(crate) fn over(shared: Shared<P>) -> Self {
        let shared = Arc::new(shared);
        let wake_host = WakeHost::new(&shared);
        Self {
            owner: Arc::new(CloseOnDrop { shared, wake_host }),
        }
    }

    pub(crate) const fn of_owner(owner: Arc<CloseOnDrop<P>>) -> Self {
        Self { owner }
    }

    /// Makes a handle that can emit and nothing else, and keeps the bus open.
    #[must_use]
    pub fn emitter(&self) -> Emitter<P> {
        Emitter::new(self)
    }

    /// Makes a handle that does not keep the bus open.
    #[must_use]
    pub fn downgrade(&self) -> WeakRangeWatchBus<P> {
        WeakRangeWatchBus::new(Arc::downgrade(&self.owner))
    }

    /// Raises the head to `value` without an emit: later progress marks have at least this value.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), and [`EmitError::NoHistory`] if the bus has no history.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(100)).build()?;
    /// bus.advance(7)?;
    /// assert_eq!(bus.head(), Some(7));
    /// assert!(bus.emit(7, ["k"]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn advance(&self, value: u64) -> Result<(), EmitError> {
        self.shared().advance(value)
    }

    /// Removes the emits below `value` from the history. `value` becomes the floor, the least value
    /// that [`since`](SubscribeBuilder::since) serves, unless the floor is higher already. Returns
    /// the floor.
    ///
    /// Subscriptions that had yet to read what is removed end with
    /// [`RecvError::Compacted`](crate::RecvError::Compacted).
    ///
    /// # Errors
    ///
    /// [`CompactError::AboveHead`] if `value` lies more than one above the head,
    /// [`CompactError::NoHistory`] if the bus has no history.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus, Selector, SubscribeError};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(100)).build()?;
    /// bus.emit(1, ["k"])?;
    /// bus.emit(2, ["k"])?;
    /// assert_eq!(bus.compact(2)?, 2);
    /// let too_old = bus.subscribe(Selector::all()).since(1).events(16);
    /// assert!(matches!(too_old, Err(SubscribeError::Compacted { floor: 2, .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self, value: u64) -> Result<u64, CompactError> {
        self.shared().compact(value)
    }

    /// Begins an epoch: empties the history, which continues above `head` as that of a bus
    /// [built](RangeWatchBusBuilder::head) with it. For a bus that carries the values of a store or
    /// a log which was restored from a backup, has lost its latest values, or is not received any
    /// more from where the bus is.
    ///
    /// `head` may lie above or below the [head](Self::head) of before. `None` is the head of a bus
    /// on which nothing was emitted. A value that was lost and is emitted again is another change,
    /// so `epoch` should be one that the bus never had. The same epoch as before says that its
    /// values still mean the same, and that some were missed.
    ///
    /// Returns the position of the first emit of the epoch. Nothing is received across a restore as
    /// if nothing had happened:
    ///
    /// - An event subscription, or [`EventSet`](crate::EventSet), ends. What is in its queue is
    ///   received first, also if it was held, then
    ///   [`RecvError::Compacted`](crate::RecvError::Compacted) with `epoch`. Only one that is
    ///   reserved stays.
    /// - A wake subscription stays, and receives a [conservative](crate::Span::is_conservative)
    ///   span from 0 to the new head, or later: its consumer rescans everything. Until that is
    ///   received, [`start_after`](crate::WakeSubscription::start_after) has no effect.
    /// - A [`Follower`](crate::Follower) and a [`Mirror`](crate::Mirror) begin a new snapshot.
    ///   Restore the store before the bus.
    /// - Asynchronous emits that wait for room go on, and later progress marks are of the new head.
    ///
    /// # Errors
    ///
    /// [`RestoreError::NoHistory`] if the bus has no history, [`RestoreError::LastHead`] if no
    /// value is left above `head`, [`RestoreError::Closed`] if the bus is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus, TryRecvError};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(100)).build()?;
    /// let mut events = bus.subscribe(..).events(16)?;
    /// let mut wake = bus.subscribe(..).wake()?;
    /// bus.emit(7, ["k"])?;
    /// wake.try_recv()?;
    ///
    /// bus.restore(1, Some(5))?; // 6 and 7 were lost
    /// assert_eq!((bus.epoch(), bus.head(), bus.floor()), (Some(1), Some(5), Some(6)));
    /// bus.emit(6, ["k"])?;
    ///
    /// assert_eq!(events.try_recv()?.value(), 7);
    /// let end = events.try_recv().unwrap_err();
    /// assert_eq!(end, TryRecvError::Compacted { floor: 6, epoch: 1 });
    /// let span = wake.try_recv()?;
    /// assert_eq!((span.first(), span.last(), span.is_conservative()), (0, 6, true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore(&self, epoch: u64, head: Option<u64>) -> Result<Seq, RestoreError> {
        self.shared().restore(epoch, head)
    }

    /// The epoch in which the values of a bus with history count: as
    /// [built](RangeWatchBusBuilder::epoch), until it is [restored](Self::restore). `None` without
    /// history.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.shared().epoch()
    }

    /// The greatest value so far on a bus with history: emitted, [advanced](Self::advance) to or
    /// restored. `None` without history, or before the first.
    #[must_use]
    pub fn head(&self) -> Option<u64> {
        self.shared().bounds().and_then(|(head, _)| head)
    }

    /// The least value that [`since`](SubscribeBuilder::since) serves. `None` without history.
    #[must_use]
    pub fn floor(&self) -> Option<u64> {
        self.shared().bounds().map(|(_, floor)| floor)
    }

    /// Starts to build a subscription to what `selectors` select: one selector or range expression,
    /// or an array, a vector or a slice of them. See [`Selectors`] for other forms.
    ///
    /// A plain `"a"` does not compile, because it could mean the one key or all keys that begin
    /// with it: write [`Selector::key`](crate::Selector::key) or
    /// [`Selector::prefix`](crate::Selector::prefix). The bounds of a range expression have one
    /// type; for two types, as in `b"a".."m"`, there is
    /// [`Selector::range`](crate::Selector::range). In a list of different kinds, a range
    /// expression is converted with `.into()`.
    ///
    /// [`events`](SubscribeBuilder::events) or [`wake`](SubscribeBuilder::wake) of the builder
    /// makes the subscription. A subscription without selectors is valid; it receives nothing until
    /// the bus is closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{RangeWatchBus, Selector, SubscribeError};
    ///
    /// let bus = RangeWatchBus::new();
    /// let _range = bus.subscribe("a".."m").wake()?;
    /// let _everything = bus.subscribe(..).events(1000)?;
    /// let _several = bus.subscribe([Selector::key("leader"), Selector::prefix("job/")]).wake()?;
    /// let _kinds = bus.subscribe([("a".."m").into(), Selector::prefix("x")]).wake()?;
    /// let _types = bus.subscribe(Selector::range(b"a", "m")).wake()?;
    ///
    /// let inverted = bus.subscribe("m".."a").wake();
    /// assert!(matches!(inverted, Err(SubscribeError::EmptyRange { .. })));
    /// # Ok::<(), SubscribeError>(())
    /// ```
    pub fn subscribe(&self, selectors: impl Into<Selectors>) -> SubscribeBuilder<'_, P> {
        self.subscribe_builder(selectors.into(), Phase::Started)
    }

    /// Starts to build a subscription that watches nothing until it is
    /// [opened](crate::WakeSubscription::open). Earlier emits are not received, hence
    /// [`since`](SubscribeBuilder::since) is refused.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut watch = bus.reserve().wake()?;
    /// bus.emit(1400, ["k"])?; // not seen
    /// watch.open("a".."z")?;
    /// for value in [1500, 1600, 1700, 1800] {
    ///     bus.emit(value, ["k"])?; // held
    /// }
    /// assert!(watch.try_recv().is_err());
    /// watch.start()?;
    /// assert_eq!(watch.try_recv()?.first(), 1500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&self) -> SubscribeBuilder<'_, P> {
        self.subscribe_builder(Selectors::new(), Phase::Reserved)
    }

    /// Closes the bus: later emits and subscriptions fail. Closing a closed bus has no effect.
    ///
    /// Subscriptions end after everything that they hold, or have yet to read from the history, was
    /// received; waiting consumers are woken.
    pub fn close(&self) {
        self.shared().close(None);
    }

    /// Closes the bus as [`close`](Self::close), for a `reason` that its consumers can read, such
    /// as "shutting down" or "leader lost".
    ///
    /// The reason is that of the call that closes the bus. It never changes: on a closed bus
    /// `reason` is ignored, also if the bus was closed without one.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// use rangewatch_bus::{RangeWatchBus, RecvError};
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut sub = bus.subscribe(..).events(16)?;
    /// bus.close_with("leader lost");
    /// assert_eq!(sub.recv().await, Err(RecvError::Closed));
    /// assert_eq!(sub.close_reason().as_deref(), Some("leader lost"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn close_with(&self, reason: impl Into<Arc<str>>) {
        self.shared().close(Some(reason.into()));
    }

    /// Closes the bus as [`close`](Self::close), and ends its subscriptions at once: what they hold
    /// is discarded.
    pub fn close_now(&self) {
        self.shared().close_now(None);
    }

    /// Closes the bus as [`close_now`](Self::close_now), for a `reason`, as
    /// [`close_with`](Self::close_with).
    pub fn close_now_with(&self, reason: impl Into<Arc<str>>) {
        self.shared().close_now(Some(reason.into()));
    }

    /// Why the bus was closed. `None` if it is open, or was closed without a reason: by
    /// [`close`](Self::close), [`close_now`](Self::close_now) or the drop of the last handle.
    #[must_use]
    pub fn close_reason(&self) -> Option<Arc<str>> {
        self.shared().close_reason()
    }

    /// Whether the bus is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared().is_closed()
    }

    /// The [name](RangeWatchBusBuilder::name) of the bus, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.shared().name()
    }

    /// The position of the last emit, or `None` if there was none yet.
    ///
    /// The subscriptions that an emit up to this position matched hold it or have delivered it.
    #[must_use]
    pub fn last_seq(&self) -> Option<Seq> {
        self.shared().last_seq()
    }

    /// The number of subscriptions, of either kind, that have been made and not been cancelled or
    /// dropped.
    #[must_use]
    pub fn n_subscriptions(&self) -> usize {
        self.shared().n_subscriptions()
    }

    /// The statistics of the bus.
    ///
    /// Takes time linear in the number of subscriptions, in pieces, between which the lock is
    /// released. Beside concurrent emits the sums are therefore not of one moment, and may miss the
    /// counts of a subscription that ends meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    ///
    /// let bus = RangeWatchBus::new();
    /// let _sub = bus.subscribe(..).wake()?;
    /// bus.emit(1, ["k"])?;
    /// let stats = bus.stats();
    /// assert_eq!((stats.n_emits(), stats.deliveries().pending()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> BusStats {
        self.shared().stats()
    }

    fn subscribe_builder(&self, selectors: Selectors, phase: Phase) -> SubscribeBuilder<'_, P> {
        let CloseOnDrop { shared, wake_host } = &*self.owner;
        SubscribeBuilder::new(shared, wake_host, selectors, phase)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<P>> {
        &self.owner.shared
    }
}

impl Default for RangeWatchBus {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Clone for RangeWatchBus<P> {
    fn clone(&self) -> Self {
        Self {
            owner: Arc::clone(&self.owner),
        }
    }
}

impl<P> fmt::Debug for RangeWatchBus<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeWatchBus")
            .field("name", &self.owner.shared.name())
            .field("last_seq", &self.owner.shared.last_seq())
            .field("n_subscriptions", &self.owner.shared.n_subscriptions())
            .field("closed", &self.owner.shared.is_closed())
            .field("close_reason", &self.owner.shared.close_reason())
            .finish()
    }
}

impl<P> Drop for CloseOnDrop<P> {
    fn drop(&mut self) {
        self.shared.close(None);
    }
}
