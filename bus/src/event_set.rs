//! Event sets: many watches under keys of the user's, in one ordered queue.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::hash::Hash;
use std::task::{Context, Poll};

use foldhash::quality::RandomState;

use crate::index::{Handle, IntervalIndex};
use crate::shrink::shrunk;
use crate::{
    ControlError, Event, EventSubscription, KeyRange, Overflow, QueueBudget, RangeWatchBus,
    RecvError, Selectors, Seq, SubscribeError, TryRecvError,
};

/// Many watches under keys of type `K`, each of one range, in one ordered and bounded queue: every
/// event is received once, with the keys of the watches that it matches.
///
/// This is what a stream of many watches needs of which every value counts: one order over all of
/// them, one bound, one consumer. It counts as one subscription of its bus. Where only the latest
/// change of each watch counts, a [`WatchSet`](crate::WatchSet) takes constant memory.
///
/// # Position
///
/// A watch is inserted and removed at one [`Seq`]. An event counts for a watch if it came after the
/// insertion, and if the watch is in the set when the event is received: after a removal nothing is
/// received for the watch, also not what was in the queue.
///
/// # Overflow
///
/// The queue is bounded in events and in bytes, and an emit never waits for it. When it is full the
/// set ends as with [`Overflow::Disconnect`]: what is in the queue is received, then
/// [`RecvError::Disconnected`] with the value to resume from.
///
/// # Costs
///
/// An insertion and a removal take a number of steps that grows as the logarithm of the number of
/// watches. An emit takes one step for each watch that it matches.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{EventSet, KeyRange, RangeWatchBus};
///
/// let bus = RangeWatchBus::new();
/// let mut watches = EventSet::new(&bus, 256, 1 << 20)?;
/// watches.insert("pods", KeyRange::prefix("/pods/"))?;
/// watches.insert("web", KeyRange::key("/pods/web"))?;
///
/// bus.emit(1, ["/pods/db"])?;
/// bus.emit(2, ["/pods/web", "/nodes/n1"])?;
/// let mut matched = Vec::new();
/// assert_eq!(watches.try_recv(&mut matched)?.value(), 1);
/// assert_eq!(matched, ["pods"]);
/// assert_eq!(watches.try_recv(&mut matched)?.value(), 2);
/// assert_eq!(matched.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventSet<K, P = ()> {
    events: EventSubscription<P>,
    /// The place in `members` of each range.
    index: IntervalIndex<u32>,
    /// In the order of the ranges of the subscription.
    members: Vec<Member<K>>,
    places: HashMap<K, u32, RandomState>,
    /// Scratch buffer.
    found: Vec<u32>,
}

struct Member<K> {
    key: K,
    handle: Handle,
    /// The first emit that counts.
    since: Seq,
}

