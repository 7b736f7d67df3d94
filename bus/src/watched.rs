//! What a subscription for events watches, now and at the emits that it has yet to receive.

use std::sync::Arc;

use crate::Seq;
use crate::key_ranges::KeyRanges;
use crate::record::Record;

/// The ranges of a subscription in the course of its edits.
///
/// An event is seen with the ranges that were watched when it was emitted, so old ranges are kept until
/// every event of their time was received.
pub(crate) struct Watched {
    current: Arc<KeyRanges>,
    /// Earlier ranges in ascending order, each with the position of the first emit that is not matched
    /// against it.
    earlier: Vec<(Seq, Arc<KeyRanges>)>,
}

impl Watched {
    pub(crate) fn new(ranges: KeyRanges) -> Self {
        Self {
            current: Arc::new(ranges),
            earlier: Vec::new(),
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

    /// Watches `ranges` from the emit at `seq` on. `has_matched_since` says whether an emit at or after a position may have
    /// matched and not have been received.
    pub(crate) fn replace(
        &mut self,
        ranges: KeyRanges,
        seq: Seq,
        has_matched_since: impl Fn(Seq) -> bool,
    ) {
        let old = std::mem::replace(&mut self.current, Arc::new(ranges));
        let since = self.earlier.last().map_or(Seq::FIRST, |(until, _)| *until);
        // Ranges that nothing was matched against need not be kept, or edits without events would take memory.
        if since < seq && has_matched_since(since) {
            self.earlier.push((seq, old));
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
        match seq {
            Some(seq) => self.earlier.retain(|(until, _)| seq < *until),
            None => self.earlier.clear(),
        }
        if self.earlier.is_empty() {
            self.earlier = Vec::new();
        }
    }
}
