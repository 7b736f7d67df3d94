//! The state of a bus behind its one lock.

use std::sync::Arc;

use crate::emit::{Draft, Effects, Ticket};
use crate::follow::ValueWaiters;
use crate::history::HistoryBuffer;
use crate::keys::KeyRanges;
use crate::order::{Found, Handles, SharedIndex, Slot, Slots, Subscriber};
use crate::queue::{EventQueue, Pushed};
use crate::subscription::{Mailbox, MailboxArc, Phase, Since, Span, SpanBuffer, WakeBuffer};
use crate::{BusStats, EmitError, Emitted, KeyRange, Seq, Stats, SubscribeError};

/// The state of a bus.
pub(crate) struct State<P> {
    pub(crate) last_seq: Option<Seq>,
    /// The value of the last emit.
    pub(crate) last_value: Option<u64>,
    pub(crate) closed: bool,
    /// Given by the call that closed the bus.
    pub(crate) close_reason: Option<Arc<str>>,
    pub(crate) history: Option<HistoryBuffer<P>>,
    /// The disjoint ranges of every subscriber, each with the subscriber's place in `slots`.
    pub(crate) index: Arc<SharedIndex>,
    /// The subscribers. The mailbox of each knows its place, which changes when the table is
    /// rebuilt.
    pub(crate) slots: Slots<P>,
    /// The bound of the number of subscribers.
    max_subscriptions: usize,
    /// How often places have changed.
    pub(crate) n_rebuilds: u64,
    /// The number of subscribers with backpressure.
    pub(crate) n_backpressure: usize,
    pub(crate) n_parked: usize,
    /// The ticket of the last asynchronous emit.
    pub(crate) last_ticket: Ticket,
    /// The sums over removed subscribers.
    pub(crate) removed: Stats,
    /// Tasks that wait until the head of the history reaches a value.
    pub(crate) head_waiters: ValueWaiters,
}

/// How many places are counted before the lock is released: bounds the time for which emitters
/// wait.
const CHUNK: usize = 256;

/// The table of subscribers and the index are rebuilt when fewer than one in so many places is
/// used.
const MIN_OCCUPANCY: usize = 8;
/// Tables of fewer places are not rebuilt.
const MIN_SHRUNK: usize = 64;

/// The value of an emit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    Given(u64),
    /// The value after the head.
    Next,
}

impl<P> State<P> {
    pub(crate) fn new(history: Option<HistoryBuffer<P>>, max_subscriptions: usize) -> Self {
        Self {
            last_seq: None,
            last_value: None,
            closed: false,
            close_reason: None,
            history,
            index: Arc::new(SharedIndex::new()),
            slots: Slots::new(),
            max_subscriptions,
            n_rebuilds: 0,
            n_backpressure: 0,
            n_parked: 0,
            last_ticket: Ticket::default(),
            removed: Stats::default(),
            head_waiters: ValueWaiters::default(),
        }
    }

    /// Closes, unless it is closed already: the first reason stays.
    pub(crate) fn close(&mut self, reason: Option<Arc<str>>) {
        if !self.closed {
            self.closed = true;
            self.close_reason = reason;
        }
    }

    /// Checks whether an emit is accepted. Returns its value.
    pub(crate) fn accept(&self, value: Value) -> Result<u64, EmitError> {
        if self.closed {
            return Err(EmitError::Closed);
        }
        match (value, &self.history) {
            (Value::Given(value), Some(history)) => history.check(value).map(|()| value),
            (Value::Given(value), None) => Ok(value),
            (Value::Next, Some(history)) => history.next_value(),
            (Value::Next, None) => Err(EmitError::NoHistory),
        }
    }

    /// Commits an accepted emit. `found` is what its keys match.
    pub(crate) fn commit(
        &mut self,
        value: u64,
        draft: &mut Draft<'_, P>,
        found: &Found,
        effects: &mut Effects<'_, P>,
    ) -> Emitted {
        let seq = Seq::after(self.last_seq);
        self.last_seq = Some(seq);
        self.last_value = Some(value);
        let (mut matched, mut parked) = (0, 0);
        if let Some(history) = &mut self.history {
            let record = draft.record(seq, value).clone();
            history.push(record, &mut effects.evicted);
            self.head_waiters.reached(value, &mut effects.wakers);
        }
        // The consumers are counted by the list: a counter in the loop costs each delivery.
        let mut n_others = effects.wakers.len();
        for &id in &found.places {
            let id = id as usize;
            let Some(slot) = &mut self.slots[id] else {
                continue;
            };
            if slot.last_match >= Some(seq) || slot.excludes(value) {
                continue;
            }
            slot.last_match = Some(seq);
            slot.n_matched += 1;
            matched += 1;
            if slot.parked {
                slot.n_left_in_history += 1;
                parked += 1;
                continue;
            }
            match &slot.subscriber {
                Subscriber::Wake(mailbox) => {
                    let fill = |buffer: &mut WakeBuffer| buffer.span.push(seq, value);
                    mailbox.fill(&mut effects.wakers, fill);
                }
                Subscriber::Events(mailbox) => {
                    let emit = draft.record(seq, value);
                    let fill = |queue: &mut EventQueue<P>| queue.push(emit, &mut effects.evicted);
                    let pushed = mailbox.fill(&mut effects.wakers, fill);
                    if pushed != Pushed::Queued {
                        let n_before = effects.wakers.len();
                        parked += usize::from(self.overflowed(id, pushed, effects));
                        // Emitters that no longer wait for it.
                        n_others += effects.wakers.len() - n_before;
                    }
                }
            }
        }
        Emitted {
            seq,
            value,
            matched,
            n_ranges: found.places.len(),
            parked,
            woken: effects.wakers.len() - n_others,
        }
    }