impl<K: Hash + Eq + Clone, P: Send + Sync + 'static> EventSet<K, P> {
    /// Makes an empty set with a queue of at most `capacity` events of `max_bytes`, counted as
    /// [`queue_bytes`](crate::SubscribeBuilder::queue_bytes) counts them.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::ZeroCapacity`], [`SubscribeError::TooManySubscriptions`],
    /// [`SubscribeError::Closed`].
    pub fn new(
        bus: &RangeWatchBus<P>,
        capacity: usize,
        max_bytes: usize,
    ) -> Result<Self, SubscribeError> {
        Self::make(bus, capacity, max_bytes, None)
    }

    /// As [`new`](Self::new), with a queue that is also bounded by a budget, which several sets of
    /// the bus share: the set whose queue would exceed it ends, and none of the others.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{EventSet, KeyRange, QueueBudget, RangeWatchBus, TryRecvError};
    ///
    /// let bus = RangeWatchBus::new();
    /// let budget = QueueBudget::new(100);
    /// let mut slow = EventSet::with_budget(&bus, 256, 80, &budget)?;
    /// let mut other = EventSet::with_budget(&bus, 256, 80, &budget)?;
    /// slow.insert("s", KeyRange::prefix("s"))?;
    /// other.insert("o", KeyRange::prefix("o"))?;
    ///
    /// bus.emit(1, ["s".repeat(60)])?;
    /// bus.emit(2, ["o".repeat(60)])?;
    /// let end = other.try_recv(&mut Vec::new()).unwrap_err();
    /// assert_eq!(end, TryRecvError::Disconnected { resume: 2 });
    /// assert_eq!(slow.try_recv(&mut Vec::new())?.value(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_budget(
        bus: &RangeWatchBus<P>,
        capacity: usize,
        max_bytes: usize,
        budget: &QueueBudget,
    ) -> Result<Self, SubscribeError> {
        Self::make(bus, capacity, max_bytes, Some(budget.clone()))
    }

    fn make(
        bus: &RangeWatchBus<P>,
        capacity: usize,
        max_bytes: usize,
        budget: Option<QueueBudget>,
    ) -> Result<Self, SubscribeError> {
        let builder = bus.subscribe(Selectors::new());
        let builder = builder
            .overflow(Overflow::Disconnect)
            .queue_bytes(max_bytes)
            .budget(budget);
        Ok(Self {
            events: builder.events(capacity)?.showing_all_keys(),
            index: IntervalIndex::new(),
            members: Vec::new(),
            places: HashMap::default(),
            found: Vec::new(),
        })
    }

    /// Adds a watch under `key`, in place of the one that was there before. Returns the position of
    /// the first emit that counts for it.
    ///
    /// # Errors
    ///
    /// [`ControlError::Ended`] after an overflow or a restore, [`ControlError::Closed`]. Nothing
    /// has changed then.
    pub fn insert(&mut self, key: K, range: KeyRange) -> Result<Seq, ControlError> {
        let since = self.events.push_range(range.clone())?;
        // The index has fewer entries than fit 32 bits.
        let place = self.members.len() as u32;
        let handle = self.index.insert(range, place);
        let replaced = self.places.insert(key.clone(), place);
        self.members.push(Member { key, handle, since });
        if let Some(replaced) = replaced {
            self.remove_at(replaced);
        }
        Ok(since)
    }

    /// Removes the watch of `key`; `false` if there is none.
    pub fn remove(&mut self, key: &K) -> bool {
        let place = self.places.remove(key);
        place.inspect(|&place| self.remove_at(place)).is_some()
    }

    /// Receives the next event; waits if there is none. `matched` is replaced by the keys of the
    /// watches that it matches, at least one, in the order in which they were inserted unless
    /// others were removed. The event shows all keys of the emit.
    ///
    /// # Errors
    ///
    /// [`RecvError::Disconnected`], [`RecvError::Compacted`] if the bus was
    /// [restored](RangeWatchBus::restore), and [`RecvError::Closed`], after which nothing follows.
    ///
    /// # Cancel safety
    ///
    /// Yes. An event leaves the set only as the result of this function.
    pub async fn recv(&mut self, matched: &mut Vec<K>) -> Result<Event<P>, RecvError> {
        poll_fn(|cx| self.poll_recv(cx, matched)).await
    }

    /// Receives the next event without waiting, as [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is none, the others as [`recv`](Self::recv).
    pub fn try_recv(&mut self, matched: &mut Vec<K>) -> Result<Event<P>, TryRecvError> {
        loop {
            let event = self.events.try_recv()?;
            if self.resolve(&event, matched) {
                return Ok(event);
            }
        }
    }

    /// The poll function of [`recv`](Self::recv). On `Pending` the waker of `cx` is registered in
    /// place of that of an earlier call, and woken by the next matching emit, by the end or by the
    /// close.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        matched: &mut Vec<K>,
    ) -> Poll<Result<Event<P>, RecvError>> {
        loop {
            let event = std::task::ready!(self.events.poll_recv(cx))?;
            if self.resolve(&event, matched) {
                return Poll::Ready(Ok(event));
            }
        }
    }

    /// As [`poll_recv`](Self::poll_recv), but an event is received too if none of the watches that
    /// it matched is left in the set: `matched` is empty then. One poll takes one event, for users
    /// that bound the work of a poll, or where its payloads are dropped.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv_any(
        &mut self,
        cx: &mut Context<'_>,
        matched: &mut Vec<K>,
    ) -> Poll<Result<Event<P>, RecvError>> {
        let event = std::task::ready!(self.events.poll_recv(cx))?;
        self.resolve(&event, matched);
        Poll::Ready(Ok(event))
    }

    /// The epoch in which the values of this set count, as [`EventSubscription::epoch`].
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        self.events.epoch()
    }

    /// The number of watches.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no watches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The number of events in the queue.
    #[must_use]
    pub fn n_queued(&self) -> usize {
        self.events.len()
    }

    fn remove_at(&mut self, place: u32) {
        self.events.swap_remove_range(place as usize);
        let removed = self.members.swap_remove(place as usize);
        self.index.remove(removed.handle);
        // The last one has moved there.
        if let Some(moved) = self.members.get_mut(place as usize) {
            if let Some(range) = self.index.range_of(moved.handle).cloned() {
                self.index.remove(moved.handle);
                moved.handle = self.index.insert(range, place);
            }
            if let Some(of_moved) = self.places.get_mut(&moved.key) {
                *of_moved = place;
            }
        }
        self.shrink();
    }

    /// Gives memory back when most watches have gone. This takes as many steps as there were
    /// removals, or fewer.
    fn shrink(&mut self) {
        let n = self.members.len();
        if let Some(capacity) = shrunk(n, self.members.capacity()) {
            self.members.shrink_to(capacity);
        }
        if let Some(capacity) = shrunk(n, self.places.capacity()) {
            self.places.shrink_to(capacity);
        }
        if shrunk(n, self.index.n_places()).is_some() {
            let old = std::mem::take(&mut self.index);
            for (place, member) in self.members.iter_mut().enumerate() {
                if let Some(range) = old.range_of(member.handle) {
                    member.handle = self.index.insert(range.clone(), place as u32);
                }
            }
        }
    }

    /// Replaces `matched` by the keys of the watches for which the event counts. `false` if there
    /// are none any more.
    fn resolve(&mut self, event: &Event<P>, matched: &mut Vec<K>) -> bool {
        matched.clear();
        self.found.clear();
        self.index.find_any(event.keys(), &mut self.found);
        self.found.sort_unstable();
        let found = self
            .found
            .iter()
            .filter_map(|&place| self.members.get(place as usize));
        let counts = found.filter(|member| member.since <= event.seq());
        matched.extend(counts.map(|member| member.key.clone()));
        !matched.is_empty()
    }
}

impl<K, P> fmt::Debug for EventSet<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSet")
            .field("len", &self.members.len())
            .field("n_queued", &self.events.len())
            .finish_non_exhaustive()
    }
}
