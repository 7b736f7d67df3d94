//! The versions of the ranges of an event subscription: the current one, and those of unread emits.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Seq;
use crate::emit::Record;
use crate::keys::KeyRanges;

/// The current and earlier ranges of a subscription.
///
/// An event shows the keys that were watched when it was emitted, so earlier ranges are kept until
/// every event emitted while they were current was received.
pub(crate) struct RangeVersions {
    current: Arc<KeyRanges>,
    /// Earlier ranges, in ascending order of the position of the first emit that is not matched
    /// against them.
    earlier: VecDeque<(Seq, Arc<KeyRanges>)>,
}

/// The emits that a subscription has yet to receive or to match, by the first and the last of each
/// kind. Those in the history are later than those in the queue.
#[derive(Clone, Copy, Default)]
pub(crate) struct Unread {
    pub(crate) queued: Option<(Seq, Seq)>,
    pub(crate) in_history: Option<(Seq, Seq)>,
}

impl RangeVersions {
    pub(crate) fn new(ranges: KeyRanges) -> Self {
        Self {
            current: Arc::new(ranges),
            earlier: VecDeque::new(),
        }
    }

    /// The ranges that an emit at `seq` is matched against.
    #[inline]
    pub(crate) fn at(&self, seq: Seq) -> &Arc<KeyRanges> {
        // Most subscriptions are never edited.
        if self.earlier.is_empty() {
            return &self.current;
        }
        self.at_earlier(seq)
    }

    fn at_earlier(&self, seq: Seq) -> &Arc<KeyRanges> {
        let i = self.earlier.partition_point(|(until, _)| *until <= seq);
        let earlier = self.earlier.get(i);
        earlier.map_or(&self.current, |(_, ranges)| ranges)
    }

    /// Whether an emit matches the ranges of its time.
    pub(crate) fn matched<P>(&self, emit: &Record<P>) -> bool {
        self.at(emit.seq()).match_any(emit)
    }

    /// Makes `ranges` current from the emit at `seq` on.
    ///
    /// At most as many versions are kept as there are unread emits, however many edits a consumer
    /// makes without receiving.
    pub(crate) fn replace(&mut self, ranges: KeyRanges, seq: Seq, unread: Unread) {
        let old = std::mem::replace(&mut self.current, Arc::new(ranges));
        let since = self.earlier.back().map_or(Seq::FIRST, |(until, _)| *until);
        if since < seq {
            self.earlier.push_back((seq, old));
        }
        self.forget_all_but(unread);
    }

    /// Removes versions that no unread emit needs: those before the first, and those between the
    /// queue and the history, from which emits may have been removed.
    fn forget_all_but(&mut self, unread: Unread) {
        let first = unread.queued.or(unread.in_history).map(|(first, _)| first);
        self.forget_before(first);
        let n_before = |seq| self.earlier.partition_point(|(until, _)| *until <= seq);
        if let Some((_, last)) = unread.queued {
            let begin = n_before(last) + 1;
            let end = unread
                .in_history
                .map_or(self.earlier.len(), |(first, _)| n_before(first));
            if begin < end {
                self.earlier.drain(begin..end);
            }
        }
    }

    /// Removes the versions of emits before `seq`, which were received, or of all emits if it is
    /// `None`.
    #[inline]
    pub(crate) fn forget_before(&mut self, seq: Option<Seq>) {
        if !self.earlier.is_empty() {
            self.forget_earlier(seq);
        }
    }

    fn forget_earlier(&mut self, seq: Option<Seq>) {
        let is_over = |until| seq.is_none_or(|seq| until <= seq);
        while self
            .earlier
            .front()
            .is_some_and(|(until, _)| is_over(*until))
        {
            self.earlier.pop_front();
        }
        if self.earlier.is_empty() {
            self.earlier = VecDeque::new();
        }
    }
}
