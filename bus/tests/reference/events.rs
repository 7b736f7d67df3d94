//! Event subscriptions of the reference: lists of emits, without counters.

use rangewatch_bus::{Overflow, TryRecvError};

use crate::bus::{Emit, Past};
use crate::got::{Got, Summary};
use crate::script::Queue;
use crate::totals::Totals;

/// The greatest number of marks that are queued between events.
const MAX_MARKS: usize = 4;

#[derive(Debug)]
enum Entry {
    Event(usize),
    Gap(Summary),
    Mark(u64),
}

#[derive(Debug)]
pub(crate) struct TwinEvents {
    queue: Queue,
    entries: Vec<Entry>,
    open_gap: Option<Summary>,
    /// Emits that were dropped and are to be reported.
    missed: Vec<usize>,
    /// The value from which it reads the history, if it does.
    replay: Option<u64>,
    /// Emits that matched while it read the history, and that it has not read yet.
    left: Vec<usize>,
    tail_mark: Option<u64>,
    wants_mark: bool,
    end: Option<TryRecvError>,
    position: Option<u64>,
    totals: Totals,
}

impl TwinEvents {
    pub(crate) fn new(
        queue: Queue,
        has_history: bool,
        replay: Option<u64>,
        position: Option<u64>,
    ) -> Self {
        let overflow = match queue.overflow {
            Some(overflow) => overflow,
            None if has_history => Overflow::Park,
            None => Overflow::Lagged,
        };
        Self {
            queue: Queue {
                overflow: Some(overflow),
                ..queue
            },
            entries: Vec::new(),
            open_gap: None,
            missed: Vec::new(),
            replay,
            left: Vec::new(),
            tail_mark: None,
            wants_mark: false,
            end: None,
            position,
            totals: Totals::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        let marks = self
            .entries
            .iter()
            .filter(|entry| matches!(entry, Entry::Mark(_)));
        self.entries.len() - marks.count()
    }

    pub(crate) fn n_bytes(&self, emits: &[Emit]) -> usize {
        let events = self.entries.iter().map(|entry| match entry {
            Entry::Event(i) => emits[*i].n_bytes(),
            Entry::Gap(_) | Entry::Mark(_) => 0,
        });
        events.sum()
    }

    pub(crate) const fn position(&self) -> Option<u64> {
        self.position
    }

    pub(crate) const fn is_parked(&self) -> bool {
        self.replay.is_some()
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    fn n_queued(&self) -> u64 {
        let entries = self.entries.iter().map(|entry| match entry {
            Entry::Event(_) => 1,
            Entry::Gap(gap) => gap.n_emits(),
            Entry::Mark(_) => 0,
        });
        let open = self.open_gap.as_ref().map_or(0, Summary::n_emits);
        entries.sum::<u64>() + open + self.missed.len() as u64
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            pending: self.n_queued() + self.left.len() as u64,
            ..self.totals
        }
    }

    pub(crate) fn lag(&self, past: &Past<'_>) -> u64 {
        let unread = self.replay.map_or(0, |next| {
            past.retained(next).count().max(self.left.len()).max(1) as u64
        });
        self.n_queued() + unread
    }

    fn has_place(&self, i: usize, emits: &[Emit]) -> bool {
        let n_bytes = self.n_bytes(emits) as u128 + emits[i].n_bytes() as u128;
        self.open_gap.is_none()
            && self.len() < self.queue.capacity
            && n_bytes <= self.queue.max_bytes as u128
    }

    /// Whether an asynchronous emit of what `emits` ends with would wait.
    pub(crate) fn must_wait(&self, emits: &[Emit]) -> bool {
        let i = emits.len() - 1;
        self.queue.overflow == Some(Overflow::Backpressure)
            && self.replay.is_none()
            && emits[i].n_bytes() <= self.queue.max_bytes
            && !self.has_place(i, emits)
    }

    /// Takes the last of `emits`, which matched. Returns whether it is left in the history.
    pub(crate) fn push(&mut self, emits: &[Emit], has_history: bool) -> bool {
        let i = emits.len() - 1;
        let value = emits[i].value;
        self.totals.matched += 1;
        if self.replay.is_some() {
            self.left.push(i);
            return true;
        }
        if self.has_place(i, emits) {
            self.store(i);
            return false;
        }
        match self.queue.overflow {
            Some(Overflow::Disconnect) => {
                self.end = Some(TryRecvError::Disconnected { resume: value });
                self.totals.dropped += 1;
            }
            Some(Overflow::Park | Overflow::Backpressure) if has_history => {
                self.replay = Some(value);
                self.left.push(i);
                self.wants_mark |= self.tail_mark.take().is_some();
                return true;
            }
            Some(Overflow::Coalesce | Overflow::Backpressure) => {
                match &mut self.open_gap {
                    Some(gap) => gap.push(i, value),
                    None => self.open_gap = Some(Summary::of(i, value)),
                }
                // The gap lies before the mark, and so does every value up to it.
                self.tail_mark = self.tail_mark.map(|_| value);
            }
            _ => self.drop_oldest(i, emits),
        }
        false
    }

    fn store(&mut self, i: usize) {
        if let Some(mark) = self.tail_mark.take() {
            let is_mark = |entry: &Entry| matches!(entry, Entry::Mark(_));
            if self.entries.iter().filter(|entry| is_mark(entry)).count() == MAX_MARKS {
                let last = self.entries.iter().rposition(is_mark).unwrap();
                self.entries.remove(last);
            }
            self.entries.push(Entry::Mark(mark));
        }
        self.entries.push(Entry::Event(i));
    }

    fn drop_oldest(&mut self, i: usize, emits: &[Emit]) {
        while !self.has_place(i, emits) {
            let oldest = self
                .entries
                .iter()
                .position(|entry| matches!(entry, Entry::Event(_)));
            let Some(Entry::Event(oldest)) = oldest.map(|oldest| self.entries.remove(oldest))
            else {
                self.missed.push(i);
                return;
            };
            self.missed.push(oldest);
        }
        self.store(i);
    }

    pub(crate) fn request_progress(&mut self, head: u64) -> bool {
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

    pub(crate) fn begin_after(&mut self, head: Option<u64>) {
        self.position = self.position.max(head);
    }

    /// Ends it after what is queued.
    pub(crate) fn end_compacted(&mut self, floor: u64, epoch: u64) {
        self.replay = None;
        self.totals.dropped += std::mem::take(&mut self.left).len() as u64;
        self.end = Some(TryRecvError::Compacted { floor, epoch });
    }

    /// Sets the head of one that is yet to be opened.
    pub(crate) fn restore(&mut self, head: Option<u64>) {
        self.position = head;
        self.tail_mark = self.tail_mark.and(head);
    }

    pub(crate) fn clear(&mut self) {
        self.totals = self.totals().departed();
        self.entries.clear();
        self.open_gap = None;
        self.missed.clear();
        self.replay = None;
        self.left.clear();
        self.tail_mark = None;
        self.wants_mark = false;
    }

    pub(crate) fn discard_through(&mut self, value: u64, emits: &[Emit]) {
        let mut discarded = 0;
        self.entries.retain_mut(|entry| match entry {
            Entry::Event(i) if emits[*i].value <= value => {
                discarded += 1;
                false
            }
            Entry::Gap(gap) if gap.last <= value => {
                discarded += gap.n_emits();
                false
            }
            Entry::Gap(gap) => {
                gap.cut(value);
                true
            }
            Entry::Event(_) => true,
            Entry::Mark(mark) => *mark > value,
        });
        match &mut self.open_gap {
            Some(gap) if gap.last <= value => {
                discarded += gap.n_emits();
                self.open_gap = None;
            }
            Some(gap) => gap.cut(value),
            None => {}
        }
        let n_missed = self.missed.len();
        self.missed.retain(|i| emits[*i].value > value);
        discarded += (n_missed - self.missed.len()) as u64;
        self.totals.discarded += discarded;
        self.tail_mark = self.tail_mark.filter(|mark| *mark > value);
        self.replay = self.replay.map(|next| next.max(value.saturating_add(1)));
        if let Some(TryRecvError::Disconnected { resume }) = &mut self.end {
            *resume = (*resume).max(value.saturating_add(1));
        }
        self.position = self.position.max(Some(value));
    }

    /// Takes the next item; `None` if there is none for now.
    pub(crate) fn take(&mut self, past: &Past<'_>) -> Option<Result<Got, TryRecvError>> {
        if !self.missed.is_empty() {
            let missed = std::mem::take(&mut self.missed).len() as u64;
            self.totals.dropped += missed;
            return Some(Err(TryRecvError::Lagged(missed)));
        }
        if !self.entries.is_empty() {
            let got = match self.entries.remove(0) {
                Entry::Event(i) => self.deliver(i, past),
                Entry::Gap(gap) => self.deliver_gap(gap),
                Entry::Mark(mark) => return Some(Ok(self.progress(mark))),
            };
            if let Some(gap) = self.open_gap.take() {
                self.entries.push(Entry::Gap(gap));
            }
            return Some(Ok(got));
        }
        if let Some(gap) = self.open_gap.take() {
            return Some(Ok(self.deliver_gap(gap)));
        }
        if let Some(next) = self.replay {
            if let Some(got) = self.read_history(next, past) {
                return Some(Ok(got));
            }
        }
        if let Some(mark) = self.tail_mark.take() {
            return Some(Ok(self.progress(mark)));
        }
        self.end.map(Err)
    }

    fn read_history(&mut self, next: u64, past: &Past<'_>) -> Option<Got> {
        if next < past.floor {
            self.end_compacted(past.floor, past.epoch);
            return None;
        }
        let mut got = None;
        for i in past.retained(next) {
            if !past.watched.matches(i, &past.emits[i]) {
                continue;
            }
            if got.is_some() && !self.has_place(i, past.emits) {
                self.replay = Some(past.emits[i].value);
                return got;
            }
            match self.left.iter().position(|left| *left == i) {
                Some(place) => {
                    self.left.remove(place);
                }
                None => self.totals.matched += 1,
            }
            if got.is_none() {
                got = Some(self.deliver(i, past));
            } else {
                self.store(i);
            }
        }
        self.replay = None;
        // What is left was excluded.
        self.totals.discarded += std::mem::take(&mut self.left).len() as u64;
        if std::mem::take(&mut self.wants_mark) {
            self.tail_mark = past.head.filter(|_| past.head > past.after);
        }
        got
    }

    fn deliver(&mut self, i: usize, past: &Past<'_>) -> Got {
        self.totals.delivered += 1;
        self.position = Some(past.emits[i].value);
        Got::Event {
            seq: i as u64 + 1,
            value: past.emits[i].value,
            entries: past.watched.entries(i, &past.emits[i]),
        }
    }

    fn deliver_gap(&mut self, gap: Summary) -> Got {
        self.totals.delivered += 1;
        self.totals.coalesced += gap.n_emits() - 1;
        self.position = Some(gap.last);
        Got::Span(gap)
    }

    fn progress(&mut self, mark: u64) -> Got {
        self.position = Some(mark);
        Got::Progress(mark)
    }
}
