//! What a subscription was to receive.

use rangewatch_bus::{Selectors, Seq};

use crate::checker::{Begin, Change, Emit, Entry};

/// An emit that a subscription was to receive.
pub(crate) struct Due<'a> {
    pub(crate) seq: Seq,
    pub(crate) value: u64,
    /// The matching keys, in order.
    pub(crate) keys: Vec<&'a [u8]>,
    /// Whether it matches only since, or only until, an edit.
    pub(crate) by_edit: bool,
}

/// What a subscription watched in the course of its edits.
pub(crate) struct Watched<'a> {
    first: &'a Selectors,
    edits: Vec<(Seq, Change, &'a Selectors)>,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(first: &'a Selectors, entries: &'a [Entry]) -> Self {
        let edits = entries.iter().filter_map(|entry| match entry {
            Entry::Edited(seq, change, selectors) => Some((*seq, *change, selectors)),
            _ => None,
        });
        Self {
            first,
            edits: edits.collect(),
        }
    }

    /// Whether `key` was watched: at first, and after each edit.
    fn versions(&self, key: &[u8]) -> impl Iterator<Item = bool> {
        let mut held = self.first.matches(key);
        let edits = self.edits.iter().map(move |(_, change, selectors)| {
            held = match change {
                Change::Add => held || selectors.matches(key),
                Change::Remove => held && !selectors.matches(key),
                Change::Set => selectors.matches(key),
            };
            held
        });
        std::iter::once(self.first.matches(key)).chain(edits)
    }

    /// Whether `key` was watched at any time.
    pub(crate) fn ever_holds(&self, key: &[u8]) -> bool {
        self.versions(key).any(|held| held)
    }
}

impl<'a> Due<'a> {
    /// The emit as it is due where `watched` is watched; `None` if it does not match.
    pub(crate) fn of(emit: &'a Emit, watched: &Watched<'_>) -> Option<Self> {
        let n_edits = watched.edits.partition_point(|(seq, ..)| *seq <= emit.seq);
        let mut keys = Vec::new();
        let mut matched = vec![false; watched.edits.len() + 1];
        for key in emit.keys.iter().map(AsRef::as_ref) {
            for (version, held) in watched.versions(key).enumerate() {
                matched[version] |= held;
                if held && version == n_edits {
                    keys.push(key);
                }
            }
        }
        (!keys.is_empty()).then_some(Self {
            seq: emit.seq,
            value: emit.value,
            keys,
            by_edit: matched.contains(&false),
        })
    }
}

impl Begin {
    /// Whether the emit is for the subscription, if it matches.
    pub(crate) fn reaches(&self, emit: &Emit) -> bool {
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
