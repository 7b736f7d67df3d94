//! The bus.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::index::N_KEYS_INLINE;
use crate::shared::Shared;
use crate::{EmitError, Emitted, Selectors, Seq, SubscribeBuilder};

/// An event bus for byte keys: an [`emit`](Self::emit) carries a value and a set of keys, and
/// reaches every subscription that watches a range in which one of the keys lies.
///
/// Clones are handles of the same bus. The bus closes when [`close`](Self::close) is called or when
/// the last handle is dropped; subscriptions are not handles.
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
    owner: Arc<Owner>,
}

/// What the handles of a bus share and its subscriptions do not: its end closes the bus.
struct Owner {
    shared: Arc<Shared>,
}

impl RangeWatchBus {
    /// Makes a bus without subscriptions.
    #[must_use]
    pub fn new() -> Self {
        Self {
            owner: Arc::new(Owner {
                shared: Arc::new(Shared::new()),
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
    /// Values are not looked at: they may repeat and fall. Keys are any bytes of any length, in
    /// any order, also repeated; the consumer of events sees them as they were emitted. An emit
    /// without keys is an emit like any other: it takes a `Seq` and matches nothing.
    ///
    /// An emit of few keys that matches nothing allocates nothing. One that matches subscriptions
    /// for events copies its keys once, whatever the number of subscriptions.
    ///
    /// # Errors
    ///
    /// [`EmitError::Closed`] if the bus is closed; nobody receives the emit.
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
        let keys: SmallVec<[K; N_KEYS_INLINE]> = keys.into_iter().collect();
        let keys: SmallVec<[&[u8]; N_KEYS_INLINE]> = keys.iter().map(AsRef::as_ref).collect();
        self.shared().emit(value, &keys)
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
        SubscribeBuilder::new(self.shared(), selectors.into())
    }

    /// Closes the bus, for good: later emits and subscriptions fail.
    ///
    /// Subscriptions end after everything that they hold has been received; those that wait are
    /// woken. Closing a closed bus does nothing.
    pub fn close(&self) {
        self.shared().close();
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

    fn shared(&self) -> &Arc<Shared> {
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

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
    }
}
