//! The keys of an emit, sorted for the lookup.

use smallvec::SmallVec;

use crate::index::N_KEYS_INLINE;

/// The keys of one emit, as given and in ascending order. A lookup of sorted keys visits each range
/// once, so that the time under the lock does not grow with the product of keys and subscriptions.
/// Sorting needs no lock.
pub(crate) struct EmitKeys<'a> {
    pub(crate) keys: &'a [&'a [u8]],
    sorted: Option<SmallVec<[&'a [u8]; N_KEYS_INLINE]>>,
}

impl<'a> EmitKeys<'a> {
    pub(crate) fn new(keys: &'a [&'a [u8]]) -> Self {
        let sorted = (!keys.is_sorted()).then(|| {
            let mut sorted = SmallVec::from_slice(keys);
            sorted.sort_unstable();
            sorted
        });
        Self { keys, sorted }
    }

    pub(crate) fn lookup(&self) -> &[&'a [u8]] {
        self.sorted.as_deref().unwrap_or(self.keys)
    }
}
