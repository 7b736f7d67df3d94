//! The emits that a subscription is expected to receive.

use rangewatch_bus::{Selector, Selectors, Seq};

use crate::log::{Edit, Entry};
use crate::trace::Emit;

/// An emit that a subscription is expected to receive.
pub(crate) struct Expected<'a> {
    pub(crate) seq: Seq,
    pub(crate) value: u64,
    /// The matching keys, in order.
    pub(crate) keys: Vec<&'a [u8]>,
    /// The fingerprint of the payload of each.
    pub(crate) payloads: Vec<u64>,
    /// Whether it matches the selectors of only some of the edits.
    pub(crate) by_edit: bool,
}

/// The selectors of a subscription before and after each of its edits.
pub(crate) struct SelectorVersions<'a> {
    first: &'a Selectors,
    edits: Vec<(Seq, Edit, &'a Selectors)>,
}

impl<'a> SelectorVersions<'a> {
    pub(crate) fn new(first: &'a Selectors, entries: &'a [Entry]) -> Self {
        let edits = entries.iter().filter_map(|entry| match entry {
            Entry::Edited(seq, edit, selectors) => Some((*seq, *edit, selectors)),
            _ => None,
        });
        Self {
            first,
            edits: edits.collect(),
        }
    }

    /// Whether `key` is selected at first, and after each edit.
    fn versions(&self, key: &[u8]) -> impl Iterator<Item = bool> {
        let mut selected = self.first.matches(key);
        let edits = self.edits.iter().map(move |(_, edit, selectors)| {
            selected = match edit {
                Edit::Add => selected || selectors.matches(key),
                Edit::Remove => selected && !selectors.matches(key),
                Edit::Set => selectors.matches(key),
            };
            selected
        });
        std::iter::once(self.first.matches(key)).chain(edits)
    }

    /// Whether any version selects `key`.
    pub(crate) fn ever_select(&self, key: &[u8]) -> bool {
        self.versions(key).any(|selected| selected)
    }

    /// Whether it is certain that some key is selected directly before the emit at `seq`. An edit
    /// that applies from `seq` on may have come before or after what is between the emits.
    pub(crate) fn surely_watch(&self, seq: Seq) -> bool {
        let n_before = self.edits.partition_point(|(at, ..)| *at < seq);
        let n_through = self.edits.partition_point(|(at, ..)| *at <= seq);
        let edits = self.edits.iter().map(|(.., selectors)| *selectors);
        let least_keys: Vec<_> = std::iter::once(self.first)
            .chain(edits)
            .flat_map(Selectors::iter)
            .map(least_key)
            .collect();
        (n_before..=n_through).all(|version| {
            let mut keys = least_keys.iter();
            keys.any(|key| self.versions(key).nth(version) == Some(true))
        })
    }

    /// Whether the first version selects any key at all.
    pub(crate) fn starts_empty(&self) -> bool {
        self.first.is_empty()
    }
}

impl<'a> Expected<'a> {
    /// The emit as the selectors of its time match it; `None` if they do not.
    pub(crate) fn new(emit: &'a Emit, selectors: &SelectorVersions<'_>) -> Option<Self> {
        let n_edits = selectors
            .edits
            .partition_point(|(seq, ..)| *seq <= emit.seq);
        let (mut keys, mut payloads) = (Vec::new(), Vec::new());
        let mut matched = vec![false; selectors.edits.len() + 1];
        for (key, payload) in emit.keys.iter().zip(&emit.payloads) {
            for (version, selected) in selectors.versions(key).enumerate() {
                matched[version] |= selected;
                if selected && version == n_edits {
                    keys.push(key.as_ref());
                    payloads.push(*payload);
                }
            }
        }
        (!keys.is_empty()).then_some(Self {
            seq: emit.seq,
            value: emit.value,
            keys,
            payloads,
            by_edit: matched.contains(&false),
        })
    }
}

/// The least key that a selector selects.
fn least_key(selector: &Selector) -> &[u8] {
    match selector {
        Selector::Key(key) | Selector::From(key) | Selector::Prefix(key) => key,
        Selector::Range { from, .. } => from,
        _ => &[],
    }
}
