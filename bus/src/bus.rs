//! The bus.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::builder::RangeWatchBusBuilder;
use crate::emit::{Batch, EmitKeys, Staged, WaitForRoom};
use crate::index::N_KEYS_INLINE;
use crate::order::{Shared, State, Value};
use crate::subscription::Phase;
use crate::timer::ThreadTimer;
use crate::{
    BusStats, CompactError, EmitError, Emitted, EmittedMany, Selectors, Seq, SubscribeBuilder,
};

/// An event bus for byte keys: an [`emit`](Self::emit) carries a value and a set of keys, and
/// reaches every subscription that watches a range in which one of the keys lies.
///
/// Clones are handles of the same bus. The bus closes when [`close`](Self::close) is called or when
/// the last handle is dropped; batches are handles, subscriptions are not.
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
#[derive(Clone)]
pub struct RangeWatchBus {
    owner: Arc<CloseOnDrop>,
}

/// What the handles of a bus share and its subscriptions do not: its end closes the bus.
struct CloseOnDrop {
    shared: Arc<Shared>,
}

impl RangeWatchBus {
    /// Makes a bus without history and without subscriptions.
    #[must_use]
    pub fn new() -> Self {
        Self::over(Shared::new(State::new(None), Arc::new(ThreadTimer)))
    }

    /// Starts a bus with history, a restored head or a timer of your own.
    pub fn builder() -> RangeWatchBusBuilder {
        RangeWatchBusBuilder::default()
    }

    pub(crate) fn over(shared: Shared) -> Self {
        Self {
            owner: Arc::new(CloseOnDrop {
                shared: Arc::new(shared),
            }),
        }
    }

    /// Emits `value` with `keys`: every subscription that watches one of the keys receives it,
    /// once.
    ///
    /// When this returns, every matching subscription holds the emit and a consumer that waits has
    /// been woken. It never waits for a consumer. Consumers' wakers run in this call, after its
    /// lock is released; they may use the bus in any way. The iterator and its keys are read
    /// before the lock is taken and dropped after it is released.
    ///
    /// Emits of several threads take effect one after the other, in the order of their [`Seq`].
    /// On a bus with history values must rise strictly; on one without they are not looked at, and may repeat
    /// and fall. Keys are any bytes of any length, in
    /// any order, also repeated; the consumer of events sees them as they were emitted. An emit
    /// without keys is an emit like any other: it takes a `Seq` and matches nothing.
    ///
    /// An emit of few keys that matches no subscription for events, and is kept in no history, allocates nothing; any other
    /// copies its keys once, in one allocation, whatever the number of subscriptions. The bus keeps room to note whom an emit
    /// finds, four bytes for each that was ever found at once, and the thread keeps room for up to 16,384 wakers
    /// and as many emits that leave full queues and the history.
    ///
    /// # Errors
    ///
    /// [`EmitError::Closed`] if the bus is closed, [`EmitError::NotIncreasing`] and
    /// [`EmitError::LastValue`] if a history cannot take the value; nobody receives the emit.
    ///
    /// # Panics
    ///
    /// Not by itself. A panic of `keys` passes through before anything is emitted; a panic of a
    /// consumer's waker passes through after the emit is complete and every other consumer has
    /// been woken.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    ///
    /// let bus = RangeWatchBus::new();
    /// bus.emit(1, ["text", "more text"])?;
    /// bus.emit(2, [b"bytes"])?;
    /// bus.emit(3, vec![vec![0x00, 0xff], vec![]])?;
    /// bus.emit(4, [bytes::Bytes::from_static(b"shared")])?;
    /// bus.emit(5, (0..3).map(|i| format!("key-{i}")))?;
    /// let nothing = bus.emit(6, [""; 0])?;
    /// assert_eq!((nothing.seq().get(), nothing.matched()), (6, 0));
    /// # Ok::<(), rangewatch_bus::EmitError>(())
    /// ```
    pub fn emit<K: AsRef<[u8]>>(
        &self,
        value: u64,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        self.emit_value(Value::Given(value), keys)
    }

    /// Emits `keys` with the value that follows on the head, for emitters that have no order of their own. On a fresh
    /// bus the first value is 1. [`Emitted::value`] says which it was.
    ///
    /// # Errors
    ///
    /// [`EmitError::NoHistory`] if the bus has no history, otherwise as [`emit`](Self::emit).
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{History, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::builder().history(History::events(100)).head(41).build()?;
    /// assert_eq!(bus.emit_next(["a"])?.value(), 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit_next<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        self.emit_value(Value::Next, keys)
    }

