//! Watch sets: many wake subscriptions under keys of the user's, received through one waker.

mod delivery;
mod receiver;
mod state;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub use delivery::{Delivery, Ready};

use crate::emit::wake_contained;
use crate::{Closed, Span, WakeSubscription};
use receiver::{Claim, Receiver, Recv};
use state::{Hold, WatchSetCore};

/// Many [`WakeSubscription`]s under keys of type `K`, received as one: each receive returns the key
/// and the [`Span`] of a subscription that has something to receive.
///
/// This is what a server with ten thousand watches on one connection needs: one task and one waker
/// instead of one per watch. A receive costs the same however many subscriptions are in the set.
/// The subscriptions may belong to different buses.
///
/// # Sharing
///
/// All methods take `&self`. Share a set with an [`Arc`] or by reference; any number of tasks may
/// receive from it at the same time. A key that is ready goes to exactly one of them, the key that
/// has been ready longest first. One emit wakes at most one receiver, however many keys it makes
/// ready; a receiver that takes a key while more are ready wakes the next receiver.
///
/// Two receivers may handle the same key at the same time, one span each, when an emit matches
/// between their receives. To exclude that, receive with [`take`](Self::take) or
/// [`ready`](Self::ready): the [`Delivery`] that they return keeps its key paused until it is
/// dropped.
///
/// `hash`, `eq`, `clone` and `drop` of a key can run while a lock of the set is held: they must not
/// use the set, and must not panic.
///
/// # Close
///
/// When the bus of a subscription is closed, the set returns what the subscription still holds and
/// then `(key, Err(Closed))`, once. The key stays in the set until it is [removed](Self::remove).
///
/// # Examples
///
/// ```
/// # futures::executor::block_on(async {
/// use rangewatch_bus::{Closed, RangeWatchBus, WatchSet};
///
/// let bus = RangeWatchBus::new();
/// let watches = WatchSet::new();
/// watches.insert("low", bus.subscribe("a".."m").wake()?);
/// watches.insert("high", bus.subscribe("m".."z").wake()?);
///
/// bus.emit(1, ["x"])?;
/// bus.emit(2, ["b", "y"])?;
/// let (watch, span) = watches.recv().await;
/// assert_eq!((watch, span?.count()), ("high", 2));
/// let (watch, span) = watches.recv().await;
/// assert_eq!((watch, span?.first()), ("low", 2));
///
/// watches.remove(&"low");
/// bus.close();
/// assert_eq!(watches.recv().await, ("high", Err(Closed)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct WatchSet<K: Hash + Eq + Clone + Send + 'static> {
    core: Arc<WatchSetCore<K>>,
}

