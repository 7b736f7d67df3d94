//! Records that a critical section evicts from queues and the history, to be freed after it.

use std::cell::Cell;

use crate::emit::Record;
use crate::scratch;

thread_local! {
    static SCRATCH: Cell<Vec<Record>> = const { Cell::new(Vec::new()) };
}

/// Evicted records. Drop this without locks.
pub(crate) struct Evicted(Option<Vec<Record>>);

impl Evicted {
    pub(crate) const fn new() -> Self {
        Self(None)
    }
}

impl Extend<Record> for Evicted {
    fn extend<I: IntoIterator<Item = Record>>(&mut self, emits: I) {
        let records = self.0.get_or_insert_with(|| scratch::take(&SCRATCH));
        records.extend(emits);
    }
}

impl Drop for Evicted {
    #[inline]
    fn drop(&mut self) {
        // Most emits evict nothing.
        if let Some(records) = self.0.take() {
            scratch::put_back(&SCRATCH, records);
        }
    }
}
