//! When a table or a list gives memory back.

/// Fewer places are kept.
pub(crate) const MIN_SHRUNK: usize = 64;

/// The capacity to shrink to when most of the entries have gone, `len` of `capacity` places being
/// left; `None` if it is to stay.
///
/// After a shrink half of the places are free, so that as many removals as there are entries
/// precede the next one: a removal takes a constant number of steps on average.
#[inline]
pub(crate) fn shrunk(len: usize, capacity: usize) -> Option<usize> {
    (len < capacity / 4 && capacity > MIN_SHRUNK).then_some(2 * len)
}
