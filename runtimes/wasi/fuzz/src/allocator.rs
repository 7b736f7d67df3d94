//! How much memory of the host a call allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATED_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that each thread allocates, without subtracting the bytes it frees.
struct Counting;

// SAFETY: every call is forwarded unchanged to the system's allocator, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED_BYTES.set(ALLOCATED_BYTES.get() + layout.size());
        // SAFETY: the caller upholds the contract of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of the system's allocator.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `call`. Returns its result, and how many bytes it has allocated.
pub(crate) fn allocated_bytes<R>(call: impl FnOnce() -> R) -> (R, usize) {
    let before = ALLOCATED_BYTES.get();
    let result = call();
    (result, ALLOCATED_BYTES.get() - before)
}
