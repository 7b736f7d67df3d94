//! What a subscription for events watches, now and at the emits that it has yet to receive.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Seq;
use crate::emit::Record;
use crate::keys::KeyRanges;

/// The ranges of a subscription in the course of its edits.
///
/// An event is seen with the ranges that were watched when it was emitted, so old ranges are kept until
/// every event of their time was received.
pub(crate) struct RangeVersions {
    current: Arc<KeyRanges>,
    /// Earlier ranges in ascending order, each with the position of the first emit that is not matched
    /// against it.
    earlier: VecDeque<(Seq, Arc<KeyRanges>)>,
}

/// The emits that a subscription may yet receive as events or look at, by the first and the last of each kind. Those in
/// the history come after those queued.
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

    /// What was watched at `seq`.
    pub(crate) fn at(&self, seq: Seq) -> &Arc<KeyRanges> {
        let i = self.earlier.partition_point(|(until, _)| *until <= seq);
        let earlier = self.earlier.get(i);
        earlier.map_or(&self.current, |(_, ranges)| ranges)
    }

    /// Whether an emit matched at its time.
    pub(crate) fn matched(&self, emit: &Record) -> bool {
        self.at(emit.seq()).match_any(emit)
    }

    /// Watches `ranges` from the emit at `seq` on.
    ///
    /// No more is kept than there are emits that are unread, however often a consumer that does not receive edits.
    pub(crate) fn replace(&mut self, ranges: KeyRanges, seq: Seq, unread: Unread) {
        let old = std::mem::replace(&mut self.current, Arc::new(ranges));
        let since = self.earlier.back().map_or(Seq::FIRST, |(until, _)| *until);
        if since < seq {
            self.earlier.push_back((seq, old));
        }
        self.forget_all_but(unread);
    }

    /// Forgets what no unread emit needs: what is before them all, and between those queued and those in the history,
    /// which may have lost the ones between.
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

    /// Takes note that everything before `seq` was received, and everything up to the last emit if it
    /// is `None`.
    #[inline]
    pub(crate) fn forget_before(&mut self, seq: Option<Seq>) {
        // Mostly nothing was edited.
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