    fn emit_value<K: AsRef<[u8]>>(
        &self,
        value: Value,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        let keys: SmallVec<[K; N_KEYS_INLINE]> = keys.into_iter().collect();
        let keys: SmallVec<[&[u8]; N_KEYS_INLINE]> = keys.iter().map(AsRef::as_ref).collect();
        self.shared().emit(value, &EmitKeys::new(&keys))
    }

    /// Emits once every matching subscription with [`Overflow::Backpressure`](crate::Overflow::Backpressure) has
    /// room for it; of the others it waits for none. When it returns, each of them has the emit.
    ///
    /// It waits for one subscription without room at a time, and takes effect for all at once. Emits
    /// that wait for room of the same subscription take effect in the order of their first poll: a
    /// small one does not overtake a large one, even if there is room for it. An emit does not wait
    /// for emits that wait for other subscriptions, so a stalled consumer delays only the emits that
    /// match it, and emits never wait for each other in a cycle. A subscription that is held or
    /// paused is waited for without a limit.
    ///
    /// A receive wakes as many waiting emits as it made room for, and reserves the room for them. A
    /// future that was woken must be polled or dropped, or it keeps later asynchronous emits from
    /// that room: do not hold one unpolled while awaiting another in the same task. A synchronous
    /// emit takes any room, also what is reserved.
    ///
    /// Not waited for is a subscription that reads from the history, because it began in the past or because a
    /// synchronous emit has parked it: it has the emit as long as the history does, and ends with
    /// [`RecvError::Compacted`](crate::RecvError::Compacted) if it is too slow for that. Nor is one that could
    /// never hold the emit. So for backpressure without a loss, emit asynchronously only, into a history that is
    /// larger than what a consumer begins with.
    ///
    /// Several emitters at a time on a bus with history take [`emit_next_async`](Self::emit_next_async): a value that is
    /// given may be overtaken while it waits.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), at once or after having waited: the bus may be closed, and the head may rise to
    /// the value, while it waits.
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped before it is ready, nothing was emitted, and the room reserved
    /// for it goes to the next waiting emit.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// use rangewatch_bus::{Overflow, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut sub = bus.subscribe("a".."z").overflow(Overflow::Backpressure).events(1)?;
    /// bus.emit_async(1, ["k"]).await?;
    ///
    /// let emitter = bus.emit_async(2, ["k"]);
    /// let consumer = async { (sub.recv().await, sub.recv().await) };
    /// let (emitted, (first, second)) = futures::join!(emitter, consumer);
    /// assert_eq!((first?.value(), emitted?.value(), second?.value()), (1, 2, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn emit_async<K: AsRef<[u8]>>(
        &self,
        value: u64,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        self.emit_value_async(Value::Given(value), keys).await
    }

    /// As [`emit_async`](Self::emit_async), with the value that follows on the head when the emit takes effect: for several
    /// emitters with backpressure on a bus with history, whose values would otherwise overtake each other while they
    /// wait.
    ///
    /// # Errors
    ///
    /// As [`emit_next`](Self::emit_next), at once or after having waited.
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped before it is ready, nothing was emitted.
    pub async fn emit_next_async<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        self.emit_value_async(Value::Next, keys).await
    }

    async fn emit_value_async<K: AsRef<[u8]>>(
        &self,
        value: Value,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        let keys: SmallVec<[K; N_KEYS_INLINE]> = keys.into_iter().collect();
        let keys: SmallVec<[&[u8]; N_KEYS_INLINE]> = keys.iter().map(AsRef::as_ref).collect();
        let keys = EmitKeys::new(&keys);
        let mut waiting = WaitForRoom::new();
        poll_fn(|cx| self.shared().poll_emit(cx, value, &keys, &mut waiting)).await
    }

    /// Emits several values, each with its keys, with no other emit in between, and wakes each waiting
    /// consumer once.
    ///
    /// Either all take effect, or none. The lock of the bus is held for all of them together.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), for the first value that is refused; nothing is emitted then.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    ///
    /// let bus = RangeWatchBus::new();
    /// let mut sub = bus.subscribe("a".."z").events(16)?;
    /// let emitted = bus.emit_many([(1, ["a"]), (2, ["b"]), (3, ["0"])])?;
    /// assert_eq!((emitted.n_emits(), emitted.matched()), (3, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit_many<K: AsRef<[u8]>, I: IntoIterator<Item = K>>(
        &self,
        emits: impl IntoIterator<Item = (u64, I)>,
    ) -> Result<EmittedMany, EmitError> {
        let mut staged = Staged::default();
        for (value, keys) in emits {
            staged.begin(value);
            keys.into_iter().for_each(|key| staged.push(key.as_ref()));
        }
        staged.emit(self)
    }

    /// Begins a batch of at most `max_bytes`, whose emits take effect together when it is
    /// [committed](Batch::commit).
    pub fn batch(&self, max_bytes: usize) -> Batch {
        Batch::new(self, max_bytes)
    }

    /// Says that nothing was emitted up to `value`: the head rises, and progress marks with it.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), and [`EmitError::NoHistory`] if the bus has no history.
    pub fn advance(&self, value: u64) -> Result<(), EmitError> {
        self.shared().advance(value)
    }

    /// Forgets the emits below `value`, which becomes the floor: the least value that
    /// [`since`](SubscribeBuilder::since) serves. Returns the floor, which is higher if it was before.
    ///
    /// Subscriptions that were yet to read what is forgotten end with
    /// [`RecvError::Compacted`](crate::RecvError::Compacted).
    ///
    /// # Errors
    ///
    /// [`CompactError::AboveHead`] if `value` lies more than one above the head,
    /// [`CompactError::NoHistory`] if the bus has no history.
    pub fn compact(&self, value: u64) -> Result<u64, CompactError> {
        self.shared().compact(value)
    }

    /// The greatest value so far on a bus with history: emitted, [advanced](Self::advance) to or restored. `None`
    /// without history, or before the first.
    #[must_use]
    pub fn head(&self) -> Option<u64> {
        self.shared().bounds().and_then(|(head, _)| head)
    }

    /// The least value that [`since`](SubscribeBuilder::since) serves. `None` without history.
    #[must_use]
    pub fn floor(&self) -> Option<u64> {
        self.shared().bounds().map(|(_, floor)| floor)
    }

    /// Begins a subscription to what `selectors` select: one selector or range expression, or an
    /// array, a vector or a slice of them. See [`Selectors`] for the rest.
    ///
    /// A plain `"a"` is refused by the compiler: whether the one key is meant or all that begin
    /// with it is never guessed, so say [`Selector::key`](crate::Selector::key) or
    /// [`Selector::prefix`](crate::Selector::prefix). The bounds of a range expression are of one
    /// type; for two types, as in `b"a".."m"`, there is
    /// [`Selector::range`](crate::Selector::range). In a list of different kinds, a range
    /// expression is converted with `.into()`.
    ///
    /// The builder's [`events`](SubscribeBuilder::events) and [`wake`](SubscribeBuilder::wake)
    /// choose what is received. A subscription without selectors is legal; it receives nothing
    /// until the bus is closed.
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
    pub fn subscribe(&self, selectors: impl Into<Selectors>) -> SubscribeBuilder<'_> {
        SubscribeBuilder::new(self.shared(), selectors.into(), Phase::Started)
    }

    /// Begins a subscription that takes its place now and watches nothing until it is
    /// [opened](crate::WakeSubscription::open). What was emitted before that is not seen, also with
    /// [`since`](SubscribeBuilder::since).
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
    ///     bus.emit(value, ["k"])?; // gathered
    /// }
    /// assert!(watch.try_recv().is_err());
    /// watch.start()?;
    /// assert_eq!(watch.try_recv()?.first(), 1500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&self) -> SubscribeBuilder<'_> {
        SubscribeBuilder::new(self.shared(), Selectors::new(), Phase::Reserved)
    }

    /// Closes the bus, for good: later emits and subscriptions fail.
    ///
    /// Subscriptions end after everything that they hold, or have yet to read from the history, has been received;
    /// those that wait are woken. Closing a closed bus does nothing.
    pub fn close(&self) {
        self.shared().close();
    }

    /// Closes the bus as [`close`](Self::close) does, and lets its subscriptions end at once: what they hold is
    /// discarded.
    pub fn close_now(&self) {
        self.shared().close_now();
    }

    /// Whether the bus is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared().is_closed()
    }

    /// The position of the last emit, or `None` if there was none yet.
    ///
    /// Every emit up to this one has taken effect: the subscriptions that it matched hold it or
    /// have delivered it.
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

    /// The state of the bus in numbers.
    ///
    /// Takes time linear in the number of subscriptions, in pieces between which emits go on; so while there are
    /// any, sums over subscriptions are not of one moment, and may miss what a subscription counted that ends
    /// meanwhile.
    #[must_use]
    pub fn stats(&self) -> BusStats {
        self.shared().stats()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }
}

impl Default for RangeWatchBus {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RangeWatchBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeWatchBus")
            .field("last_seq", &self.last_seq())
            .field("n_subscriptions", &self.n_subscriptions())
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.shared.close();
    }
}
