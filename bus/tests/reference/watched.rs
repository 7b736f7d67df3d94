//! The selectors of a subscription of the reference: a list of all edits, applied for each key.

use rangewatch_bus::{Selector, Selectors};

use crate::bus::Emit;
use crate::payload::Entries;
use crate::script::Change;

#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Each edit with the number of emits before it.
    edits: Vec<(usize, Change, Selectors)>,
}

impl Watched {
    pub(crate) fn edit(&mut self, n_emits: usize, change: Change, selectors: &[Selector]) {
        self.edits.push((n_emits, change, selectors.into()));
    }

    fn holds(&self, i: usize, key: &[u8]) -> bool {
        let edits = self.edits.iter().filter(|(n_emits, ..)| *n_emits <= i);
        edits.fold(false, |held, (_, change, selectors)| match change {
            Change::Add => held || selectors.matches(key),
            Change::Remove => held && !selectors.matches(key),
            Change::Set => selectors.matches(key),
        })
    }

    /// The keys of the emit `i` that were watched when it was emitted, with their payloads.
    pub(crate) fn entries(&self, i: usize, emit: &Emit) -> Entries {
        let entries = emit.entries.iter();
        let watched = entries.filter(|(key, _)| self.holds(i, key));
        watched.cloned().collect()
    }

    pub(crate) fn matches(&self, i: usize, emit: &Emit) -> bool {
        emit.entries.iter().any(|(key, _)| self.holds(i, key))
    }
}
