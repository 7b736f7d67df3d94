//! What can be counted on a bus.

/// What became of the emits that a subscription matched, from
/// [`WakeSubscription::stats`](crate::WakeSubscription::stats) and
/// [`EventSubscription::stats`](crate::EventSubscription::stats), or of those of all subscriptions that a bus
/// ever had, in [`BusStats`].
///
/// All fields count emits, not items: an emit that matches three subscriptions is matched three times.
/// Nothing is lost between them: when nobody emits or receives, [`matched`](Self::matched) is the sum of
/// the others (G35).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub(crate) matched: u64,
    pub(crate) delivered: u64,
    pub(crate) coalesced: u64,
    pub(crate) dropped: u64,
    pub(crate) discarded: u64,
    pub(crate) pending: u64,
}

impl Stats {
    /// Emits that matched, with those that were read from the history for
    /// [`since`](crate::SubscribeBuilder::since).
    #[must_use]
    pub const fn matched(&self) -> u64 {
        self.matched
    }

    /// Emits received: as an event, or as the first of those in a span.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Emits received inside a span or a gap, beside its first.
    #[must_use]
    pub const fn coalesced(&self) -> u64 {
        self.coalesced
    }

    /// Emits lost to overflow or to a history that overtook the subscription, and reported as that by an
    /// error.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Emits given up with their subscription when it was cancelled or dropped, or the bus closed at
    /// once, and those that [`start_after`](crate::EventSubscription::start_after) left out.
    #[must_use]
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Emits to be received, in the queue or in the history, or to be reported as dropped.
    #[must_use]
    pub const fn pending(&self) -> u64 {
        self.pending
    }

    /// Whether [`matched`](Self::matched) is the sum of the others, as it is whenever nobody emits or
    /// receives.
    #[must_use]
    pub const fn is_conserved(&self) -> bool {
        self.matched
            == self.delivered + self.coalesced + self.dropped + self.discarded + self.pending
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.delivered += other.delivered;
        self.coalesced += other.coalesced;
        self.dropped += other.dropped;
        self.discarded += other.discarded;
        self.pending += other.pending;
    }
}

/// The state of a bus in numbers, from [`RangeWatchBus::stats`](crate::RangeWatchBus::stats).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusStats {
    pub(crate) emits: u64,
    pub(crate) deliveries: Stats,
    pub(crate) subscriptions: usize,
    pub(crate) parked: usize,
    pub(crate) history_events: usize,
    pub(crate) history_bytes: usize,
}

impl BusStats {
    /// The number of emits that were accepted.
    #[must_use]
    pub const fn n_emits(&self) -> u64 {
        self.emits
    }

    /// The sums over all subscriptions, also of those that have ended.
    #[must_use]
    pub const fn deliveries(&self) -> &Stats {
        &self.deliveries
    }

    /// The number of subscriptions that have not been cancelled or dropped.
    #[must_use]
    pub const fn n_subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// The number of subscriptions that read from the history: parked, or not yet caught up with
    /// [`since`](crate::SubscribeBuilder::since).
    #[must_use]
    pub const fn n_parked(&self) -> usize {
        self.parked
    }

    /// The number of emits in the history.
    #[must_use]
    pub const fn n_history_events(&self) -> usize {
        self.history_events
    }

    /// What the emits in the history count for, as [`History::bytes`](crate::History::bytes) says.
    #[must_use]
    pub const fn history_bytes(&self) -> usize {
        self.history_bytes
    }
}
