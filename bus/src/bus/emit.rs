//! The emits of a bus.

use std::future::poll_fn;

use smallvec::SmallVec;

use crate::emit::{Draft, PayloadList, Payloads, Staged, WaitForRoom};
use crate::index::N_KEYS_INLINE;
use crate::order::Value;
use crate::{Batch, EmitError, Emitted, EmittedMany, RangeWatchBus};

impl RangeWatchBus {
    /// Emits `value` with `keys`: every subscription that watches one of the keys receives it,
    /// once.
    ///
    /// When this returns, every matching subscription holds the emit and waiting consumers were
    /// woken. It never waits for a consumer. Wakers run in this call, after the
    /// lock is released; they may use the bus in any way. The iterator and its keys are read
    /// before the lock is taken and dropped after it is released.
    ///
    /// Emits of several threads take effect one after the other, in the order of their
    /// [`Seq`](crate::Seq). On a bus with history values must strictly increase; on a bus without
    /// history any value is accepted. Keys are any bytes of any length, in any order, also
    /// repeated; an [`Event`](crate::Event) shows them as they were emitted. An emit without keys
    /// is accepted: it takes a `Seq` and matches nothing.
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
        let entries = keys.into_iter().map(|key| (key, ()));
        self.emit_entries_async(value, entries).await
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
        self.emit_many_with(emits.into_iter().map(|(value, keys)| {
            let entries = keys.into_iter().map(|key| (key, ()));
            (value, entries)
        }))
    }
}

impl<P: Send + Sync + 'static> RangeWatchBus<P> {
    /// As [`emit`](RangeWatchBus::emit), with a payload for each key. An [`Event`](crate::Event)
    /// shows its keys with their [payloads](crate::Event::entries), also one of the past.
    ///
    /// The payloads are moved into one allocation that the history and all events share. They are
    /// not cloned. They are dropped with the last event of the emit, once the history has removed
    /// it, outside of the locks of the bus: in the call that removes it, or in one that reads the
    /// history meanwhile, which ignores their panics. If the emit is refused, or nothing holds it,
    /// they are dropped in this call.
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
                let weight = staged.hold(payload, self.shared());
                staged.push(key.as_ref(), weight);
            }
        }
        staged.emit(self.shared(), usize::MAX)
    }

    /// Makes an empty batch of at most `max_bytes`, whose emits take effect together when it is
    /// [committed](Batch::commit).
    pub fn batch(&self, max_bytes: usize) -> Batch<P> {
        Batch::new(self, max_bytes)
    }
}

/// The keys and the payloads of the entries of an emit.
fn split<K, P>(
    entries: impl IntoIterator<Item = (K, P)>,
) -> (SmallVec<[K; N_KEYS_INLINE]>, Payloads<P>) {
    let entries = entries.into_iter();
    let mut keys = SmallVec::new();
    // Exactly, so that it need not be moved to a smaller allocation.
    let mut payloads = PayloadList::with_capacity(entries.size_hint().0);
    for (key, payload) in entries {
        payloads.push(payload);
        keys.push(key);
    }
    (keys, Payloads::from(payloads.take()))
}
