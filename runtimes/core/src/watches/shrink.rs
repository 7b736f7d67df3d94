//! When a table of watches or of owners gives memory back.

/// Fewer places are kept.
const MIN_SHRUNK: usize = 64;

/// The capacity to shrink to when most of the entries have gone, `len` of `capacity` places being
/// left; `None` if it is to stay.
pub(super) fn shrunk(len: usize, capacity: usize) -> Option<usize> {
    (len < capacity / 4 && capacity > MIN_SHRUNK).then_some(2 * len)
}
