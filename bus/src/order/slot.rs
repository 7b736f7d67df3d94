//! The entry of a subscriber in the table of its bus.

use crate::history::HistoryBuffer;
use crate::order::{Handles, Subscriber};
use crate::subscription::Unread;
use crate::{Seq, Stats};

/// A subscriber and its state under the lock of the bus.
pub(crate) struct Slot<P> {
    pub(crate) subscriber: Subscriber<P>,
    /// The entries in the index, in ascending order of their ranges, which are disjoint; those of
    /// an event set in an order of its own, and they may overlap.
    pub(crate) entries: Handles,
    /// The last emit that matched: an emit that matches several entries is delivered once.
    pub(crate) last_match: Option<Seq>,
    /// Emits with a value up to `start_after` are excluded if `has_start_after`. An `Option<u64>`
    /// would take eight bytes more.
    start_after: u64,
    has_start_after: bool,
    pub(crate) n_matched: u64,
    /// The number of matches that were left in the history while it was parked; it only grows. The
    /// queue counts those of them that were read or discarded. This counter is here so that an emit
    /// need not take the lock of a parked subscription.
    pub(crate) n_left_in_history: u64,
    /// Whether it is parked: emits are left in the history for it.
    pub(crate) parked: bool,
    /// Whether `emit_async` waits for room in its queue.
    pub(crate) backpressure: bool,
    /// Whether it has ended by overflow or compaction, and matches nothing any more.
    pub(crate) ended: bool,
}

impl<P> Slot<P> {
    pub(crate) fn new(subscriber: Subscriber<P>, after: Option<u64>) -> Self {
        Self {
            subscriber,
            entries: Handles::default(),
            last_match: None,
            start_after: after.unwrap_or(0),
            has_start_after: after.is_some(),
            n_matched: 0,
            n_left_in_history: 0,
            parked: false,
            backpressure: false,
            ended: false,
        }
    }

    /// Whether emits of this value are excluded by `since` or `start_after`.
    pub(crate) const fn excludes(&self, value: u64) -> bool {
        self.has_start_after && value <= self.start_after
    }

    /// Excludes emits with a value up to `value`.
    pub(crate) fn start_after(&mut self, value: u64) {
        self.start_after = self.start_after.max(value);
        self.has_start_after = true;
    }

    /// Excludes no values any more: those to come are of another epoch.
    pub(crate) fn include_all(&mut self) {
        self.has_start_after = false;
        self.start_after = 0;
    }

    /// The emits that are yet to be received or to be matched.
    pub(crate) fn unread(&self, history: Option<&HistoryBuffer<P>>) -> Unread {
        let Subscriber::Events(mailbox) = &self.subscriber else {
            return Unread::default();
        };
        let (queued, replay) = mailbox.peek(|queue| (queue.entries().ends(), queue.replay()));
        let in_history = history
            .zip(replay)
            .and_then(|(history, next)| history.ends_since(next));
        Unread { queued, in_history }
    }

    /// The number of emits that the consumer is behind.
    pub(crate) fn lag(&self, history: Option<&HistoryBuffer<P>>) -> u64 {
        match &self.subscriber {
            Subscriber::Wake(mailbox) => mailbox.peek(|buffer| buffer.span.lag()),
            Subscriber::Events(mailbox) => {
                mailbox.peek(|queue| queue.lag(history, self.n_left_in_history))
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let (counts, pending) = self.subscriber.counts(self.n_left_in_history);
        Stats {
            matched: self.n_matched + counts.rematched,
            delivered: counts.delivered,
            coalesced: counts.coalesced,
            dropped: counts.dropped,
            discarded: counts.discarded,
            pending,
        }
    }
}
