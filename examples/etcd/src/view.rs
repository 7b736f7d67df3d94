//! What one call of the guest reads and writes.

use std::borrow::Cow;
use std::iter::Peekable;
use std::sync::Arc;

use crate::store::{Order, Snapshot, StoreError, Writes, bounds};

/// The records as one call sees them: a snapshot, over it the writes of earlier calls that are not
/// in the snapshot yet, over these its own. A later layer hides an earlier one.
#[derive(Debug)]
pub struct View {
    snapshot: Snapshot,
    /// Oldest first.
    earlier: Vec<Arc<Writes>>,
    own: Writes,
}

/// A key of a layer; without a value the layer has deleted it.
type Entry<'a> = (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>);

type Layer<'a> = Box<dyn Iterator<Item = Result<Entry<'a>, StoreError>> + 'a>;

/// The records of a range of a [`View`], which are read as the iterator goes on. After an error it
/// ends.
#[expect(
    missing_debug_implementations,
    reason = "an iterator over a borrowed view"
)]
pub struct Scan<'a> {
    /// Newest first.
    layers: Vec<Peekable<Layer<'a>>>,
    order: Order,
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
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes().find_map(|writes| writes.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.snapshot.get(key),
        }
    }

    /// The records with keys from `from` up to and without `to`, or to the end.
    pub fn scan(&self, from: &[u8], to: Option<&[u8]>, order: Order) -> Scan<'_> {
        let written = self.writes().filter(|writes| !writes.is_empty());
        let mut layers: Vec<Peekable<Layer<'_>>> = Vec::new();
        for writes in written {
            let entries = writes.range::<[u8], _>(bounds(from, to));
            let entries = entries.map(|(key, value)| {
                let value = value.as_deref().map(Cow::Borrowed);
                Ok((Cow::Borrowed(&key[..]), value))
            });
            let layer: Layer<'_> = match order {
                Order::Ascending => Box::new(entries),
                Order::Descending => Box::new(entries.rev()),
            };
            layers.push(layer.peekable());
        }
        let stored = self.snapshot.scan(from, to, order).map(|record| {
            let (key, value) = record?;
            Ok((Cow::Owned(key), Some(Cow::Owned(value))))
        });
        let stored: Layer<'_> = Box::new(stored);
        layers.push(stored.peekable());
        Scan { layers, order }
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.own.insert(key, Some(value));
    }

    /// Deletes a key, which may be absent.
    pub fn delete(&mut self, key: Vec<u8>) {
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

impl<'a> Iterator for Scan<'a> {
    type Item = Result<(Cow<'a, [u8]>, Cow<'a, [u8]>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let newest = self.newest_of_first_key()?;
            let (key, value) = match self.layers[newest].next()? {
                Ok(entry) => entry,
                Err(error) => {
                    self.layers.clear();
                    return Some(Err(error));
                }
            };
            // What it hides. The layers before it do not have the key.
            for older in &mut self.layers[newest + 1..] {
                older.next_if(|entry| matches!(entry, Ok((hidden, _)) if *hidden == key));
            }
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
    }
}

impl Scan<'_> {
    /// The newest layer that has the first of the keys that come next, or a layer that has failed.
    fn newest_of_first_key(&mut self) -> Option<usize> {
        let order = self.order;
        let mut first: Option<(usize, &[u8])> = None;
        for (nth, layer) in self.layers.iter_mut().enumerate() {
            let key = match layer.peek() {
                Some(Ok((key, _))) => &**key,
                Some(Err(_)) => return Some(nth),
                None => continue,
            };
            let is_first = first.is_none_or(|(_, first)| match order {
                Order::Ascending => key < first,
                Order::Descending => key > first,
            });
            if is_first {
                first = Some((nth, key));
            }
        }
        first.map(|(nth, _)| nth)
    }
}

#[cfg(test)]
mod tests;
