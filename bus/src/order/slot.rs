//! A subscriber's place on the bus.

use smallvec::SmallVec;

use crate::history::HistoryBuffer;
use crate::index::Handle;
use crate::order::Subscriber;
use crate::subscription::Unread;
use crate::{Seq, Stats};

/// A subscriber and what the bus knows of it.
pub(crate) struct Slot {
    pub(crate) subscriber: Subscriber,
    /// The entries in the index, in ascending order of their ranges.
    pub(crate) entries: SmallVec<[Handle; 1]>,
    /// The last emit that matched, by which an emit that matches several entries is delivered once.
    pub(crate) last_match: Option<Seq>,
    /// Emits with a value up to `start_after` are not for it, if `has_start_after`. Two fields,
    /// because an `Option<u64>` takes eight bytes more.
    start_after: u64,
    has_start_after: bool,
    pub(crate) n_matched: u64,
    /// Matches that were left in the history while it was parked, over all times. The queue counts
    /// those of them that were read or given up; this is counted here so that an emit need not
    /// take the lock of a parked subscription.
    pub(crate) n_left_in_history: u64,
    /// Whether it reads from the history, so that emits are not queued for it.
    pub(crate) parked: bool,
    /// Whether an asynchronous emit waits for its room.
    pub(crate) backpressure: bool,
    /// Whether it ended by overflow: it matches nothing any more.
    pub(crate) ended: bool,
}

impl Slot {
    pub(crate) fn new(subscriber: Subscriber, after: Option<u64>) -> Self {
        Self {
            subscriber,
            entries: SmallVec::new(),
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

    /// Whether emits of this value are not for the subscriber.
    pub(crate) const fn excludes(&self, value: u64) -> bool {
        self.has_start_after && value <= self.start_after
    }

    /// Excludes emits with a value up to `value`.
    pub(crate) fn start_after(&mut self, value: u64) {
        self.start_after = self.start_after.max(value);
        self.has_start_after = true;
    }

    /// The emits that may yet be received as events or looked at.
    pub(crate) fn unread(&self, history: Option<&HistoryBuffer>) -> Unread {
        let Subscriber::Events(mailbox) = &self.subscriber else {
            return Unread::default();
        };
        let (queued, replay) = mailbox.peek(|queue| (queue.entries().ends(), queue.replay()));
        let in_history = history
            .zip(replay)
            .and_then(|(history, next)| history.ends_since(next));
        Unread { queued, in_history }
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
