//! The handle of a bus.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::builder::RangeWatchBusBuilder;
use crate::emit::{Batch, Draft, Payloads, Staged, WaitForRoom};
use crate::index::N_KEYS_INLINE;
use crate::order::{Shared, State, Value, WakeHost};
use crate::subscription::Phase;
use crate::timer::ThreadTimer;
use crate::{
    BusStats, CompactError, EmitError, Emitted, EmittedMany, Emitter, Selectors, Seq,
    SubscribeBuilder, WeakRangeWatchBus,
};

/// An event bus for byte keys: an [`emit`](Self::emit) carries a value and a set of keys, and
/// reaches every subscription that watches a range in which one of the keys lies.
///
/// Clones are handles of the same bus. The bus closes when [`close`](Self::close) is called or when
/// the last handle is dropped. [Batches](Batch) and [emitters](Emitter) are handles; subscriptions
/// and [weak handles](WeakRangeWatchBus) are not.
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

    /// Emits `value` with `keys`: every subscription that watches one of the keys receives it,
    /// once.
    ///
    /// When this returns, every matching subscription holds the emit and waiting consumers were
    /// woken. It never waits for a consumer. Wakers run in this call, after the
    /// lock is released; they may use the bus in any way. The iterator and its keys are read
    /// before the lock is taken and dropped after it is released.
    ///
    /// Emits of several threads take effect one after the other, in the order of their [`Seq`]. On
    /// a bus with history values must strictly increase; on a bus without history any value is
    /// accepted. Keys are any bytes of any length, in any order, also repeated; an
    /// [`Event`](crate::Event) shows them as they were emitted. An emit without keys is accepted:
    /// it takes a `Seq` and matches nothing.
    ///
    /// The keys are copied once, into one allocation that the history and all events share; on a
    /// bus without history only if an event subscription matches. More than 16 keys are collected
    /// in two lists first, which [`emit_slices`](Self::emit_slices) does without. A queue that has
    /// not reached its capacity may grow. Everything else is in scratch buffers, which a thread
    /// reuses: one each for keys, matches, wakers, members of watch sets and evicted emits. A
    /// thread retains at most 256 KiB of each, which is enough for 65,536 matches and for 10,000 of
    /// each of the others. An emit of more, and one that a waker makes, may allocate its own.
    ///
    /// # Errors
    ///
    /// [`EmitError::Closed`] if the bus is closed, [`EmitError::NotIncreasing`] and
    /// [`EmitError::LastValue`] if a history cannot take the value; nothing is emitted then.
    ///
    /// # Panics
    ///
    /// Not by itself. A panic of `keys` passes through before anything is emitted; a panic of a
    /// waker passes through after the emit is complete and every other consumer was woken.
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

    /// As [`emit`](Self::emit), for keys that are in a slice already. They are not collected first,
    /// so that an emit of more than 16 keys makes two allocations fewer.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    ///
    /// let bus = RangeWatchBus::new();
    /// let keys: Vec<&[u8]> = b"a,b,c".split(|byte| *byte == b',').collect();
    /// bus.emit_slices(1, &keys)?;
    /// bus.emit_slices(2, &[b"leader", b"job/1"])?;
    /// # Ok::<(), rangewatch_bus::EmitError>(())
    /// ```
    pub fn emit_slices(&self, value: u64, keys: &[&[u8]]) -> Result<Emitted, EmitError> {
        self.emit_keys(Value::Given(value), keys)
    }

    /// Emits `keys` with the value after the head, for concurrent emitters. On a new
    /// bus the first value is 1. [`Emitted::value`] returns the value.
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
        let mut keys = keys.into_iter();
        // One key, the common case, needs no list.
        let Some(first) = keys.next() else {
            return self.emit_keys(value, &[]);
        };
        let Some(second) = keys.next() else {
            return self.emit_keys(value, &[first.as_ref()]);
        };
        let mut list = SmallVec::<[K; N_KEYS_INLINE]>::new();
        list.push(first);
        list.push(second);
        list.extend(keys);
        let mut slices = SmallVec::<[&[u8]; N_KEYS_INLINE]>::new();
        slices.extend(list.iter().map(AsRef::as_ref));
        self.emit_keys(value, &slices)
    }

    fn emit_keys(&self, value: Value, keys: &[&[u8]]) -> Result<Emitted, EmitError> {
        let payloads = Payloads::none(keys.len());
        self.shared().emit(value, Draft::new(keys, payloads, 0))
    }

    /// Emits when every matching subscription with
    /// [`Overflow::Backpressure`](crate::Overflow::Backpressure) has room for it, and does not wait
    /// for other subscriptions. When it returns, each of them has the emit.
    ///
    /// It waits for one subscription without room at a time, and takes effect for all at once.
    /// Emits that wait for room of the same subscription take effect in the order of their first
    /// poll: a small one does not overtake a large one, even if there is room for it. An emit does
    /// not wait for emits that wait for other subscriptions, so a stalled consumer delays only the
    /// emits that match it, and emits never wait for each other in a cycle. A subscription that is
    /// held or paused is waited for without a limit.
    ///
    /// A receive wakes as many waiting emits as it made room for, and reserves the room for them. A
    /// future that was woken must be polled or dropped, or it keeps later asynchronous emits from
    /// that room: do not hold one unpolled while awaiting another in the same task. A synchronous
    /// emit takes any room, also what is reserved.
    ///
    /// It does not wait for a parked subscription, which began in the past or overflowed by a
    /// synchronous emit: that one reads the emit from the history, and ends with
    /// [`RecvError::Compacted`](crate::RecvError::Compacted) if it is too slow for that. Nor does
    /// it wait for a queue whose bound in bytes is below the size of the emit. For backpressure
    /// without loss emit only asynchronously, into a history that is larger than what a consumer
    /// begins with.
    ///
    /// Several concurrent emitters on a bus with history use
    /// [`emit_next_async`](Self::emit_next_async): a given value may no longer lie above the head
    /// when the wait is over.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit), at once or after the wait: meanwhile the bus may be closed, and the
    /// head may reach the value.
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

    /// As [`emit_async`](Self::emit_async), with the value after the head at the time when the emit
    /// takes effect: for concurrent emitters with backpressure on a bus with history.
    ///
    /// # Errors
    ///
    /// As [`emit_next`](Self::emit_next), at once or after the wait.
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
        let draft = Draft::new(&keys, Payloads::none(keys.len()), 0);
        self.emit_draft(value, draft).await
    }

    /// Emits several values, each with its keys, with no other emit in between, and wakes each
    /// waiting consumer once. All are emitted, or none.
    ///
    /// The lock of the bus is held for all of them together, their lookups included.
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
            keys.into_iter()
                .for_each(|key| staged.push(key.as_ref(), (), 0));
        }
        staged.emit(self.shared())
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

    /// As [`emit`](RangeWatchBus::emit), with a payload for each key. An [`Event`](crate::Event)
    /// shows its keys with their [payloads](crate::Event::entries), also one of the past.
    ///
    /// The payloads are moved into one allocation that the history and all events share. They are
    /// not cloned. They are dropped with the last event of the emit, once the history has removed
    /// it, outside of the locks of the bus: in the call that removes it. If the emit is refused, or
    /// nothing holds it, they are dropped in this call.
    ///
    /// # Errors
    ///
    /// As [`emit`](RangeWatchBus::emit).
    ///
    /// # Panics
    ///
    /// As [`emit`](RangeWatchBus::emit). A panic of the weigher passes through before anything is
    /// emitted; a panic of a payload that is dropped passes through after the emit is complete, and
    /// after all other payloads were dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use rangewatch_bus::{RangeWatchBus, Selector};
    ///
    /// let bus = RangeWatchBus::builder().payloads::<Arc<str>>().build()?;
    /// let mut orders = bus.subscribe(Selector::prefix("order/")).events(256)?;
    ///
    /// bus.emit_with(1, [("order/17", Arc::from("two shirts")), ("audit/9", Arc::from("by me"))])?;
    /// let event = orders.try_recv()?;
    /// let (key, payload) = event.entries().next().ok_or("one key is watched")?;
    /// assert_eq!((key, &**payload), (&b"order/17"[..], "two shirts"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit_with<K: AsRef<[u8]>>(
        &self,
        value: u64,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        self.emit_entries(Value::Given(value), entries)
    }

    /// As [`emit_next`](RangeWatchBus::emit_next), with a payload for each key.
    ///
    /// # Errors
    ///
    /// As [`emit_next`](RangeWatchBus::emit_next).
    pub fn emit_next_with<K: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        self.emit_entries(Value::Next, entries)
    }

    fn emit_entries<K: AsRef<[u8]>>(
        &self,
        value: Value,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        let (keys, payloads) = split(entries);
        let weight = self.shared().weigh(payloads.as_slice());
        let keys: SmallVec<[&[u8]; N_KEYS_INLINE]> = keys.iter().map(AsRef::as_ref).collect();
        let draft = Draft::new(&keys, payloads, weight);
        self.shared().emit(value, draft)
    }

    /// As [`emit_async`](RangeWatchBus::emit_async), with a payload for each key.
    ///
    /// # Errors
    ///
    /// As [`emit_async`](RangeWatchBus::emit_async).
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped before it is ready, nothing was emitted, and the payloads are
    /// dropped with it.
    pub async fn emit_with_async<K: AsRef<[u8]>>(
        &self,
        value: u64,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        self.emit_entries_async(Value::Given(value), entries).await
    }

    /// As [`emit_next_async`](RangeWatchBus::emit_next_async), with a payload for each key.
    ///
    /// # Errors
    ///
    /// As [`emit_next_async`](RangeWatchBus::emit_next_async).
    ///
    /// # Cancel safety
    ///
    /// As [`emit_with_async`](Self::emit_with_async).
    pub async fn emit_next_with_async<K: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        self.emit_entries_async(Value::Next, entries).await
    }

    async fn emit_entries_async<K: AsRef<[u8]>>(
        &self,
        value: Value,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        let (keys, payloads) = split(entries);
        let weight = self.shared().weigh(payloads.as_slice());
        let keys: SmallVec<[&[u8]; N_KEYS_INLINE]> = keys.iter().map(AsRef::as_ref).collect();
        self.emit_draft(value, Draft::new(&keys, payloads, weight))
            .await
    }

    async fn emit_draft(
        &self,
        value: Value,
        mut draft: Draft<'_, P>,
    ) -> Result<Emitted, EmitError> {
        let mut waiting = WaitForRoom::new();
        poll_fn(|cx| self.shared().poll_emit(cx, value, &mut draft, &mut waiting)).await
    }

    /// As [`emit_many`](RangeWatchBus::emit_many), with a payload for each key.
    ///
    /// # Errors
    ///
    /// As [`emit_many`](RangeWatchBus::emit_many).
    pub fn emit_many_with<K: AsRef<[u8]>, I: IntoIterator<Item = (K, P)>>(
        &self,
        emits: impl IntoIterator<Item = (u64, I)>,
    ) -> Result<EmittedMany, EmitError> {
        let mut staged = Staged::default();
        for (value, entries) in emits {
            staged.begin(value);
            for (key, payload) in entries {
                let weight = self.shared().weigh(std::slice::from_ref(&payload));
                staged.push(key.as_ref(), payload, weight);
            }
        }
        staged.emit(self.shared())
    }

    /// Makes an empty batch of at most `max_bytes`, whose emits take effect together when it is
    /// [committed](Batch::commit).
    pub fn batch(&self, max_bytes: usize) -> Batch<P> {
        Batch::new(self, max_bytes)
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
    /// assert!(matches!(too_old, Err(SubscribeError::Compacted { floor: 2 })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self, value: u64) -> Result<u64, CompactError> {
        self.shared().compact(value)
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

/// The keys and the payloads of the entries of an emit.
fn split<K, P>(
    entries: impl IntoIterator<Item = (K, P)>,
) -> (SmallVec<[K; N_KEYS_INLINE]>, Payloads<P>) {
    let entries = entries.into_iter();
    let mut keys = SmallVec::new();
    // Exactly, so that it need not be moved to a smaller allocation.
    let mut payloads = Vec::with_capacity(entries.size_hint().0);
    for (key, payload) in entries {
        keys.push(key);
        payloads.push(payload);
    }
    (keys, Payloads::from(payloads))
}
