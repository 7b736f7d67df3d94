//! What one call of the guest reads and writes.

use std::sync::Arc;

use bytes::Bytes;

use crate::store::{Query, Scan, Snapshot, StoreError, Writes, scan};

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

    /// The records of a query.
    #[must_use]
    pub fn scan<'a>(&'a self, query: Query<'a>) -> Scan<'a> {
        let written = self.writes().filter(|writes| !writes.is_empty());
        let written = written.map(move |writes| {
            let writes = writes.range::<[u8], _>(query.bounds());
            let entries =
                writes.map(move |(key, value)| Ok((key.clone(), query.value(value.as_ref()))));
            scan::in_order(entries, query.order)
        });
        Scan::new(written.chain(self.snapshot.layers(query)), query.order)
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
