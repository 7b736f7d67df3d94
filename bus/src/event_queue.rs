//! The queue of an event subscription.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::task::Waker;

use crate::Seq;
use crate::counts::Counts;
use crate::key_list::KeyList;
use crate::mailbox::{Buffer, RoomWaiters};
use crate::queued::Queued;
use crate::span::{Span, SpanBuffer};

/// A queue that is bounded in events and in bytes, and what happens beyond the bounds.
///
/// What is received comes in the order of the emits: the report of what was missed, the entries, the
/// open gap, what is read from the history, the mark at the tail, the end.
pub(crate) struct EventQueue {
    entries: VecDeque<Entry>,
    /// The bytes of the events in `entries`.
    n_bytes: usize,
    /// How many of `entries` are marks, which take no room.
    n_marks: usize,
    /// How many emits the gaps in `entries` have beside the first of each.
    n_coalesced: u64,
    capacity: NonZeroUsize,
    max_bytes: usize,
    on_full: OnFull,
    /// Events dropped and not yet reported. They lie before everything retained, in one piece, so that
    /// a single number says it all.
    missed: u64,
    /// The greatest value of those.
    missed_through: u64,
    /// Events that found the queue full, merged. Open until there is room behind the entries.
    gap: SpanBuffer,
    /// The last emit before the subscription.
    start: Option<Seq>,
    /// Matches that were counted when they were emitted, and are yet to be read from the history.
    n_left_in_history: u64,
    /// Set while the subscription is parked: the least value that it has not examined.
    replay: Option<u64>,
    /// The progress mark behind everything that is queued.
    tail_mark: Option<u64>,
    /// Whether a mark was asked for while parked.
    wants_mark: bool,
    end: Option<End>,
    /// Whether the queue was full since the consumer last had nothing to receive.
    is_slow: bool,
    room_waiters: RoomWaiters,
    /// The value up to which everything was received.
    position: Option<u64>,
    counts: Counts,
}

enum Entry {
    Event(Queued),
    Gap(Box<Span>),
    Progress(u64),
}

/// What an event for which there is no room leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFull {
    DropOldest,
    Merge,
    Disconnect,
    Park,
}

/// Why a subscription ended before its bus. It is said for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Disconnected { resume: u64 },
    Compacted { floor: u64 },
}

/// What a push came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    /// Dropped or merged: the consumer will hear of it, but not of each.
    Lost {
        /// Whether the consumer was not slow before.
        first: bool,
    },
    Parked {
        /// Whether the consumer was not slow before.
        first: bool,
    },
    Disconnected,
}

/// What a subscription receives next.
pub(crate) enum Taken {
    Event(Queued),
    Gap(Span),
    Progress(u64),
    Lagged(u64),
    /// The queue is empty, and the history goes on from this value.
    Replay(u64),
    End(End),
}

/// Marks that wait for the consumer. One more takes the place of the latest, so that a consumer which
/// asks and does not receive takes no memory.
const MAX_MARKS: usize = 4;

impl EventQueue {
    /// Allocates nothing yet: a capacity is a bound, not a reservation.
    pub(crate) const fn new(
        capacity: NonZeroUsize,
        max_bytes: usize,
        on_full: OnFull,
        start: Option<Seq>,
        replay: Option<u64>,
        position: Option<u64>,
    ) -> Self {
        Self {
            entries: VecDeque::new(),
            n_bytes: 0,
            n_marks: 0,
            n_coalesced: 0,
            capacity,
            max_bytes,
            on_full,
            missed: 0,
            missed_through: 0,
            gap: SpanBuffer::new(),
            start,
            n_left_in_history: 0,
            replay,
            tail_mark: None,
            wants_mark: false,
            end: None,
            is_slow: false,
            room_waiters: Vec::new(),
            position,
            counts: Counts::new(),
        }
    }

    /// Adds an emit, which must be later than those before. What has to go for it is handed to `evicted`,
    /// to be freed outside of locks.
    #[inline]
    pub(crate) fn push(&mut self, queued: Queued, evicted: &mut impl Extend<KeyList>) -> Pushed {
        if self.has_place(queued.keys.n_bytes()) {
            self.store(queued);
            Pushed::Queued
        } else {
            self.overflow(queued, evicted)
        }
    }

