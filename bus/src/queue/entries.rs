//! The entries of an event queue, within bounds.

use std::num::NonZeroUsize;

use super::QueueBudget;
use super::fifo::Fifo;
use crate::Seq;
use crate::emit::{Record, Room};
use crate::subscription::Span;

/// Events, gaps and progress marks in the order in which they are received.
///
/// An event and a gap count for one place, a mark for none; only events count for bytes.
pub(crate) struct Entries<P> {
    fifo: Fifo<Entry<P>>,
    capacity: NonZeroUsize,
    max_bytes: usize,
    n_free_places: usize,
    n_free_bytes: usize,
    /// Charged with the bytes of the events.
    budget: Option<QueueBudget>,
    n_marks: usize,
    /// The number of emits in gaps, except the first of each.
    n_coalesced: u64,
}

/// Gaps and marks are rare, and boxed.
pub(crate) enum Entry<P> {
    Event(Record<P>),
    Marker(Box<Marker>),
}

/// An entry other than an event.
#[derive(Clone, Copy)]
pub(crate) enum Marker {
    Gap(Span),
    Progress(u64),
}

const _: () = assert!(size_of::<Entry<()>>() <= 2 * size_of::<Record<()>>());

/// The greatest number of queued marks. One more replaces the latest: bounds the memory of a
/// consumer that requests marks and does not receive.
const MAX_MARKS: usize = 4;

impl<P> Entries<P> {
    /// Allocates nothing yet: a capacity is a bound, not a reservation.
    pub(crate) const fn new(
        capacity: NonZeroUsize,
        max_bytes: usize,
        budget: Option<QueueBudget>,
    ) -> Self {
        Self {
            fifo: Fifo::new(),
            capacity,
            max_bytes,
            n_free_places: capacity.get(),
            n_free_bytes: max_bytes,
            budget,
            n_marks: 0,
            n_coalesced: 0,
        }
    }

    /// Whether there is room for an event of `n_bytes`, unless the budget is used up.
    pub(crate) const fn has_place(&self, n_bytes: usize) -> bool {
        self.n_free_places > 0 && n_bytes <= self.n_free_bytes
    }

    pub(crate) const fn free_room(&self) -> Room {
        Room {
            n_places: self.n_free_places,
            n_bytes: self.n_free_bytes,
        }
    }

    /// Adds an event, if there is room. Returns whether there was.
    #[inline]
    pub(crate) fn push_event(&mut self, emit: &Record<P>) -> bool {
        let n_bytes = emit.n_bytes();
        let budget = self.budget.as_ref();
        let has_place =
            self.has_place(n_bytes) && budget.is_none_or(|budget| budget.charge(n_bytes));
        if has_place {
            self.push_charged(emit.clone());
        }
        has_place
    }

    /// Adds an event for which there is room, and which was charged to the budget.
    #[inline]
    fn push_charged(&mut self, emit: Record<P>) {
        self.n_free_places -= 1;
        self.n_free_bytes -= emit.n_bytes();
        self.fifo.push_back(Entry::Event(emit));
    }

    /// Adds a gap, for which there is room.
    pub(crate) fn push_gap(&mut self, gap: Span) {
        self.n_free_places -= 1;
        self.n_coalesced += gap.count() - 1;
        self.push_marker(Marker::Gap(gap));
    }

    /// Adds a progress mark.
    pub(crate) fn push_mark(&mut self, mark: u64) {
        if self.n_marks == MAX_MARKS {
            self.fifo.remove_last(Entry::is_mark);
            self.n_marks -= 1;
        }
        self.n_marks += 1;
        self.push_marker(Marker::Progress(mark));
    }

    fn push_marker(&mut self, marker: Marker) {
        self.fifo.push_back(Entry::Marker(Box::new(marker)));
    }