    /// Handles the overflow of a queue. Returns whether its subscriber was parked. Kept out of
    /// line: a cold path that would otherwise be inlined into every delivery.
    #[cold]
    #[inline(never)]
    fn overflowed(&mut self, id: usize, pushed: Pushed, effects: &mut Effects<'_, P>) -> bool {
        #[cfg(feature = "tracing")]
        if let Some(seq) = self.last_seq {
            effects
                .slow
                .extend(crate::subscription::SlowConsumer::began(id, seq, pushed));
        }
        match pushed {
            Pushed::Parked { .. } => {
                if let Some(slot) = &mut self.slots[id] {
                    slot.parked = true;
                    slot.n_left_in_history += 1;
                    self.n_parked += 1;
                    // Emitters do not wait for a parked subscriber.
                    slot.subscriber.release_emitters(effects);
                }
                true
            }
            Pushed::Disconnected => {
                self.end(id);
                false
            }
            Pushed::Queued | Pushed::Lost { .. } => false,
        }
    }

    /// Adds a subscriber.
    pub(crate) fn insert(&mut self, mut slot: Slot<P>, ranges: &KeyRanges) {
        let id = self.slots.free_place();
        slot.subscriber.set_place(id);
        self.n_backpressure += usize::from(slot.backpressure);
        self.n_parked += usize::from(slot.parked);
        slot.entries = self.insert_all(id, ranges);
        self.slots.insert(slot);
    }

    /// Removes a subscriber.
    pub(crate) fn remove(&mut self, id: usize) -> Option<Slot<P>> {
        self.leave_index(id);
        let slot = self.slots.remove(id)?;
        self.n_backpressure -= usize::from(slot.backpressure);
        self.n_parked -= usize::from(slot.parked);
        self.shrink();
        Some(slot)
    }

    /// Rebuilds the table and the index when most of their places are free, to give memory back.
    ///
    /// A rebuild takes as many steps as there are places and ranges, and is preceded by about as
    /// many removals: a removal takes a constant number of steps on average.
    fn shrink(&mut self) {
        let is_sparse = |len: usize, n_places: usize, n_others: usize| {
            len < n_places / MIN_OCCUPANCY && n_places >= MIN_SHRUNK && n_others <= n_places
        };
        let index = self.index.read();
        let (n_places, n_nodes) = (self.slots.n_places(), index.n_places());
        if self.slots.len() == 0
            || is_sparse(self.slots.len(), n_places, index.len())
            || is_sparse(index.len(), n_nodes, n_places)
        {
            drop(index);
            self.rebuild();
        }
    }

    #[cold]
    fn rebuild(&mut self) {
        let shared = Arc::clone(&self.index);
        let mut index = shared.write();
        let old = std::mem::take(&mut *index);
        for mut slot in std::mem::replace(&mut self.slots, Slots::new()) {
            let id = self.slots.free_place();
            slot.subscriber.set_place(id);
            for entry in slot.entries.iter_mut() {
                if let Some(range) = old.range_of(*entry) {
                    *entry = index.insert(range.clone(), entry_of(id));
                }
            }
            self.slots.insert(slot);
        }
        self.n_rebuilds += 1;
    }

    /// Ends a subscriber: it matches nothing any more.
    pub(crate) fn end(&mut self, id: usize) {
        self.leave_index(id);
        if let Some(slot) = &mut self.slots[id] {
            slot.ended = true;
        }
    }

    fn leave_index(&mut self, id: usize) {
        let Some(slot) = &mut self.slots[id] else {
            return;
        };
        let entries = std::mem::take(&mut slot.entries);
        if !entries.is_empty() {
            let mut index = self.index.write();
            for &entry in entries.iter() {
                index.remove(entry);
            }
        }
    }

    /// Replaces the ranges of a subscriber. Ranges that it keeps are not touched.
    pub(crate) fn replace_ranges(&mut self, id: usize, ranges: &KeyRanges) {
        let Some(slot) = &mut self.slots[id] else {
            return;
        };
        let old = std::mem::take(&mut slot.entries);
        let mut old = old.iter().copied().peekable();
        let mut new = Vec::with_capacity(ranges.len());
        let mut index = self.index.write();
        for range in ranges.iter() {
            let mut kept = None;
            while let Some(&entry) = old.peek() {
                let Some(old_range) = index.range_of(entry) else {
                    old.next();
                    continue;
                };
                if old_range.start() > range.start() {
                    break;
                }
                if old_range == range {
                    kept = old.next();
                    break;
                }
                index.remove(entry);
                old.next();
            }
            new.push(kept.unwrap_or_else(|| index.insert(range.clone(), entry_of(id))));
        }
        for entry in old {
            index.remove(entry);
        }
        drop(index);
        slot.entries = new.into_iter().collect();
        self.shrink();
    }

