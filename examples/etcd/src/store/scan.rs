//! A scan over layers of which a later one hides what an earlier one has.

use std::iter::Peekable;

use bytes::Bytes;

use super::{Order, StoreError};

/// A key of a layer; without a value the layer has deleted it.
type Entry = (Bytes, Option<Bytes>);

/// The entries of a layer in the order of the scan.
pub(crate) type Layer<'a> = Box<dyn Iterator<Item = Result<Entry, StoreError>> + 'a>;

pub(crate) fn in_order<'a>(
    entries: impl DoubleEndedIterator<Item = Result<Entry, StoreError>> + 'a,
    order: Order,
) -> Layer<'a> {
    match order {
        Order::Ascending => Box::new(entries),
        Order::Descending => Box::new(entries.rev()),
    }
}

/// The records of a range, which are read as the iterator goes on. After an error it ends.
#[expect(
    missing_debug_implementations,
    reason = "an iterator over a borrowed view"
)]
pub struct Scan<'a> {
    /// Newest first.
    layers: Vec<Peekable<Layer<'a>>>,
    order: Order,
    n_read: u64,
}

impl<'a> Scan<'a> {
    /// A scan over layers, the newest first.
    pub(crate) fn new(layers: impl Iterator<Item = Layer<'a>>, order: Order) -> Self {
        let layers = layers.map(Iterator::peekable).collect();
        Self {
            layers,
            order,
            n_read: 0,
        }
    }

    /// The entries of all layers that were read, with those that are deleted or hidden.
    pub(crate) fn n_read(&self) -> u64 {
        self.n_read
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(Bytes, Bytes), StoreError>;

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
            self.n_read += 1;
            // What it hides. The layers before it do not have the key.
            for older in &mut self.layers[newest + 1..] {
                let hidden =
                    older.next_if(|entry| matches!(entry, Ok((hidden, _)) if *hidden == key));
                self.n_read += u64::from(hidden.is_some());
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
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_scan_reads_no_more_than_one_entry_of_each_layer_ahead() {
        let n_read = Cell::new(0);
        let layer = |first: u32| {
            let entries = (first..1_000_000).step_by(3).map(|n| {
                n_read.set(n_read.get() + 1);
                Ok((Bytes::from(n.to_be_bytes().to_vec()), Some(Bytes::new())))
            });
            let layer: Layer<'_> = Box::new(entries);
            layer.peekable()
        };
        let scan = Scan {
            layers: vec![layer(0), layer(1), layer(2)],
            order: Order::Ascending,
            n_read: 0,
        };
        assert_eq!(scan.take(9).count(), 9);
        assert!(n_read.get() <= 9 + 3, "{} entries were read", n_read.get());
    }

    #[test]
    fn what_a_scan_passes_over_counts_as_read() {
        let layer = |entries: [(u8, Option<u8>); 2]| {
            let entries = entries.map(|(key, value)| {
                let value = value.map(|value| Bytes::from(vec![value]));
                Ok((Bytes::from(vec![key]), value))
            });
            let layer: Layer<'_> = Box::new(entries.into_iter());
            layer
        };
        let layers = [
            layer([(1, None), (2, None)]),
            layer([(1, Some(1)), (3, Some(3))]),
        ];
        let mut scan = Scan::new(layers.into_iter(), Order::Ascending);
        let (key, _) = scan.next().expect("an entry").expect("it is read");
        assert_eq!((&*key, scan.n_read()), (&[3][..], 4));
    }

    #[test]
    fn a_scan_ends_after_an_error() {
        let failing: Layer<'_> = Box::new([Err(StoreError::Failed)].into_iter());
        let layer: Layer<'_> =
            Box::new([Ok((Bytes::from_static(&[1]), Some(Bytes::new())))].into_iter());
        let mut scan = Scan {
            layers: vec![layer.peekable(), failing.peekable()],
            order: Order::Descending,
            n_read: 0,
        };
        assert!(matches!(scan.next(), Some(Err(StoreError::Failed))));
        assert!(scan.next().is_none());
    }
}
