//! What leaves queues and the history in a critical section, and is freed after it.

use std::cell::Cell;
use std::mem;

use super::scratch;
use crate::emit::Record;

thread_local! {
    static SCRATCH: Cell<Vec<Record>> = const { Cell::new(Vec::new()) };
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
            self.0 = scratch::take(&SCRATCH);
        }
        self.0.extend(emits);
    }
}

impl Drop for Evicted {
    #[inline]
    fn drop(&mut self) {
        // Mostly nothing is evicted.
        if self.0.capacity() > 0 {
            scratch::put_back(&SCRATCH, mem::take(&mut self.0));
        }
    }
}
