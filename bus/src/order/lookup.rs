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
    #[inline]
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

#[cfg(test)]
mod tests {
    use crate::{Overflow, RangeWatchBus, Selector};

    /// Looks `k` up as an emit does, with a change between the lookup and the lock.
    fn find_around(bus: &RangeWatchBus, change: impl FnOnce()) -> Vec<u32> {
        let keys: [&[u8]; 1] = [b"k"];
        let mut found = bus.shared().index.find(&keys);
        change();
        let state = bus.shared().state.lock();
        state.index.find_again(&keys, &mut found);
        assert!(
            found
                .places
                .iter()
                .all(|&id| state.slots[id as usize].is_some())
        );
        found.places.clone()
    }

    #[test]
    fn g05_a_lookup_before_the_lock_counts_only_if_there_was_no_change() {
        let bus = RangeWatchBus::new();
        let reserve = || bus.reserve().wake().unwrap();
        let reserved: Vec<_> = (0..100).map(|_| reserve()).collect();
        let key = || bus.subscribe(Selector::key("k"));
        let mut subs = Vec::new();
        assert_eq!(
            find_around(&bus, || subs.push(key().wake().unwrap())),
            [100]
        );
        // Frees the places of subscriptions without ranges, so that the table is rebuilt.
        assert_eq!(find_around(&bus, || drop(reserved)).len(), 1);
        let mut edited = bus.subscribe("a".."b").wake().unwrap();
        let edit = |edited: &mut crate::WakeSubscription| edited.set_selectors("j".."l").map(drop);
        assert_eq!(find_around(&bus, || edit(&mut edited).unwrap()).len(), 2);
        assert_eq!(find_around(&bus, || drop(subs)).len(), 1);
        let full = key().overflow(Overflow::Disconnect).events(1).unwrap();
        bus.emit(1, ["k"]).unwrap();
        let overflow = || assert_eq!(bus.emit(2, ["k"]).unwrap().matched(), 2);
        assert_eq!(find_around(&bus, overflow).len(), 1);
        drop((edited, full));
        assert!(find_around(&bus, || {}).is_empty());
    }
}
