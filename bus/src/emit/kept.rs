//! Room that a thread keeps from one emit to the next.

use std::cell::Cell;
use std::thread::LocalKey;

/// How many items a thread keeps room for: a single huge emit must not hold its memory for ever.
const MAX_KEPT: usize = 16 << 10;

/// Room for a list, so that emits do not allocate it one after the other. An emit that a waker makes inside of another
/// finds none, and makes its own.
pub(crate) type Kept<T> = LocalKey<Cell<Vec<T>>>;

/// The room that the thread keeps. A thread that is ending keeps nothing any more.
pub(crate) fn take<T>(kept: &'static Kept<T>) -> Vec<T> {
    kept.try_with(Cell::take).unwrap_or_default()
}

/// Keeps the room of a list. What the list still holds is freed.
pub(crate) fn keep<T>(kept: &'static Kept<T>, mut list: Vec<T>) {
    list.clear();
    if (1..=MAX_KEPT).contains(&list.capacity()) {
        let _ = kept.try_with(|kept| kept.replace(list));
    }
}
