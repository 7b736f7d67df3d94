//! What a checker records.

use std::ops::RangeInclusive;
use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch_bus::{BusStats, Selectors, Seq};

use crate::log::Entry;

/// Everything that was recorded of one bus.
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) emits: Vec<Emit>,
    /// Whether the values must increase.
    pub(crate) has_history: bool,
    /// Of each epoch.
    pub(crate) bounds: Vec<Bounds>,
    /// The number of the first epoch, if it was observed.
    pub(crate) first_epoch: Option<u64>,
    /// In their order. Each begins an epoch.
    pub(crate) restores: Vec<Restore>,
    /// How many restores have begun, and may be in effect although they are not recorded yet.
    pub(crate) n_begun_restores: usize,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) since_results: Vec<SinceResult>,
    pub(crate) stats: Vec<BusStats>,
}

pub(crate) struct Emit {
    pub(crate) seq: Seq,
    pub(crate) value: u64,
    pub(crate) keys: Vec<Box<[u8]>>,
    /// The fingerprint of the payload of each key.
    pub(crate) payloads: Vec<u64>,
}

/// A restore of the bus.
#[derive(Clone, Copy)]
pub(crate) struct Restore {
    /// The position of the first emit after it.
    pub(crate) first: Seq,
    pub(crate) epoch: u64,
    pub(crate) head: Option<u64>,
}

/// The greatest head and floor of the history that were observed in an epoch. Neither ever falls in
/// it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bounds {
    pub(crate) head: Option<u64>,
    pub(crate) floor: Option<u64>,
    /// The last emit before an observation: the floor is known up to here.
    pub(crate) through: Option<Seq>,
}

/// The result of a subscription since a value of the past.
pub(crate) struct SinceResult {
    pub(crate) since: u64,
    /// The floor before and after.
    pub(crate) floors: (u64, u64),
    /// The floor of the error, if it failed.
    pub(crate) compacted: Option<u64>,
}

pub(crate) struct Subscription {
    pub(crate) selectors: Selectors,
    pub(crate) start: Start,
    /// The epochs in which it may have been made: more than one if a restore was concurrent.
    pub(crate) epochs: RangeInclusive<usize>,
    pub(crate) entries: Arc<Mutex<Vec<Entry>>>,
}

/// Where a subscription starts.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// With an emit that is concurrent with it, or with the first emit after it.
    Live {
        /// The last emit before the subscription was made.
        before: Option<Seq>,
        /// The last emit before the call returned. Emits in between were concurrent with the call.
        after: Option<Seq>,
        /// Lower values do not match. A conservative span covers the emits before the
        /// subscription.
        since: Option<u64>,
    },
    /// With this value of the history.
    History { since: u64 },
}

impl Trace {
    /// The head and the floor that were read after the emit `through` had returned, in one of
    /// `epochs`.
    pub(crate) fn observe(
        &mut self,
        epochs: RangeInclusive<usize>,
        through: Option<Seq>,
        head: Option<u64>,
        floor: u64,
    ) {
        self.has_history = true;
        let is_certain = epochs.start() == epochs.end();
        if self.bounds.len() <= *epochs.end() {
            self.bounds.resize(epochs.end() + 1, Bounds::default());
        }
        for bounds in &mut self.bounds[epochs] {
            bounds.head = bounds.head.max(head);
            bounds.floor = bounds.floor.max(Some(floor));
            // Of another epoch the floor may be lower.
            bounds.through = bounds.through.max(through.filter(|_| is_certain));
        }
    }

    /// The current epoch, if no restore is concurrent.
    pub(crate) fn epoch(&self) -> RangeInclusive<usize> {
        self.restores.len()..=self.n_begun_restores
    }
}

impl Start {
    /// Whether the subscription receives the emit, if it matches.
    pub(crate) fn includes(&self, emit: &Emit) -> bool {
        Some(emit.seq) > self.before() && self.since().is_none_or(|since| emit.value >= since)
    }

    pub(crate) const fn before(&self) -> Option<Seq> {
        match self {
            Self::Live { before, .. } => *before,
            Self::History { .. } => None,
        }
    }

    pub(crate) const fn after(&self) -> Option<Seq> {
        match self {
            Self::Live { after, .. } => *after,
            Self::History { .. } => None,
        }
    }

    pub(crate) const fn since(&self) -> Option<u64> {
        match self {
            Self::Live { since, .. } => *since,
            Self::History { since } => Some(*since),
        }
    }
}
