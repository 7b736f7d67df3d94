//! The bytes that are allocated.
#![expect(
    unsafe_code,
    reason = "an allocator that counts can be written in no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator, which counts while [`allocated`] runs. A program that calls that
/// function makes this its global allocator.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CountingAllocator;

impl CountingAllocator {
    /// The allocator: all of them share one count.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    fn count(n_bytes: isize) {
        if IS_COUNTING.load(Ordering::Relaxed) {
            LIVE_BYTES.fetch_add(n_bytes, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call is forwarded unchanged to the system's allocator, and counting does not
// allocate.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        Self::count(-(layout.size() as isize));
        // SAFETY: the caller upholds the contract of `dealloc`, and the block came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Self::count(new_size as isize - layout.size() as isize);
        // SAFETY: the caller upholds the contract of `realloc`, and the block came from `System`.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

/// The result of `action`, and the bytes that all threads allocated and did not free while it ran:
/// negative if they freed more, 0 if [`CountingAllocator`] is not the global allocator.
///
/// One action is counted at a time: a call inside of another one, or beside it, spoils both counts.
pub fn allocated<T>(action: impl FnOnce() -> T) -> (T, isize) {
    LIVE_BYTES.store(0, Ordering::Relaxed);
    IS_COUNTING.store(true, Ordering::Relaxed);
    let result = action();
    IS_COUNTING.store(false, Ordering::Relaxed);
    (result, LIVE_BYTES.load(Ordering::Relaxed))
}
