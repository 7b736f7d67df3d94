//! Records that a critical section evicts from queues and the history, to be freed after it.

use std::mem;

use crate::emit::Record;
use crate::scratch::MAX_SCRATCH_BYTES;
use crate::sync::Mutex;

/// Evicted records. Drop this without locks.
pub(crate) struct Evicted<'a, P> {
    records: Option<Records<P>>,
    spare: &'a SpareList<P>,
}

/// At least one record. The first needs no list: a full history evicts one for each emit.
struct Records<P> {
    first: Record<P>,
    others: Vec<Record<P>>,
}

/// The memory of a list, which the emits of a bus reuse. The type of a record depends on that of
/// the payloads, so that it cannot belong to the thread. Its lock is the last of all locks.
pub(crate) struct SpareList<P>(Mutex<Vec<Record<P>>>);

impl<P> SpareList<P> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<P> SpareList<P> {
    /// Frees the records, and keeps the memory of their list. Kept out of line: most emits evict
    /// nothing.
    #[inline(never)]
    fn free(&self, records: Records<P>) {
        let Records { first, mut others } = records;
        drop(first);
        if others.capacity() > 0 {
            others.clear();
            others.shrink_to(MAX_SCRATCH_BYTES / size_of::<Record<P>>());
            // Another emit may have put back its own.
            let other = mem::replace(&mut *self.0.lock(), others);
            drop(other);
        }
    }
}

impl<'a, P> Evicted<'a, P> {
    #[inline]
    pub(crate) const fn new(spare: &'a SpareList<P>) -> Self {
        Self {
            records: None,
            spare,
        }
    }
}

impl<P> Extend<Record<P>> for Evicted<'_, P> {
    fn extend<I: IntoIterator<Item = Record<P>>>(&mut self, emits: I) {
        for emit in emits {
            match &mut self.records {
                None => {
                    self.records = Some(Records {
                        first: emit,
                        others: Vec::new(),
                    });
                }
                Some(Records { others, .. }) => {
                    if others.capacity() == 0 {
                        *others = mem::take(&mut *self.spare.0.lock());
                    }
                    others.push(emit);
                }
            }
        }
    }
}

impl<P> Drop for Evicted<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(records) = self.records.take() {
            self.spare.free(records);
        }
    }
}