impl<K: Hash + Eq + Clone + Send + 'static> WatchSet<K> {
    /// Makes an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self {
            core: WatchSetCore::new(),
        }
    }

    /// Adds a subscription under `key` and returns the one that was there before.
    ///
    /// What the subscription already holds is ready at once. A subscription that is held or only
    /// reserved may be added; start it through [`with`](Self::with). A waker that was registered
    /// with the subscription is dropped.
    pub fn insert(&self, key: K, subscription: WakeSubscription) -> Option<WakeSubscription> {
        self.core.insert(key, subscription)
    }

    /// Removes the subscription of `key` and returns it, with what it holds.
    ///
    /// `None` if there is no such key, and if the call comes from inside, or from another thread
    /// during, a [`with`](Self::with) of the same key: the subscription is then dropped when that
    /// `with` returns. In all cases the key is not received any more once this has returned, and
    /// nothing of it stays in the set.
    pub fn remove(&self, key: &K) -> Option<WakeSubscription> {
        self.core.remove(key)
    }

    /// Removes and drops all subscriptions.
    pub fn clear(&self) {
        self.core.clear();
    }

    /// Receives the key that has been ready longest and its span, waiting until one is ready; an
    /// empty set waits for an insert.
    ///
    /// The second half is [`Closed`] once per key, when the bus of its subscription is closed and
    /// the last span was received. The subscription stays in the set, and has the
    /// [reason](WakeSubscription::close_reason).
    ///
    /// # Cancel safety
    ///
    /// Yes. A span leaves the set only as the result of this function. If the future is dropped
    /// after it was woken, another receiver is woken in its place.
    pub async fn recv(&self) -> (K, Result<Span, Closed>) {
        Receiver::<K, Recv>::new(&self.core).await
    }

    /// Receives the key that has been ready longest and its span, without waiting; `None` if no key
    /// is ready.
    pub fn try_recv(&self) -> Option<(K, Result<Span, Closed>)> {
        let (taken, next) = self.core.take(Hold::No);
        wake_contained(next);
        taken.map(|taken| (taken.key, taken.result))
    }

    /// The poll function of [`recv`](Self::recv), for one task that polls by hand.
    ///
    /// On `Pending` the waker of `cx` is registered in place of that of an earlier call. A task
    /// that was woken has to poll until `Pending`: while it does not, keys that are ready wait for
    /// the next emit to wake another receiver. For several tasks use `recv`.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<(K, Result<Span, Closed>)> {
        self.core.poll_recv(cx)
    }

    /// Waits until a key is ready, without taking it: for a consumer that first needs something
    /// else, such as a lease of a worker, and for which later emits are to be coalesced into the
    /// span until then.
    ///
    /// Each key that is ready is announced to one caller at a time. The [`Ready`] that this returns
    /// takes a key, or announces it to another caller when it is dropped.
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped after it was woken, another receiver is woken in its place.
    ///
    /// # Examples
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// use rangewatch_bus::{RangeWatchBus, WatchSet};
    ///
    /// let bus = RangeWatchBus::new();
    /// let watches = WatchSet::new();
    /// watches.insert(7, bus.subscribe(..).wake()?);
    ///
    /// bus.emit(1, ["k"])?;
    /// let ready = watches.ready().await;
    /// bus.emit(2, ["k"])?; // coalesced into the span, because nothing was taken yet
    /// let delivery = ready.take().expect("nothing else receives");
    /// assert_eq!((*delivery.key(), delivery.span()?.count()), (7, 2));
    ///
    /// bus.emit(3, ["k"])?; // kept back as long as the delivery lives
    /// assert!(watches.try_recv().is_none());
    /// drop(delivery);
    /// assert!(watches.try_recv().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn ready(&self) -> Ready<'_, K> {
        Receiver::<K, Claim>::new(&self.core).await;
        Ready::new(&self.core)
    }

    /// Takes the key that has been ready longest, and pauses it until the [`Delivery`] is dropped;
    /// `None` if no key is ready.
    pub fn take(&self) -> Option<Delivery<K>> {
        let (taken, next) = self.core.take(Hold::Yes);
        wake_contained(next);
        taken.map(|taken| Delivery::new(&self.core, taken))
    }

    /// Calls `f` with the subscription of `key`, to start it, to edit its selectors or to look at
    /// it; `None` if there is no such key.
    ///
    /// While `f` runs the key is not received. Another `with` of the same key waits for `f`, so `f`
    /// must not call `with` for its own key: it would wait for itself. It may use the set in any
    /// other way.
    ///
    /// If `f` receives what a ready key is ready for, or pauses it, the key may keep its place: it
    /// is then received before keys that became ready earlier, once it is ready again.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{RangeWatchBus, WatchSet};
    ///
    /// let bus = RangeWatchBus::new();
    /// let watches = WatchSet::new();
    /// watches.insert("w", bus.subscribe(..).hold().wake()?);
    /// bus.emit(1500, ["k"])?;
    /// assert!(watches.try_recv().is_none());
    /// watches.with(&"w", |watch| watch.start()).expect("inserted above")?;
    /// assert!(watches.try_recv().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with<R>(&self, key: &K, f: impl FnOnce(&mut WakeSubscription) -> R) -> Option<R> {
        self.core.with(key, f)
    }

    /// The number of subscriptions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.core.lock().len()
    }

    /// Whether there are no subscriptions.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of keys that are ready: an upper bound, because what a key was ready for may be
    /// gone when it is taken.
    #[must_use]
    pub fn n_ready(&self) -> usize {
        self.core.lock().n_ready()
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> Default for WatchSet<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> Drop for WatchSet<K> {
    fn drop(&mut self) {
        // A delivery or an emit may hold the core for longer.
        self.core.clear();
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> fmt::Debug for WatchSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, n_ready) = {
            let state = self.core.lock();
            (state.len(), state.n_ready())
        };
        f.debug_struct("WatchSet")
            .field("len", &len)
            .field("n_ready", &n_ready)
            .finish_non_exhaustive()
    }
}

/// A waker to wake once no lock is held.
type NextReceiver = Option<Waker>;
