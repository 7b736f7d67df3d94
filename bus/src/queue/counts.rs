//! What became of the emits that a subscription matched.

/// The counters of one subscription that its buffer keeps. All count emits, and only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Received: an event by itself, or the one emit of a span that the others were merged into.
    pub(crate) delivered: u64,
    /// Received inside a span, beside the first.
    pub(crate) coalesced: u64,
    /// Lost to overflow, and reported as that.
    pub(crate) dropped: u64,
    /// Given up because the subscription ended, or did not want them.
    pub(crate) discarded: u64,
    /// Left in the history and read from there.
    pub(crate) replayed: u64,
    /// Read from the history although they were emitted before the subscription was made.
    pub(crate) rematched: u64,
}

impl Counts {
    pub(crate) const fn new() -> Self {
        Self {
            delivered: 0,
            coalesced: 0,
            dropped: 0,
            discarded: 0,
            replayed: 0,
            rematched: 0,
        }
    }

    /// Counts a span of `count` emits. A conservative one may have none.
    pub(crate) const fn deliver_span(&mut self, count: u64) {
        let (delivered, coalesced) = Self::of_span(count);
        self.delivered += delivered;
        self.coalesced += coalesced;
    }

    /// What a span of `count` emits counts as delivered and as coalesced.
    pub(crate) const fn of_span(count: u64) -> (u64, u64) {
        match count.checked_sub(1) {
            Some(coalesced) => (1, coalesced),
            None => (0, 0),
        }
    }
}
