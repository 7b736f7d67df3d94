//! The keys of an emit, sorted for the lookup in the index.

use smallvec::SmallVec;

use crate::index::N_KEYS_INLINE;

/// The keys of one emit in the order of the caller, which an event keeps, and in ascending order. A
/// lookup of sorted keys visits each range of the index once, so that the time under the bus lock
/// does not grow with the product of keys and subscriptions. The keys are sorted before the lock is
/// taken.
pub(crate) struct EmitKeys<'a> {
    /// In the order of the caller, repeated keys included.
    pub(crate) keys: &'a [&'a [u8]],
    /// `None` if `keys` is in ascending order already.
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

    /// The keys in ascending order.
    pub(crate) fn lookup(&self) -> &[&'a [u8]] {
        self.sorted.as_deref().unwrap_or(self.keys)
    }
}
