//! The result of a verification.

use std::fmt;

use rangewatch_bus::Seq;
use thiserror::Error;

/// A guarantee of the bus that a [`Checker`](crate::Checker) verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Guarantee {
    /// A subscription receives emits in the order of their `Seq`. The `Seq`s of a bus are unique
    /// and without gaps, and with history values increase with them.
    G1Ordered,
    /// No emit reaches a subscription twice.
    G2Unique,
    /// Every matching emit is delivered, lies in a delivered span or is reported as missed.
    G3Reliable,
    /// One emit is one event, with its value and all its matching keys.
    G4Atomic,
    /// A subscription receives every emit that begins after it was made. It receives a concurrent
    /// emit wholly, and then all later ones, or not at all. It receives no earlier one.
    G5SeamlessStart,
    /// A subscription since a value, or started after one, receives neither an emit nor a progress
    /// mark below it.
    G6FutureStart,
    /// A subscription since a value below the floor fails with the floor. A parked subscription
    /// ends with `Compacted` only if the floor has passed its position, and with a floor that the
    /// history had. A subscription that watches something receives nothing across a restore without
    /// `Compacted` or, if it is a wake subscription, a span of everything.
    G7NoSilentGap,
    /// A subscription since the floor or above does not fail with `Compacted`.
    G8SinceFloor,
    /// A progress mark comes after every matching value up to it, later events lie above it, and it
    /// is not above the head.
    G9Progress,
    /// A subscription gets an emit if and only if a key lies in a selector.
    G10ExactMatch,
    /// One delivery per emit, however many keys and selectors match.
    G11OneDelivery,
    /// A span has the first and last value and the count of exactly the emits that it covers. A
    /// conservative span covers at least what matched, and has a reason.
    G13ExactSpan,
    /// A report of missed events gives their exact number, and the oldest retained event follows.
    G18ExactLag,
    /// A subscription that ended because its queue was full reports the value of the first event
    /// that was not received.
    G19Disconnect,
    /// The end comes after everything that was buffered, and nothing follows the end.
    G27Draining,
    /// An edit of the selectors takes effect at the `Seq` that it returned.
    G28Edit,
    /// The statistics add up, and count what was recorded.
    G35Conservation,
    /// An event has, for each of its keys, the payload that the key was emitted with.
    G40Payloads,
}

/// A guarantee that does not hold for the trace, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{guarantee} is violated{}: {detail}", Place { subscription: *.subscription, seq: *.seq })]
pub struct Violation {
    pub(crate) guarantee: Guarantee,
    pub(crate) subscription: Option<usize>,
    pub(crate) seq: Option<Seq>,
    pub(crate) detail: String,
}

/// What a verification without violations has checked, so that a test can assert that its trace
/// was not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub(crate) n_emits: usize,
    pub(crate) n_subscriptions: usize,
    pub(crate) n_deliveries: usize,
    pub(crate) n_missed: u64,
}

impl Violation {
    pub(crate) const fn new(guarantee: Guarantee, seq: Option<Seq>, detail: String) -> Self {
        Self {
            guarantee,
            subscription: None,
            seq,
            detail,
        }
    }

    pub(crate) fn at(guarantee: Guarantee, seq: Seq, detail: impl Into<String>) -> Self {
        Self::new(guarantee, Some(seq), detail.into())
    }

    /// The violation, with the index of its subscription.
    pub(crate) fn on(self, subscription: usize) -> Self {
        Self {
            subscription: Some(subscription),
            ..self
        }
    }

    /// The guarantee that is violated.
    #[must_use]
    pub const fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// The index of the subscription, in the order in which they were recorded; `None` if the
    /// violation concerns the emits or the statistics of the bus.
    #[must_use]
    pub const fn subscription(&self) -> Option<usize> {
        self.subscription
    }

    /// The position of the emit, if the violation concerns one.
    #[must_use]
    pub const fn seq(&self) -> Option<Seq> {
        self.seq
    }
}

impl Verified {
    /// The number of emits recorded.
    #[must_use]
    pub const fn n_emits(&self) -> usize {
        self.n_emits
    }

    /// The number of subscriptions recorded.
    #[must_use]
    pub const fn n_subscriptions(&self) -> usize {
        self.n_subscriptions
    }

    /// The number of events and spans recorded.
    #[must_use]
    pub const fn n_deliveries(&self) -> usize {
        self.n_deliveries
    }

    /// The number of events reported as missed.
    #[must_use]
    pub const fn n_missed(&self) -> u64 {
        self.n_missed
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::G1Ordered => "G1 (ordered)",
            Self::G2Unique => "G2 (unique)",
            Self::G3Reliable => "G3 (reliable)",
            Self::G4Atomic => "G4 (atomic)",
            Self::G5SeamlessStart => "G5 (seamless start)",
            Self::G6FutureStart => "G6 (future start)",
            Self::G7NoSilentGap => "G7 (no silent gap)",
            Self::G8SinceFloor => "G8 (since the floor)",
            Self::G9Progress => "G9 (progress)",
            Self::G10ExactMatch => "G10 (exact match)",
            Self::G11OneDelivery => "G11 (one delivery per emit)",
            Self::G13ExactSpan => "G13 (exact span)",
            Self::G18ExactLag => "G18 (exact lag)",
            Self::G19Disconnect => "G19 (disconnect)",
            Self::G27Draining => "G27 (draining)",
            Self::G28Edit => "G28 (edit at one seq)",
            Self::G35Conservation => "G35 (conservation)",
            Self::G40Payloads => "G40 (payloads)",
        })
    }
}

/// The place of a violation, as a part of its message.
struct Place {
    subscription: Option<usize>,
    seq: Option<Seq>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subscription) = self.subscription {
            write!(f, " on subscription {subscription}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, " at seq {seq}")?;
        }
        Ok(())
    }
}
