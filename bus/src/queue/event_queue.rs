//! The bounded queue of an event subscription.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::Waker;

use super::QueueBudget;
use super::counts::Counts;
use super::entries::{Entries, Entry, Marker};
use super::missed::Missed;
use super::tail::Tail;
use crate::emit::{Record, Room, RoomQueue, RoomWakers, Ticket};
use crate::history::HistoryBuffer;
use crate::order::Shared;
use crate::subscription::{Buffer, Span};
use crate::{Overflow, Seq};

/// A queue that is bounded in events and in bytes.
///
/// The emitter pushes while it holds the bus lock; the consumer takes under the queue's own lock.
/// When a push would exceed the bounds, the overflow policy decides: `Lagged` drops the oldest
/// event and counts it, `Coalesce` extends the gap at the tail, `Disconnect` ends the subscription,
/// `Park` switches the consumer to the history. Invariant: the events and their bytes never exceed
/// the bounds.
///
/// Items are received in the order of the emits: the report of missed events, the entries, the
/// gap at the tail, events of the history, the mark at the tail, the end.
pub(crate) struct EventQueue<P> {
    entries: Entries<P>,
    /// What a synchronous emit does when the queue is full: never `Backpressure`.
    overflow: Overflow,
    missed: Missed,
    tail: Tail,
    /// The last emit before the subscription.
    start: Option<Seq>,
    /// How many of the matches that were left in the history were read from there or given up. The
    /// bus counts how many were left there; both only grow.
    n_settled_in_history: u64,
    /// Set while the subscription is parked: the value to replay from.
    replay: Option<u64>,
    /// Whether a mark was requested while parked.
    wants_mark: bool,
    end: Option<End>,
    /// Whether the queue has overflowed since the consumer last had caught up.
    has_overflowed: bool,
    /// Whether what the consumer had yet to receive was discarded by the end of the subscription.
    is_cut_off: bool,
    /// The emitters that wait for room, if there are any.
    room_queue: Option<Box<RoomQueue>>,
    /// The value up to which everything was received.
    position: Option<u64>,
    counts: Counts,
}

/// Why a subscription ended before its bus. Every later receive returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Disconnected { resume: u64 },
    Compacted { floor: u64, epoch: u64 },
}

/// The outcome of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// Dropped or coalesced. The consumer receives one report for several.
    Lost {
        /// Whether this is the first overflow since the consumer last had caught up.
        first: bool,
    },
    Parked {
        /// Whether this is the first overflow since the consumer last had caught up.
        first: bool,
    },
    Disconnected,
}

/// What a receive takes from the queue.
pub(crate) enum Taken<P> {
    Event(Record<P>),
    Gap(Span),
    Progress(u64),
    Lagged(u64),
    /// The queue is empty; the replay continues with this value.
    Replay(u64),
    End(End),
}

impl<P> EventQueue<P> {
    /// Allocates nothing yet: a capacity is a bound, not a reservation.
    pub(crate) const fn new(
        capacity: NonZeroUsize,
        max_bytes: usize,
        budget: Option<QueueBudget>,
        overflow: Overflow,
        start: Option<Seq>,
        replay: Option<u64>,
        position: Option<u64>,
    ) -> Self {
        Self {
            entries: Entries::new(capacity, max_bytes, budget),
            overflow,
            missed: Missed::new(),
            tail: Tail::new(),
            start,
            n_settled_in_history: 0,
            replay,
            wants_mark: false,
            end: None,
            has_overflowed: false,
            is_cut_off: false,
            room_queue: None,
            position,
            counts: Counts::new(),
        }
    }

    /// Adds an emit, which must be later than those before. Events dropped for it go to `evicted`,
    /// to be freed outside of locks.
    #[inline]
    pub(crate) fn push(
        &mut self,
        emit: &Record<P>,
        evicted: &mut impl Extend<Record<P>>,
    ) -> Pushed {
        if self.tail.is_empty() && self.entries.push_event(emit) {
            Pushed::Queued
        } else {
            self.push_slowly(emit, evicted)
        }
    }

    /// The cold path of `push`: the tail is not empty, or the queue is full. Kept out of line,
    /// because the hot path is inlined into every delivery.
    #[inline(never)]
    fn push_slowly(&mut self, emit: &Record<P>, evicted: &mut impl Extend<Record<P>>) -> Pushed {
        if self.store(emit) {
            Pushed::Queued
        } else {
            self.overflow(emit, evicted)
        }
    }

