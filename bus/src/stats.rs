//! Statistics of subscriptions and of a bus.

/// Counts what happened to the emits that a subscription matched, from
/// [`WakeSubscription::stats`](crate::WakeSubscription::stats) and
/// [`EventSubscription::stats`](crate::EventSubscription::stats), or that all subscriptions of a
/// bus matched, also those that have ended, in [`BusStats`].
///
/// All fields count emits, not items. An emit that matches three subscriptions is counted three
/// times. At rest, without a concurrent emit or receive, [`matched`](Self::matched) is the sum of
/// the other fields (G35).
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{Overflow, RangeWatchBus};
///
/// let bus = RangeWatchBus::new();
/// let mut sub = bus.subscribe(..).overflow(Overflow::Lagged).events(2)?;
/// for value in 1..=5 {
///     bus.emit(value, ["k"])?;
/// }
/// assert!(sub.try_recv().is_err()); // missed three
/// sub.try_recv()?;
/// let stats = sub.stats();
/// assert_eq!((stats.matched(), stats.dropped()), (5, 3));
/// assert_eq!((stats.delivered(), stats.pending()), (1, 1));
/// assert!(stats.is_conserved());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    /// Emits that matched, including those of the past that were read from the history for
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

    /// Emits received in a span or a gap, except the first of each.
    #[must_use]
    pub const fn coalesced(&self) -> u64 {
        self.coalesced
    }

    /// Emits that were lost by overflow or by compaction beyond the position of a replay, and
    /// reported by an error.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Emits discarded by a cancel or drop of the subscription, by
    /// [`close_now`](crate::RangeWatchBus::close_now) or by
    /// [`start_after`](crate::EventSubscription::start_after).
    #[must_use]
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Emits in the queue or in the history that are yet to be received or to be reported as
    /// dropped.
    #[must_use]
    pub const fn pending(&self) -> u64 {
        self.pending
    }

    /// Whether [`matched`](Self::matched) is the sum of the other fields, as it is at rest.
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

/// The statistics of a bus, from [`RangeWatchBus::stats`](crate::RangeWatchBus::stats).
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
///
/// let bus = RangeWatchBus::new();
/// let mut events = bus.subscribe(..).events(8)?;
/// bus.emit(1, ["a"])?;
/// bus.emit(2, ["b"])?;
/// events.try_recv()?;
///
/// let stats = bus.stats();
/// assert_eq!((stats.n_emits(), stats.n_subscriptions()), (2, 1));
/// assert_eq!((stats.deliveries().delivered(), stats.deliveries().pending()), (1, 1));
/// assert_eq!(stats.greatest_lag(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusStats {
    pub(crate) emits: u64,
    pub(crate) deliveries: Stats,
    pub(crate) subscriptions: usize,
    pub(crate) parked: usize,
    pub(crate) greatest_lag: u64,
    pub(crate) history_events: usize,
    pub(crate) history_bytes: usize,
}

impl BusStats {
    /// The number of emits that were accepted.
    #[must_use]
    pub const fn n_emits(&self) -> u64 {
        self.emits
    }

    /// The sums over all subscriptions, also those that have ended.
    #[must_use]
    pub const fn deliveries(&self) -> &Stats {
        &self.deliveries
    }

    /// The number of subscriptions that have not been cancelled or dropped.
    #[must_use]
    pub const fn n_subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// The number of parked subscriptions, which read from the history: after an overflow, or to
    /// catch up from [`since`](crate::SubscribeBuilder::since).
    #[must_use]
    pub const fn n_parked(&self) -> usize {
        self.parked
    }

    /// The greatest lag of a subscription in emits, as [`EventSubscription::lag`] and
    /// [`WakeSubscription::lag`] return it: 0 if every subscription has received everything.
    ///
    /// The subscriptions are counted in groups, between which the bus may emit.
    ///
    /// [`EventSubscription::lag`]: crate::EventSubscription::lag
    /// [`WakeSubscription::lag`]: crate::WakeSubscription::lag
    #[must_use]
    pub const fn greatest_lag(&self) -> u64 {
        self.greatest_lag
    }

    /// The number of emits in the history.
    #[must_use]
    pub const fn n_history_events(&self) -> usize {
        self.history_events
    }

    /// The size of the emits in the history in bytes, as [`History::bytes`](crate::History::bytes)
    /// counts it.
    #[must_use]
    pub const fn history_bytes(&self) -> usize {
        self.history_bytes
    }
}