    /// What becomes of an emit for which there is no place. Apart from `push`, of which every delivery pays for
    /// what it is inlined with.
    #[inline(never)]
    fn overflow(&mut self, queued: Queued, evicted: &mut impl Extend<KeyList>) -> Pushed {
        let first = !std::mem::replace(&mut self.is_slow, true);
        match self.on_full {
            OnFull::DropOldest => {
                self.drop_oldest(queued, evicted);
                Pushed::Lost { first }
            }
            OnFull::Merge => {
                self.gap.push(queued.seq, queued.value);
                // The mark comes behind the gap, so it may say more.
                if let Some(mark) = &mut self.tail_mark {
                    *mark = queued.value;
                }
                Pushed::Lost { first }
            }
            OnFull::Disconnect => {
                self.end = Some(End::Disconnected {
                    resume: queued.value,
                });
                self.counts.dropped += 1;
                Pushed::Disconnected
            }
            OnFull::Park => {
                self.replay = Some(queued.value);
                self.n_left_in_history = 1;
                self.wants_mark |= self.tail_mark.take().is_some();
                Pushed::Parked { first }
            }
        }
    }

    /// Whether an event of `n_bytes` can be queued behind everything else.
    fn has_place(&self, n_bytes: usize) -> bool {
        self.len() < self.capacity.get()
            && n_bytes <= self.max_bytes - self.n_bytes
            && self.gap.is_empty()
    }

    /// Whether an emitter that would wait for room need not: there is room, or there never will be.
    pub(crate) fn has_room(&self, n_bytes: usize) -> bool {
        n_bytes > self.max_bytes || self.has_place(n_bytes)
    }

    #[inline]
    fn store(&mut self, queued: Queued) {
        if let Some(mark) = self.tail_mark.take() {
            self.push_mark(mark);
        }
        self.n_bytes += queued.keys.n_bytes();
        self.entries.push_back(Entry::Event(queued));
    }

    fn drop_oldest(&mut self, queued: Queued, evicted: &mut impl Extend<KeyList>) {
        let n_bytes = queued.keys.n_bytes();
        while !self.has_place(n_bytes) {
            // Marks at the front stay: they say nothing that a drop makes untrue.
            let oldest = self
                .entries
                .iter()
                .position(|entry| matches!(entry, Entry::Event(_)));
            let Some(Entry::Event(oldest)) = oldest.and_then(|i| self.entries.remove(i)) else {
                // Nothing is left to drop: it never fits.
                self.miss(queued.value);
                evicted.extend([queued.keys]);
                return;
            };
            self.n_bytes -= oldest.keys.n_bytes();
            self.miss(oldest.value);
            evicted.extend([oldest.keys]);
        }
        self.store(queued);
    }

    fn miss(&mut self, value: u64) {
        self.missed_through = match self.missed {
            0 => value,
            _ => value.max(self.missed_through),
        };
        self.missed = self.missed.saturating_add(1);
    }

    /// Puts a mark behind the events that are queued, of which there will be more.
    fn push_mark(&mut self, mark: u64) {
        if self.n_marks == MAX_MARKS {
            let last = self
                .entries
                .iter()
                .rposition(|entry| matches!(entry, Entry::Progress(_)));
            last.and_then(|i| self.entries.remove(i));
            self.n_marks -= 1;
        }
        self.entries.push_back(Entry::Progress(mark));
        self.n_marks += 1;
    }

    /// Asks for a mark: at the value `head` behind everything that is queued, or, while parked, once the
    /// history has been read. Returns whether it will come: behind the end none does.
    pub(crate) const fn mark(&mut self, head: u64) -> bool {
        if self.end.is_some() {
            return false;
        }
        if self.replay.is_some() {
            self.wants_mark = true;
        } else {
            self.tail_mark = Some(head);
        }
        true
    }

    /// Adds a matching emit that was read from the history, unless there is no room for it.
    pub(crate) fn push_replayed(&mut self, queued: &Queued) -> bool {
        let has_place = self.has_place(queued.keys.n_bytes());
        if has_place {
            self.store(queued.clone());
            self.count_replayed(queued.seq);
        }
        has_place
    }

    /// Counts a match of a parked subscription, which it will read from the history.
    pub(crate) const fn leave_in_history(&mut self) {
        self.n_left_in_history += 1;
    }