    /// Adds a range to the subscriber of an event set, after its others. `false` if it has ended.
    pub(crate) fn push_range(&mut self, id: usize, range: KeyRange) -> bool {
        let Some(slot) = self.slots[id].as_mut().filter(|slot| !slot.ended) else {
            return false;
        };
        let entry = self.index.write().insert(range, entry_of(id));
        slot.entries.push(entry);
        true
    }

    /// Removes the range at `place` of the subscriber of an event set; its last range takes the
    /// place.
    pub(crate) fn swap_remove_range(&mut self, id: usize, place: usize) {
        let slot = self.slots[id].as_mut();
        if let Some(entry) = slot.and_then(|slot| slot.entries.swap_remove(place)) {
            self.index.write().remove(entry);
            self.shrink();
        }
    }

    fn insert_all(&self, id: usize, ranges: &KeyRanges) -> Handles {
        if ranges.len() == 0 {
            return Handles::default();
        }
        let mut index = self.index.write();
        ranges
            .iter()
            .map(|range| index.insert(range.clone(), entry_of(id)))
            .collect()
    }

    /// Checks whether a subscription may be added that begins at `since`, if there is one. Returns
    /// the history.
    pub(crate) fn check_subscribe(
        &self,
        since: Option<Since>,
    ) -> Result<Option<&HistoryBuffer<P>>, SubscribeError> {
        let history = self.check_since(since)?;
        let max = self.max_subscriptions;
        if self.slots.len() >= max {
            return Err(SubscribeError::TooManySubscriptions { max });
        }
        Ok(history)
    }

    /// Checks whether a subscription may begin at `since`, if there is one. Returns the history.
    pub(crate) fn check_since(
        &self,
        since: Option<Since>,
    ) -> Result<Option<&HistoryBuffer<P>>, SubscribeError> {
        if self.closed {
            return Err(SubscribeError::Closed);
        }
        let history = self.history.as_ref();
        let Some(since) = since else {
            return Ok(history);
        };
        match (history, since.epoch()) {
            (None, Some(_)) => Err(SubscribeError::NoHistory),
            (Some(history), epoch) => history
                .check_since(since.first(), epoch)
                .map(|()| Some(history)),
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn insert_wake(
        &mut self,
        ranges: &KeyRanges,
        since: Option<Since>,
        mut span: SpanBuffer,
        phase: Phase,
    ) -> MailboxArc<WakeBuffer> {
        let after = since.and_then(Since::excluded);
        let position = match (since, &self.history) {
            (Some(_), _) => after,
            (None, Some(history)) => history.head(),
            (None, None) => None,
        };
        let span = match (since, self.last_value, self.last_seq) {
            (Some(since), Some(last), Some(last_seq))
                if self.history.is_none() && since.includes(last) && ranges.len() > 0 =>
            {
                Some(Span::conservative(since.first(), last, last_seq))
            }
            _ => span.take(),
        };
        let n_matched = span.as_ref().map_or(0, Span::count);
        let mailbox = MailboxArc::new(Mailbox::new(WakeBuffer::new(span, position), phase));
        let subscriber = Subscriber::Wake(MailboxArc::clone(&mailbox));
        let mut slot = Slot::new(subscriber, after);
        slot.n_matched = n_matched;
        self.insert(slot, ranges);
        mailbox
    }

    /// Adds the statistics of a bounded number of subscribers, from the place `next` on, to `sums`.
    /// Returns the next place, if there is one.
    pub(crate) fn add_stats(&self, next: usize, sums: &mut BusStats) -> Option<usize> {
        if next == 0 {
            sums.emits = self.last_seq.map_or(0, u64::from);
            sums.subscriptions = self.slots.len();
            sums.parked = self.n_parked;
            sums.history_events = self.history.as_ref().map_or(0, HistoryBuffer::len);
            sums.history_bytes = self.history.as_ref().map_or(0, HistoryBuffer::n_bytes);
            sums.deliveries = self.removed;
            sums.greatest_lag = 0;
        }
        let end = self.slots.n_places().min(next.saturating_add(CHUNK));
        for slot in self.slots.range(next, end) {
            sums.deliveries.add(&slot.stats());
            sums.greatest_lag = sums.greatest_lag.max(slot.lag(self.history.as_ref()));
        }
        (end < self.slots.n_places()).then_some(end)
    }

    /// Adds the statistics of a subscriber that is removed: its pending matches are discarded.
    pub(crate) fn add_removed(&mut self, slot: &Slot<P>) {
        let mut stats = slot.stats();
        stats.discarded += std::mem::take(&mut stats.pending);
        self.removed.add(&stats);
    }
}

/// The value of the entries of the subscriber `id` in the index.
fn entry_of(id: usize) -> u32 {
    u32::try_from(id).expect("four billion subscribers take more memory than there is")
}
