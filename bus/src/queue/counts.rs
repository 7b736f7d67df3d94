//! Counters of the emits that a subscription matched.

/// The counters in the buffer of a subscription. All count emits, and only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Received as an event, or as the first emit of a span.
    pub(crate) delivered: u64,
    /// Received in a span, except the first of each.
    pub(crate) coalesced: u64,
    /// Dropped by overflow and reported.
    pub(crate) dropped: u64,
    /// Discarded by the end of the subscription, or by `start_after`.
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

    /// The delivered and the coalesced emits of a span of `count` emits.
    pub(crate) const fn of_span(count: u64) -> (u64, u64) {
        match count.checked_sub(1) {
            Some(coalesced) => (1, coalesced),
            None => (0, 0),
        }
    }
}
