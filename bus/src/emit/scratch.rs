//! Room that a thread keeps from one emit to the next.

use std::cell::Cell;
use std::thread::LocalKey;

/// How many items a thread keeps room for: a single huge emit must not hold its memory for ever.
const MAX_SCRATCH_ITEMS: usize = 16 << 10;

/// Room for a list, so that emits do not allocate it one after the other. An emit that a waker makes inside of another
/// finds none, and makes its own.
pub(crate) type Scratch<T> = LocalKey<Cell<Vec<T>>>;

/// The room that the thread keeps. A thread that is ending keeps nothing any more.
pub(crate) fn take<T>(scratch: &'static Scratch<T>) -> Vec<T> {
    scratch.try_with(Cell::take).unwrap_or_default()
}

/// Keeps the room of a list. What the list still holds is freed.
pub(crate) fn put_back<T>(scratch: &'static Scratch<T>, mut list: Vec<T>) {
    list.clear();
    if (1..=MAX_SCRATCH_ITEMS).contains(&list.capacity()) {
        let _ = scratch.try_with(|scratch| scratch.replace(list));
    }
}
