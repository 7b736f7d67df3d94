//! What a subscription was to receive.

use super::{Begin, Change, Emit, Entry};
use crate::{Selectors, Seq};

/// An emit that a subscription was to receive.
pub(super) struct Due<'a> {
    pub(super) seq: Seq,
    pub(super) value: u64,
    /// The matching keys, in order.
    pub(super) keys: Vec<&'a [u8]>,
    /// Whether it matches only since, or only until, an edit.
    pub(super) by_edit: bool,
}

/// What a subscription watched in the course of its edits.
pub(super) struct Watched<'a> {
    first: &'a Selectors,
    edits: Vec<(Seq, Change, &'a Selectors)>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(first: &'a Selectors, entries: &'a [Entry]) -> Self {
        let edits = entries.iter().filter_map(|entry| match entry {
            Entry::Edited(seq, change, selectors) => Some((*seq, *change, selectors)),
            _ => None,
        });
        Self {
            first,
            edits: edits.collect(),
        }
    }

    /// Whether `key` was watched after so many edits.
    fn holds(&self, n_edits: usize, key: &[u8]) -> bool {
        let edits = self.edits[..n_edits].iter();
        edits.fold(
            self.first.matches(key),
            |held, (_, change, selectors)| match change {
                Change::Add => held || selectors.matches(key),
                Change::Remove => held && !selectors.matches(key),
                Change::Set => selectors.matches(key),
            },
        )
    }

    /// Whether `key` was watched at any time.
    pub(super) fn ever_holds(&self, key: &[u8]) -> bool {
        (0..=self.edits.len()).any(|n_edits| self.holds(n_edits, key))
    }
}

impl<'a> Due<'a> {
    /// The emit as it is due where `watched` is watched; `None` if it does not match.
    pub(super) fn of(emit: &'a Emit, watched: &Watched<'_>) -> Option<Self> {
        let n_edits = watched.edits.partition_point(|(seq, ..)| *seq <= emit.seq);
        let keys = emit.keys.iter().map(AsRef::as_ref);
        let keys: Vec<&[u8]> = keys.filter(|key| watched.holds(n_edits, key)).collect();
        if keys.is_empty() {
            return None;
        }
        let matches = |n_edits| emit.keys.iter().any(|key| watched.holds(n_edits, key));
        Some(Self {
            seq: emit.seq,
            value: emit.value,
            keys,
            by_edit: !(0..=watched.edits.len()).all(matches),
        })
    }
}

impl Begin {
    /// Whether the emit is for the subscription, if it matches.
    pub(super) fn reaches(&self, emit: &Emit) -> bool {
        Some(emit.seq) > self.before() && self.since().is_none_or(|since| emit.value >= since)
    }

    pub(super) const fn before(&self) -> Option<Seq> {
        match self {
            Self::Live { before, .. } => *before,
            Self::History { .. } => None,
        }
    }

    pub(super) const fn after(&self) -> Option<Seq> {
        match self {
            Self::Live { after, .. } => *after,
            Self::History { .. } => None,
        }
    }

    pub(super) const fn since(&self) -> Option<u64> {
        match self {
            Self::Live { since, .. } => *since,
            Self::History { since } => Some(*since),
        }
    }
}
