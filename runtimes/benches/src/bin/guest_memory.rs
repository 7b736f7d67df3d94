//! The bytes of memory per watch of a guest. A separate program, because counting allocations slows
//! down the other benchmarks.

#![expect(
    clippy::print_stdout,
    reason = "the numbers are what the program is for"
)]
#![expect(
    unsafe_code,
    reason = "an allocator that counts can be written in no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use rangewatch_benches::LoopingGuest;
use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::Runtime;

/// The system's allocator, with a count of the live bytes.
struct Counting;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded unchanged to the system's allocator, and counting does not
// allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `dealloc`, and the block came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    println!("bytes per watch, with an id of 8 bytes and range bounds of 24 bytes:");
    let runtimes: [Box<dyn Runtime>; 2] = [
        Box::new(rangewatch_wasmtime::Wasmtime::unmetered()),
        Box::new(rangewatch_wasmi::Wasmi::unmetered()),
    ];
    for runtime in runtimes {
        let bus = RangeWatchBus::new();
        let mut guest = LoopingGuest::new(&LoopingGuest::module(&*runtime), &bus);
        for n in [1_000, 10_000, 100_000] {
            let before = live();
            guest.open_cold(n);
            let opened = (live() - before) / n as isize;
            guest.start_all();
            let started = (live() - before) / n as isize;
            guest.stop_all();
            let (name, left) = (runtime.name(), live() - before);
            println!(
                "{name}, of {n}: open {opened}, started {started}; {left} left of all when stopped"
            );
        }
    }
}

fn live() -> isize {
    LIVE_BYTES.load(Ordering::Relaxed) as isize
}
