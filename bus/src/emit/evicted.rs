//! Records that a critical section evicts from queues and the history, to be freed after it.

use std::cell::Cell;
use std::mem;

use crate::emit::Record;
use crate::scratch;

thread_local! {
    static SCRATCH: Cell<Vec<Record>> = const { Cell::new(Vec::new()) };
}

/// Evicted records. Drop this without locks.
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
        // Most emits evict nothing.
        if self.0.capacity() > 0 {
            scratch::put_back(&SCRATCH, mem::take(&mut self.0));
        }
    }
}