    /// Applies the overflow policy to an emit.
    fn overflow(&mut self, emit: &Record<P>, evicted: &mut impl Extend<Record<P>>) -> Pushed {
        let first = !std::mem::replace(&mut self.has_overflowed, true);
        match self.overflow {
            Overflow::Lagged => {
                self.drop_oldest(emit, evicted);
                Pushed::Lost { first }
            }
            Overflow::Coalesce | Overflow::Backpressure => {
                self.tail.merge(emit.seq(), emit.value());
                Pushed::Lost { first }
            }
            Overflow::Disconnect => {
                self.end = Some(End::Disconnected {
                    resume: emit.value(),
                });
                self.counts.dropped += 1;
                Pushed::Disconnected
            }
            Overflow::Park => {
                self.replay = Some(emit.value());
                self.wants_mark |= self.tail.take_mark().is_some();
                Pushed::Parked { first }
            }
        }
    }

    /// Whether an event of `n_bytes` can be queued behind everything else.
    fn has_place(&self, n_bytes: usize) -> bool {
        self.entries.has_place(n_bytes) && !self.tail.has_gap()
    }

    /// Whether an asynchronous emit need not wait: there is room for it and for all emits that wait
    /// longer, or there never will be.
    pub(crate) fn admits(&self, ticket: Ticket, n_bytes: usize) -> bool {
        if n_bytes > self.entries.max_bytes() {
            return true;
        }
        let queue = self.room_queue.as_ref();
        self.has_place(n_bytes)
            && queue.is_none_or(|queue| queue.admits(ticket, n_bytes, self.free_room()))
    }

    /// The room for events behind everything else.
    fn free_room(&self) -> Room {
        if self.tail.has_gap() {
            Room::default()
        } else {
            self.entries.free_room()
        }
    }

    /// Registers an emitter that must wait. Returns the waker that was registered for it before.
    pub(crate) fn wait_for_room(
        &mut self,
        ticket: Ticket,
        n_bytes: usize,
        waker: Waker,
        notified: &mut RoomWakers,
    ) -> Option<Waker> {
        let queue = self.room_queue.get_or_insert_default();
        let replaced = queue.insert(ticket, n_bytes, waker);
        self.notify_emitters(notified);
        replaced
    }

    /// Removes an emitter that waits no longer. Returns the waker that was registered for it.
    pub(crate) fn stop_waiting(
        &mut self,
        ticket: Ticket,
        notified: &mut RoomWakers,
    ) -> Option<Waker> {
        let removed = self.room_queue.as_mut()?.remove(ticket);
        self.notify_emitters(notified);
        removed
    }

    fn notify_emitters(&mut self, notified: &mut RoomWakers) {
        let free = self.free_room();
        if let Some(queue) = &mut self.room_queue {
            queue.notify(free, notified);
        }
        self.room_queue.take_if(|queue| queue.is_empty());
    }

    /// Queues an emit if there is room, behind a mark at the tail. Returns whether there was.
    fn store(&mut self, emit: &Record<P>) -> bool {
        if !self.has_place(emit.n_bytes()) {
            return false;
        }
        if let Some(mark) = self.tail.take_mark() {
            self.entries.push_mark(mark);
        }
        self.entries.push_event(emit)
    }

    fn drop_oldest(&mut self, emit: &Record<P>, evicted: &mut impl Extend<Record<P>>) {
        while !self.store(emit) {
            let Some(oldest) = self.entries.remove_oldest_event() else {
                // No event is left to drop: the emit exceeds the bound by itself.
                self.missed.push(emit.value());
                return;
            };
            self.missed.push(oldest.value());
            evicted.extend([oldest]);
        }
    }

    /// Requests a mark: with the value `head` behind everything that is queued, or, while parked,
    /// after the replay. Returns whether it will be received: after the end none is.
    pub(crate) fn mark(&mut self, head: u64) -> bool {
        if self.end.is_some() {
            return false;
        }
        if self.replay.is_some() {
            self.wants_mark = true;
        } else {
            self.tail.set_mark(head);
        }
        true
    }

