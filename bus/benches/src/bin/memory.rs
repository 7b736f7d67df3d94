//! The bytes of memory per subscription. A separate program, because counting allocations slows
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

use rangewatch_bus::{RangeWatchBus, SubscribeBuilder};

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

const N: usize = 100_000;

fn main() {
    let wake = per_subscription(|builder| builder.wake().unwrap());
    let events = per_subscription(|builder| builder.events(256).unwrap());
    println!("bytes per subscription, of {N}, with one selector whose bounds have 32 bytes:");
    println!("wake {wake}, events (empty) {events}");
}

/// Includes the consumer's handle, and the unused capacity of tables.
fn per_subscription<S>(subscribe: impl Fn(SubscribeBuilder<'_>) -> S) -> usize {
    let before = LIVE_BYTES.load(Ordering::Relaxed);
    let bus = RangeWatchBus::new();
    let mut subs = Vec::with_capacity(N);
    for i in 0..N {
        let range =
            format!("/registry/pods/ns-0042/p{i:08}")..format!("/registry/pods/ns-0042/p{i:08}0");
        subs.push(subscribe(bus.subscribe(range)));
    }
    let live = LIVE_BYTES.load(Ordering::Relaxed) - before;
    drop(subs);
    live / N
}
