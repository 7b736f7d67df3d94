//! The bytes of memory that an index takes.
#![expect(
    unsafe_code,
    reason = "an allocator that counts can be written in no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rangewatch_bus::index::IntervalIndex;

use crate::workload::{self, Data};

/// The system's allocator, with a count of the live bytes while an action runs that is counted.
struct Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded unchanged to the system's allocator, and counting does not
// allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTING.load(Ordering::Relaxed) {
            LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if IS_COUNTING.load(Ordering::Relaxed) {
            LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller upholds the contract of `dealloc`, and the block came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if IS_COUNTING.load(Ordering::Relaxed) {
            LIVE_BYTES.fetch_add(new_size, Ordering::Relaxed);
            LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller upholds the contract of `realloc`, and the block came from `System`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes that an action, on this thread alone, allocates and does not free.
pub(crate) fn allocated<T>(action: impl FnOnce() -> T) -> (T, usize) {
    LIVE_BYTES.store(0, Ordering::Relaxed);
    IS_COUNTING.store(true, Ordering::Relaxed);
    let result = action();
    IS_COUNTING.store(false, Ordering::Relaxed);
    (result, LIVE_BYTES.load(Ordering::Relaxed))
}

/// The bytes that our index takes. It gets ranges that nothing else shares, so that their bytes
/// count.
pub(crate) fn of_ours(data: &Data) -> usize {
    let (_index, bytes) = allocated(|| {
        let mut index = IntervalIndex::new();
        for (id, range) in data.ranges[..data.n].iter().enumerate() {
            index.insert(workload::copy(range), id as u32);
        }
        index
    });
    bytes
}

/// The bytes of the bounds, which the peers borrow.
pub(crate) fn of_bounds(data: &Data) -> usize {
    let bounds = data.ranges[..data.n]
        .iter()
        .map(|range| range.start().len() + range.end().map_or(0, <[u8]>::len));
    bounds.sum()
}