    /// Adds a matching emit of the history if there is room. Returns whether there was.
    pub(crate) fn push_replayed(&mut self, emit: &Record<P>) -> bool {
        let has_place = self.store(emit);
        if has_place {
            self.count_replayed(emit.seq());
        }
        has_place
    }

    /// Counts a matching emit of the history. Those before the start of the subscription
    /// were not counted as matches when they were emitted.
    fn count_replayed(&mut self, seq: Seq) {
        if Some(seq) > self.start {
            self.n_settled_in_history += 1;
            self.counts.replayed += 1;
        } else {
            self.counts.rematched += 1;
        }
    }

    /// Sets the value to replay from: everything below was examined.
    pub(crate) const fn replay_from(&mut self, next: u64) {
        self.replay = Some(next);
    }

    /// Sets the position of a subscription that begins after `head`.
    pub(crate) fn begin_after(&mut self, head: Option<u64>) {
        self.position = self.position.max(head);
    }

    /// Ends the replay: `head` is the value up to which everything was examined.
    pub(crate) fn go_live(&mut self, head: Option<u64>, n_left_in_history: u64) {
        self.replay = None;
        // What is left was excluded by `start_after` or an edit.
        self.counts.discarded += self.settle(n_left_in_history);
        let wants_mark = std::mem::take(&mut self.wants_mark);
        if let Some(head) = head.filter(|_| wants_mark) {
            self.tail.set_mark(head);
        }
    }

    pub(crate) const fn replay(&self) -> Option<u64> {
        self.replay
    }

    /// Settles what is left in the history. Returns how many matches that were.
    const fn settle(&mut self, n_left_in_history: u64) -> u64 {
        let n_unread = self.n_unread(n_left_in_history);
        self.n_settled_in_history = n_left_in_history;
        n_unread
    }

    /// Ends the subscription after what is queued. What it has yet to read from the history is
    /// lost.
    pub(crate) fn end_before_bus(&mut self, end: End, n_left_in_history: u64) {
        self.replay = None;
        self.counts.dropped += self.settle(n_left_in_history);
        self.end = Some(end);
    }

    /// Sets the head of a subscription that has yet to be opened.
    pub(crate) fn restore(&mut self, head: Option<u64>) {
        self.position = head;
        let had_mark = self.tail.take_mark().is_some();
        if let Some(head) = head.filter(|_| had_mark) {
            self.tail.set_mark(head);
        }
    }

    /// Discards everything with a value up to `value`, in the queue and in the history. Returns the
    /// events, to be freed outside of locks.
    ///
    /// The replay skips such emits of the history, which may be removed from there; they count as
    /// discarded when the replay ends.
    pub(crate) fn discard_through(&mut self, value: u64) -> Vec<Record<P>> {
        if let Some(next) = &mut self.replay {
            *next = value.saturating_add(1).max(*next);
        }
        if let Some(End::Disconnected { resume }) = &mut self.end {
            *resume = value.saturating_add(1).max(*resume);
        }
        self.counts.discarded += self.missed.discard_through(value);
        let (discarded, n_in_gaps) = self.entries.discard_through(value);
        self.counts.discarded += discarded.len() as u64 + n_in_gaps;
        self.counts.discarded += self.tail.discard_through(value);
        self.position = self.position.max(Some(value));
        discarded
    }

    /// Discards everything, in the queue and in the history. Returns the entries, to be freed
    /// outside of locks.
    pub(crate) fn clear(&mut self, n_left_in_history: u64) -> impl Sized + use<P> {
        let n_discarded = self.n_queued() + self.settle(n_left_in_history);
        self.counts.discarded += n_discarded;
        self.is_cut_off |= n_discarded > 0 || self.replay.is_some();
        self.missed.take();
        self.tail = Tail::new();
        self.replay = None;
        self.wants_mark = false;
        self.entries.clear()
    }

    pub(crate) const fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    pub(crate) const fn entries(&self) -> &Entries<P> {
        &self.entries
    }

    pub(crate) const fn position(&self) -> Option<u64> {
        self.position
    }

    pub(crate) const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The matches that the consumer has yet to receive, or to have reported as missed, of which
    /// `n_left_in_history` were left in the history.
    pub(crate) fn n_pending(&self, n_left_in_history: u64) -> u64 {
        self.n_queued() + self.n_unread(n_left_in_history)
    }

