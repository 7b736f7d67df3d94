//! Records that a critical section evicts from queues and the history, to be freed after it.

use std::mem;

use smallvec::SmallVec;

use crate::emit::Record;
use crate::scratch::MAX_SCRATCH_BYTES;
use crate::sync::Mutex;

/// Evicted records. Drop this without locks.
pub(crate) struct Evicted<'a, P> {
    records: SmallVec<[Record<P>; N_INLINE]>,
    spare: &'a SpareList<P>,
}

/// So many records take no memory of their own: a full history evicts one for each emit.
const N_INLINE: usize = 4;

/// The memory of a longer list, which the emits of a bus reuse. The type of a record depends on that
/// of the payloads, so that it cannot belong to the thread. Its lock is the last of all locks.
pub(crate) struct SpareList<P>(Mutex<Vec<Record<P>>>);

impl<P> SpareList<P> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }
}

impl<'a, P> Evicted<'a, P> {
    #[inline]
    pub(crate) fn new(spare: &'a SpareList<P>) -> Self {
        Self {
            records: SmallVec::new(),
            spare,
        }
    }

    #[cold]
    fn take_spare(&mut self) {
        let mut list = mem::take(&mut *self.spare.0.lock());
        list.extend(self.records.drain(..));
        if list.capacity() > N_INLINE {
            self.records = SmallVec::from_vec(list);
        } else {
            self.records.extend(list);
        }
    }

    #[cold]
    fn put_back_spare(&mut self) {
        let mut list = mem::take(&mut self.records).into_vec();
        list.clear();
        list.shrink_to(MAX_SCRATCH_BYTES / size_of::<Record<P>>());
        // Another emit may have put back its own.
        let other = mem::replace(&mut *self.spare.0.lock(), list);
        drop(other);
    }
}

impl<P> Extend<Record<P>> for Evicted<'_, P> {
    fn extend<I: IntoIterator<Item = Record<P>>>(&mut self, emits: I) {
        for emit in emits {
            if self.records.len() == N_INLINE && !self.records.spilled() {
                self.take_spare();
            }
            self.records.push(emit);
        }
    }
}

impl<P> Drop for Evicted<'_, P> {
    #[inline]
    fn drop(&mut self) {
        if self.records.spilled() {
            self.put_back_spare();
        }
    }
}