    /// Takes note of a matching emit that was read from the history. Those before the start of the subscription
    /// were not counted as matches when they were emitted.
    fn count_replayed(&mut self, seq: Seq) {
        if Some(seq) > self.start {
            self.n_left_in_history -= 1;
            self.counts.replayed += 1;
        } else {
            self.counts.rematched += 1;
        }
    }

    /// Takes note that everything below the value `next` has been examined, in the history.
    pub(crate) const fn examined(&mut self, next: u64) {
        self.replay = Some(next);
    }

    /// Takes note that what was emitted up to `head` is not for the consumer, who begins only now.
    pub(crate) fn begin_after(&mut self, head: Option<u64>) {
        self.position = self.position.max(head);
    }

    /// Ends the reading from the history: `head` is the value up to which everything was examined.
    pub(crate) fn go_live(&mut self, head: Option<u64>) {
        self.replay = None;
        // Everything that was wanted has been read.
        self.counts.discarded += std::mem::take(&mut self.n_left_in_history);
        if std::mem::take(&mut self.wants_mark) {
            self.tail_mark = head;
        }
    }

    pub(crate) const fn replay(&self) -> Option<u64> {
        self.replay
    }

    /// Ends a parked subscription that the history has overtaken.
    pub(crate) fn overtaken(&mut self, floor: u64) {
        self.replay = None;
        self.counts.dropped += std::mem::take(&mut self.n_left_in_history);
        self.end = Some(End::Compacted { floor });
    }

    /// Forgets what is queued or to be read from the history with a value up to `value`. What it hands out is
    /// freed outside of locks.
    ///
    /// What of the history is not wanted is not looked at, so that it may be gone from there; it counts as
    /// discarded once the rest has been read.
    pub(crate) fn discard_through(&mut self, value: u64) -> Vec<KeyList> {
        if let Some(next) = &mut self.replay {
            *next = value.saturating_add(1).max(*next);
        }
        if let Some(End::Disconnected { resume }) = &mut self.end {
            *resume = value.saturating_add(1).max(*resume);
        }
        self.tail_mark = self.tail_mark.filter(|mark| *mark > value);
        if self.missed_through <= value {
            self.counts.discarded += std::mem::take(&mut self.missed);
        }
        let mut discarded = Vec::new();
        let entries = std::mem::take(&mut self.entries);
        self.n_bytes = 0;
        self.n_marks = 0;
        self.n_coalesced = 0;
        for entry in entries {
            match entry {
                Entry::Event(queued) if queued.value <= value => {
                    self.counts.discarded += 1;
                    discarded.push(queued.keys);
                }
                Entry::Gap(gap) if gap.last() <= value => self.counts.discarded += gap.count(),
                Entry::Gap(mut gap) => {
                    gap.clip(value);
                    self.push_gap(*gap);
                }
                Entry::Event(queued) => {
                    self.n_bytes += queued.keys.n_bytes();
                    self.entries.push_back(Entry::Event(queued));
                }
                Entry::Progress(mark) if mark <= value => {}
                Entry::Progress(mark) => {
                    self.n_marks += 1;
                    self.entries.push_back(Entry::Progress(mark));
                }
            }
        }
        self.counts.discarded += self.gap.discard_through(value);
        self.position = self.position.max(Some(value));
        discarded
    }

    /// Forgets everything that is queued or to be read from the history, for an end without draining. What it hands
    /// out is freed outside of locks.
    pub(crate) fn clear(&mut self) -> impl Sized + use<> {
        self.counts.discarded += self.n_pending();
        self.n_left_in_history = 0;
        self.missed = 0;
        self.gap = SpanBuffer::new();
        self.replay = None;
        self.tail_mark = None;
        self.wants_mark = false;
        self.n_bytes = 0;
        self.n_marks = 0;
        self.n_coalesced = 0;
        std::mem::take(&mut self.entries)
    }