    /// The matches that the consumer has yet to read from the history, or that were removed from
    /// there.
    pub(crate) const fn n_unread(&self, n_left_in_history: u64) -> u64 {
        n_left_in_history.saturating_sub(self.n_settled_in_history)
    }

    /// The number of emits that the consumer is behind: 0 if it is live and the queue is empty.
    pub(crate) fn lag(&self, history: Option<&HistoryBuffer<P>>, n_left_in_history: u64) -> u64 {
        let unread = self.replay.map_or(0, |next| {
            let n_unread = history.map_or(0, |history| history.n_since(next));
            let n_unread = u64::try_from(n_unread).unwrap_or(u64::MAX);
            n_unread.max(self.n_unread(n_left_in_history)).max(1)
        });
        self.n_queued() + unread
    }

    /// The matches in the queue that the consumer has yet to receive or to have reported as missed.
    pub(crate) fn n_queued(&self) -> u64 {
        self.entries.len() as u64
            + self.entries.n_coalesced()
            + self.tail.n_in_gap()
            + self.missed.n_events()
    }

    /// The counts of a consumer that has caught up since the queue has overflowed.
    #[cfg(feature = "tracing")]
    pub(crate) fn recover(&mut self) -> Option<Counts> {
        let is_caught_up = self.n_queued() == 0 && self.replay.is_none();
        let recovers = self.has_overflowed && is_caught_up && self.end.is_none();
        recovers.then(|| {
            self.has_overflowed = false;
            self.counts
        })
    }

    /// Takes the event that is next in the queue, and skips marks. `None` if a gap, the history or
    /// the end is next, or nothing.
    pub(crate) fn pop_event(&mut self) -> Option<Record<P>> {
        while self.missed.n_events() == 0 && self.entries.front().is_some_and(|next| !next.is_gap())
        {
            if let Some(Taken::Event(emit)) = self.take() {
                return Some(emit);
            }
        }
        None
    }

    fn take_event(&mut self, emit: Record<P>) -> Taken<P> {
        self.counts.delivered += 1;
        self.position = Some(emit.value());
        Taken::Event(emit)
    }

    /// Delivers a matching emit of the history without queueing it.
    pub(crate) fn deliver_replayed(&mut self, emit: Record<P>) -> Taken<P> {
        self.count_replayed(emit.seq());
        self.take_event(emit)
    }

    fn take_gap(&mut self, gap: Span) -> Taken<P> {
        self.counts.deliver_span(gap.count());
        self.position = Some(gap.last());
        Taken::Gap(gap)
    }
}

impl<P> Buffer for EventQueue<P> {
    type Item = Taken<P>;
    type Host = Arc<Shared<P>>;
    type Waiter = Waker;

    fn take(&mut self) -> Option<Taken<P>> {
        if self.missed.n_events() > 0 {
            let missed = self.missed.take();
            self.counts.dropped += missed;
            return Some(Taken::Lagged(missed));
        }
        if let Some(entry) = self.entries.pop_front() {
            let taken = match entry {
                Entry::Event(emit) => self.take_event(emit),
                Entry::Marker(marker) => match *marker {
                    Marker::Gap(gap) => self.take_gap(gap),
                    Marker::Progress(mark) => {
                        self.position = Some(mark);
                        return Some(Taken::Progress(mark));
                    }
                },
            };
            // The free place closes the gap: later emits are queued behind it.
            if let Some(gap) = self.tail.take_gap() {
                self.entries.push_gap(gap);
            }
            return Some(taken);
        }
        if let Some(gap) = self.tail.take_gap() {
            return Some(self.take_gap(gap));
        }
        if let Some(next) = self.replay {
            return Some(Taken::Replay(next));
        }
        if let Some(mark) = self.tail.take_mark() {
            self.position = Some(mark);
            return Some(Taken::Progress(mark));
        }
        self.end.map(Taken::End)
    }

    fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    #[inline]
    fn notify_room(&mut self) -> RoomWakers {
        let mut notified = RoomWakers::new();
        if self.room_queue.is_some() {
            self.notify_emitters(&mut notified);
        }
        notified
    }

    fn release_emitters(&mut self) -> RoomWakers {
        self.room_queue
            .take()
            .map_or_else(RoomWakers::new, |queue| queue.release())
    }
}