    pub(crate) fn front(&self) -> Option<&Entry<P>> {
        self.fifo.front()
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Entry<P>> {
        let entry = self.fifo.pop_front()?;
        match &entry {
            Entry::Event(emit) => self.free_event(emit),
            Entry::Marker(marker) => match **marker {
                Marker::Gap(gap) => {
                    self.n_free_places += 1;
                    self.n_coalesced -= gap.count() - 1;
                }
                Marker::Progress(_) => self.n_marks -= 1,
            },
        }
        Some(entry)
    }

    /// Removes the oldest event. Marks stay, because they remain true.
    pub(crate) fn remove_oldest_event(&mut self) -> Option<Record<P>> {
        let is_event = |entry: &Entry<P>| matches!(entry, Entry::Event(_));
        let Some(Entry::Event(emit)) = self.fifo.remove_first(is_event) else {
            return None;
        };
        self.free_event(&emit);
        Some(emit)
    }

    fn free_event(&mut self, emit: &Record<P>) {
        let n_bytes = emit.n_bytes();
        self.n_free_places += 1;
        self.n_free_bytes += n_bytes;
        self.release(n_bytes);
    }

    fn release(&self, n_bytes: usize) {
        if let Some(budget) = &self.budget {
            budget.release(n_bytes);
        }
    }

    /// Removes what has a value up to `value`. Returns the events, and the number of emits in
    /// removed gaps.
    pub(crate) fn discard_through(&mut self, value: u64) -> (Vec<Record<P>>, u64) {
        let mut events = Vec::new();
        let mut n_in_gaps = 0;
        for entry in self.take() {
            match entry {
                Entry::Event(emit) if emit.value() <= value => {
                    self.release(emit.n_bytes());
                    events.push(emit);
                }
                Entry::Event(emit) => self.push_charged(emit),
                Entry::Marker(marker) => match *marker {
                    Marker::Gap(gap) if gap.last() <= value => n_in_gaps += gap.count(),
                    Marker::Gap(mut gap) => {
                        gap.clip(value);
                        self.push_gap(gap);
                    }
                    Marker::Progress(mark) if mark <= value => {}
                    Marker::Progress(mark) => self.push_mark(mark),
                },
            }
        }
        (events, n_in_gaps)
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) -> Fifo<Entry<P>> {
        self.release(self.n_bytes());
        self.take()
    }

    /// Removes everything. What was charged to the budget stays charged.
    fn take(&mut self) -> Fifo<Entry<P>> {
        self.n_free_places = self.capacity.get();
        self.n_free_bytes = self.max_bytes;
        self.n_marks = 0;
        self.n_coalesced = 0;
        std::mem::replace(&mut self.fifo, Fifo::new())
    }

    /// The first and the last emit of the entries.
    pub(crate) fn ends(&self) -> Option<(Seq, Seq)> {
        // Constant time, because marks are few.
        let (first, _) = self.fifo.iter().find_map(Entry::ends)?;
        let (_, last) = self.fifo.iter().rev().find_map(Entry::ends)?;
        Some((first, last))
    }

    /// The number of events and gaps.
    pub(crate) const fn len(&self) -> usize {
        self.capacity.get() - self.n_free_places
    }

    pub(crate) const fn n_bytes(&self) -> usize {
        self.max_bytes - self.n_free_bytes
    }

    pub(crate) const fn n_coalesced(&self) -> u64 {
        self.n_coalesced
    }

    pub(crate) const fn capacity(&self) -> NonZeroUsize {
        self.capacity
    }

    pub(crate) const fn max_bytes(&self) -> usize {
        self.max_bytes
    }
}

impl<P> Drop for Entries<P> {
    fn drop(&mut self) {
        self.release(self.n_bytes());
    }
}

impl<P> Entry<P> {
    /// The first and the last emit of the entry; a mark has none.
    fn ends(&self) -> Option<(Seq, Seq)> {
        match self {
            Self::Event(emit) => Some((emit.seq(), emit.seq())),
            Self::Marker(marker) => match **marker {
                Marker::Gap(gap) => Some((gap.first_seq(), gap.last_seq())),
                Marker::Progress(_) => None,
            },
        }
    }

    pub(crate) fn is_gap(&self) -> bool {
        matches!(self, Self::Marker(marker) if matches!(**marker, Marker::Gap(_)))
    }

    fn is_mark(&self) -> bool {
        matches!(self, Self::Marker(marker) if matches!(**marker, Marker::Progress(_)))
    }
}
