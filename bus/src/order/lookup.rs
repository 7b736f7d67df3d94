//! The index of a bus, which emits read before they take the lock of the bus.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use crate::index::IntervalIndex;
use crate::scratch;
use crate::sync::{AtomicU64, RwLock, RwLockReadGuard, RwLockWriteGuard};

thread_local! {
    static PLACES: Cell<Vec<u32>> = const { Cell::new(Vec::new()) };
}

/// The ranges of all subscribers of a bus, each with the subscriber's place in the table.
///
/// The index is changed under the lock of the bus, and read with or without it. What an emit found
/// without it counts if there was no change until the emit has taken it. Lock order: the bus, then
/// the index.
pub(crate) struct SharedIndex {
    index: RwLock<IntervalIndex<u32>>,
    /// The number of changes. Changed under both locks.
    version: AtomicU64,
}

/// The places of the subscribers that keys match, in a scratch buffer of the thread.
pub(crate) struct Found {
    pub(crate) places: Vec<u32>,
    version: u64,
}

impl SharedIndex {
    pub(crate) fn new() -> Self {
        Self {
            index: RwLock::new(IntervalIndex::new()),
            version: AtomicU64::new(0),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, IntervalIndex<u32>> {
        self.index.read()
    }

    /// Starts a change. The caller holds the lock of the bus.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, IntervalIndex<u32>> {
        let index = self.index.write();
        self.version.fetch_add(1, Ordering::Relaxed);
        index
    }

    /// Looks keys up.
    pub(crate) fn find(&self, keys: &[&[u8]]) -> Found {
        let mut places = scratch::take(&PLACES);
        let index = self.read();
        index.find_any_of(keys, &mut places);
        // Read under the lock of the index, as it is changed.
        let version = self.version.load(Ordering::Relaxed);
        Found { places, version }
    }

    /// Looks keys up again if there was a change. The caller holds the lock of the bus, so that
    /// there is none from here on.
    #[inline]
    pub(crate) fn find_again(&self, keys: &[&[u8]], found: &mut Found) {
        if found.version != self.version.load(Ordering::Relaxed) {
            found.places.clear();
            self.read().find_any_of(keys, &mut found.places);
        }
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        scratch::put_back(&PLACES, std::mem::take(&mut self.places));
    }
}
