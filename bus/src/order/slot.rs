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
    /// Emits with a value up to this one are not for it.
    pub(crate) after: Option<u64>,
    pub(crate) n_matched: u64,
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
            after,
            n_matched: 0,
            parked: false,
            backpressure: false,
            ended: false,
        }
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
        let (counts, pending) = self.subscriber.counts();
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
