//! What a verification answers.

use std::fmt;

use rangewatch_bus::Seq;
use thiserror::Error;

/// A guarantee of the bus that a [`Checker`](crate::Checker) verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Guarantee {
    /// A subscription receives emits in the order of their `Seq`, and every emit has a `Seq` of its
    /// own. With history, values rise with it.
    G1Ordered,
    /// No emit reaches a subscription twice.
    G2Unique,
    /// Every matching emit is delivered or lies in a delivered span, or an error says that it was
    /// missed.
    G3Reliable,
    /// One emit is one event, with its value and all its matching keys.
    G4Atomic,
    /// An emit that begins after the subscription was made is seen; a concurrent one is seen
    /// wholly, and then so are all later ones, or not at all; one that came before is not seen.
    G5SeamlessStart,
    /// A subscription that begins with a value, or was started after one, receives nothing below it: no emit and no
    /// progress mark.
    G6FutureStart,
    /// A subscription since a value below the floor is refused with the floor, and one that the floor overtakes
    /// ends so, not without cause.
    G7NoSilentGap,
    /// A subscription since the floor or above is not refused.
    G8SinceFloor,
    /// A progress mark comes after every matching value up to it, and what comes later lies above it.
    G9Progress,
    /// A subscription gets an emit if and only if a key lies in a selector.
    G10ExactMatch,
    /// One delivery per emit, however many keys and selectors match.
    G11OneDelivery,
    /// A span has the first and the last value and the count of exactly the emits that it covers. One that says it
    /// is conservative covers at least what matched, and has a reason.
    G13ExactSpan,
    /// A lag report gives the exact number of events missed, and the oldest event retained follows.
    G18ExactLag,
    /// A subscription that ended because its queue was full says the value of the first event that was not
    /// received.
    G19Disconnect,
    /// The end comes after everything that was buffered, and nothing comes after the end.
    G27Draining,
    /// An edit of the selectors takes effect at the `Seq` that it returned.
    G28Edit,
    /// The statistics add up, and count what was recorded.
    G35Conservation,
}

/// A guarantee was broken, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{guarantee} is broken{}: {detail}", Place { subscription: *.subscription, seq: *.seq })]
pub struct Violation {
    pub(crate) guarantee: Guarantee,
    pub(crate) subscription: Option<usize>,
    pub(crate) seq: Option<Seq>,
    pub(crate) detail: String,
}

/// What a verification without violations has seen, for tests to see that it was not vacuous.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    pub(crate) n_emits: usize,
    pub(crate) n_subscriptions: usize,
    pub(crate) n_deliveries: usize,
    pub(crate) n_missed: u64,
}

impl Violation {
    /// The guarantee that is broken.
    #[must_use]
    pub const fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// The subscription that shows it, counted from 0 in the order in which they were recorded;
    /// `None` if the emits alone show it.
    #[must_use]
    pub const fn subscription(&self) -> Option<usize> {
        self.subscription
    }

    /// The emit concerned, if it is one.
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

    /// The number of events that the recorded lag reports say were missed.
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
        })
    }
}

/// Where a guarantee was broken, as a message goes on with it.
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
