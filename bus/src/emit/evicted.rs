//! What leaves queues and the history in a critical section, and is freed after it.

use std::cell::Cell;
use std::mem;

use super::kept;
use crate::emit::Record;

thread_local! {
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
            self.0 = kept::take(&KEPT);
        }
        self.0.extend(emits);
    }
}

impl Drop for Evicted {
    #[inline]
    fn drop(&mut self) {
        // Mostly nothing is evicted.
        if self.0.capacity() > 0 {
            kept::keep(&KEPT, mem::take(&mut self.0));
        }
    }
}
