//! Scratch buffers, reused per thread.

use std::cell::Cell;
use std::thread::LocalKey;

/// The greatest size of a scratch buffer that is kept: a single huge emit must not retain its
/// memory.
pub(crate) const MAX_SCRATCH_BYTES: usize = 256 << 10;

/// A scratch buffer, so that an emit does not allocate. A nested emit, made by a waker, allocates
/// another if this one is still taken.
pub(crate) type Scratch<T> = LocalKey<Cell<Vec<T>>>;

/// Takes the scratch buffer of the thread; an empty one if the thread is ending.
pub(crate) fn take<T>(scratch: &'static Scratch<T>) -> Vec<T> {
    scratch.try_with(Cell::take).unwrap_or_default()
}

/// Returns a scratch buffer to the thread. Items that it still holds are freed, and so is what
/// exceeds the greatest size.
pub(crate) fn put_back<T>(scratch: &'static Scratch<T>, mut list: Vec<T>) {
    list.clear();
    list.shrink_to(MAX_SCRATCH_BYTES / size_of::<T>());
    if list.capacity() > 0 {
        let _ = scratch.try_with(|scratch| scratch.replace(list));
    }
}
