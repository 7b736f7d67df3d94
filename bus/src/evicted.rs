//! What leaves queues and the history in a critical section, and is freed after it.

use std::cell::Cell;
use std::mem;

use crate::record::Record;

/// The room that a thread keeps for the next list, in emits: a single huge eviction must not hold its memory for ever.
const MAX_KEPT: usize = 16 << 10;

thread_local! {
    /// Room that is filled by one emit after the other, so that none allocates however many full queues it meets.
    static KEPT: Cell<Vec<Record>> = const { Cell::new(Vec::new()) };
}

/// Emits to be freed outside of locks: where this is dropped.
pub(crate) struct Evicted(Vec<Record>);

impl Evicted {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }
}

impl Extend<Record> for Evicted {
    fn extend<I: IntoIterator<Item = Record>>(&mut self, emits: I) {
        if self.0.capacity() == 0 {
            // A thread that is ending keeps nothing any more.
            self.0 = KEPT.try_with(Cell::take).unwrap_or_default();
        }
        self.0.extend(emits);
    }
}

impl Drop for Evicted {
    #[inline]
    fn drop(&mut self) {
        // Mostly nothing is evicted.
        if self.0.capacity() > 0 {
            give_back(mem::take(&mut self.0));
        }
    }
}

#[inline(never)]
fn give_back(mut room: Vec<Record>) {
    room.clear();
    if room.capacity() <= MAX_KEPT {
        let _ = KEPT.try_with(|kept| kept.replace(room));
    }
}
