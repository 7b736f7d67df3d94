//! What one call of the guest reads and writes.

use std::sync::Arc;

use bytes::Bytes;

use crate::store::{Order, Scan, Snapshot, StoreError, Writes, bounds, scan};

/// The records as one call sees them: a snapshot, over it the writes of earlier calls that are not
/// in the snapshot yet, over these its own. A later layer hides an earlier one.
#[derive(Debug)]
pub struct View {
    snapshot: Snapshot,
    /// Oldest first.
    earlier: Vec<Arc<Writes>>,
    own: Writes,
}

impl View {
    /// A view without writes of its own, over those of earlier calls, the oldest first.
    #[must_use]
    pub const fn new(snapshot: Snapshot, earlier: Vec<Arc<Writes>>) -> Self {
        Self {
            snapshot,
            earlier,
            own: Writes::new(),
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        match self.writes().find_map(|writes| writes.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.snapshot.get(key),
        }
    }

    /// The records with keys from `from` up to and without `to`, or to the end.
    pub fn scan<'a>(&'a self, from: &'a [u8], to: Option<&'a [u8]>, order: Order) -> Scan<'a> {
        let written = self.writes().filter(|writes| !writes.is_empty());
        let written = written.map(|writes| {
            let writes = writes.range::<[u8], _>(bounds(from, to));
            let entries = writes.map(|(key, value)| Ok((key.clone(), value.clone())));
            scan::in_order(entries, order)
        });
        Scan::new(written.chain(self.snapshot.layers(from, to, order)), order)
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: Bytes, value: Bytes) {
        self.own.insert(key, Some(value));
    }

    /// Deletes a key, which may be absent.
    pub fn delete(&mut self, key: Bytes) {
        self.own.insert(key, None);
    }

    /// What [`put`](Self::put) and [`delete`](Self::delete) have written.
    #[must_use]
    pub fn into_writes(self) -> Writes {
        self.own
    }

    /// The layers over the snapshot, the newest first.
    fn writes(&self) -> impl Iterator<Item = &Writes> {
        std::iter::once(&self.own).chain(self.earlier.iter().rev().map(|writes| &**writes))
    }
}

#[cfg(test)]
mod tests;
