//! Records that a critical section evicts from queues and the history, to be freed after it.

use std::mem;

use crate::emit::Record;
use crate::scratch::MAX_SCRATCH_BYTES;
use crate::sync::Mutex;

/// Evicted records. Drop this without locks.
pub(crate) struct Evicted<'a, P> {
    /// The first needs no list: a full history evicts one record for each emit.
    first: Option<Record<P>>,
    others: Vec<Record<P>>,
    spare: &'a SpareList<P>,
}

/// The memory of a list, which the emits of a bus reuse. The type of a record depends on that of
/// the payloads, so that it cannot belong to the thread. Its lock is the last of all locks.
pub(crate) struct SpareList<P>(Mutex<Vec<Record<P>>>);

impl<P> SpareList<P> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<'a, P> Evicted<'a, P> {
    #[inline]
    pub(crate) const fn new(spare: &'a SpareList<P>) -> Self {
        Self {
            first: None,
            others: Vec::new(),
            spare,
        }
    }

    #[cold]
    fn put_back(&mut self) {
        let mut list = mem::take(&mut self.others);
        list.clear();
        list.shrink_to(MAX_SCRATCH_BYTES / size_of::<Record<P>>());
        // Another emit may have put back its own.
        let other = mem::replace(&mut *self.spare.0.lock(), list);
        drop(other);
    }
}

impl<P> Extend<Record<P>> for Evicted<'_, P> {
    fn extend<I: IntoIterator<Item = Record<P>>>(&mut self, emits: I) {
        let mut emits = emits.into_iter();
        if self.first.is_none() {
            self.first = emits.next();
        }
        for emit in emits {
            if self.others.capacity() == 0 {
                self.others = mem::take(&mut *self.spare.0.lock());
            }
            self.others.push(emit);
        }
    }
}

impl<P> Drop for Evicted<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if self.others.capacity() > 0 {
            self.put_back();
        }
    }
}