    /// The number of events and gaps that are queued.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.n_marks
    }

    pub(crate) const fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    pub(crate) const fn capacity(&self) -> NonZeroUsize {
        self.capacity
    }

    pub(crate) const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    pub(crate) const fn position(&self) -> Option<u64> {
        self.position
    }

    pub(crate) const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The matches that the consumer has yet to receive or to hear of.
    pub(crate) fn n_pending(&self) -> u64 {
        self.n_queued() + self.n_left_in_history
    }

    /// The matches that the consumer has yet to read from the history, or that the history has lost.
    pub(crate) const fn n_left_in_history(&self) -> u64 {
        self.n_left_in_history
    }

    /// The matches that the consumer has yet to receive or to hear of, but for those that it will read
    /// from the history.
    pub(crate) fn n_queued(&self) -> u64 {
        self.len() as u64 + self.n_coalesced + self.gap.count() + self.missed
    }

    /// Whether there is nothing for the consumer to receive or to read.
    pub(crate) fn is_caught_up(&self) -> bool {
        self.len() == 0 && self.gap.is_empty() && self.missed == 0 && self.replay.is_none()
    }

    /// If the consumer was slow and has nothing to receive now, it is slow no longer: returns what it came to.
    #[cfg(feature = "tracing")]
    pub(crate) fn recover(&mut self) -> Option<Counts> {
        let recovers = self.is_slow && self.is_caught_up() && self.end.is_none();
        recovers.then(|| {
            self.is_slow = false;
            self.counts
        })
    }

    /// Lets an emitter wait for room.
    pub(crate) fn wait_for_room(&mut self, waiter: u64, waker: Waker) -> Option<Waker> {
        match self.room_waiters.iter_mut().find(|(id, _)| *id == waiter) {
            Some((_, old)) => Some(std::mem::replace(old, waker)),
            None => {
                self.room_waiters.push((waiter, waker));
                None
            }
        }
    }

    /// Lets an emitter wait no more.
    pub(crate) fn stop_waiting(&mut self, waiter: u64) -> Option<Waker> {
        let i = self.room_waiters.iter().position(|(id, _)| *id == waiter)?;
        Some(self.room_waiters.swap_remove(i).1)
    }

    fn take_event(&mut self, queued: Queued) -> Taken {
        self.counts.delivered += 1;
        self.position = Some(queued.value);
        Taken::Event(queued)
    }

    /// Takes note of a matching emit that goes from the history to the consumer without a place in the
    /// queue.
    pub(crate) fn deliver_replayed(&mut self, queued: Queued) -> Taken {
        self.count_replayed(queued.seq);
        self.take_event(queued)
    }

    fn push_gap(&mut self, gap: Span) {
        self.n_coalesced += gap.count() - 1;
        self.entries.push_back(Entry::Gap(Box::new(gap)));
    }

    fn take_gap(&mut self, gap: Span) -> Taken {
        self.counts.deliver_span(gap.count());
        self.position = Some(gap.last());
        Taken::Gap(gap)
    }
}

impl Buffer for EventQueue {
    type Item = Taken;

    fn take(&mut self) -> Option<Taken> {
        if self.missed > 0 {
            let missed = std::mem::take(&mut self.missed);
            self.counts.dropped += missed;
            return Some(Taken::Lagged(missed));
        }
        if let Some(entry) = self.entries.pop_front() {
            let taken = match entry {
                Entry::Event(queued) => {
                    self.n_bytes -= queued.keys.n_bytes();
                    self.take_event(queued)
                }
                Entry::Gap(gap) => {
                    self.n_coalesced -= gap.count() - 1;
                    self.take_gap(*gap)
                }
                Entry::Progress(mark) => {
                    self.n_marks -= 1;
                    self.position = Some(mark);
                    return Some(Taken::Progress(mark));
                }
            };
            // The place that is free closes the gap: what comes now is queued behind it.
            if let Some(gap) = self.gap.take() {
                self.push_gap(gap);
            }
            return Some(taken);
        }
        if let Some(gap) = self.gap.take() {
            return Some(self.take_gap(gap));
        }
        if let Some(next) = self.replay {
            return Some(Taken::Replay(next));
        }
        if let Some(mark) = self.tail_mark.take() {
            self.position = Some(mark);
            return Some(Taken::Progress(mark));
        }
        self.end.map(Taken::End)
    }

    fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    fn take_room_waiters(&mut self) -> RoomWaiters {
        std::mem::take(&mut self.room_waiters)
    }

    fn has_room_waiters(&self) -> bool {
        !self.room_waiters.is_empty()
    }
}
