//! Revisions that are on the bus, and that were not printed yet.

use std::collections::BTreeSet;

/// Revisions that are on the bus, and that were not printed yet. A replica that is slower than
/// others has yet to apply them.
#[derive(Default)]
pub(crate) struct News {
    pending: BTreeSet<u64>,
    /// Everything up to here was printed or left out.
    printed: u64,
}

impl News {
    /// Leaves out everything up to `revision`.
    pub(crate) fn skip(&mut self, revision: u64) {
        self.printed = self.printed.max(revision);
    }

    /// Adds a revision, unless it was printed.
    pub(crate) fn add(&mut self, revision: u64) {
        if revision > self.printed {
            self.pending.insert(revision);
        }
    }

    /// Adds all up to `revision`.
    pub(crate) fn add_all(&mut self, revision: u64) {
        self.pending.extend(self.printed + 1..=revision);
    }

    /// Takes the next revision of those up to `applied`, in order.
    pub(crate) fn next(&mut self, applied: u64) -> Option<u64> {
        let next = self.pending.first().copied();
        let next = next.filter(|&revision| revision <= applied)?;
        self.pending.remove(&next);
        self.printed = next;
        Some(next)
    }
}
