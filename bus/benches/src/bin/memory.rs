//! The bytes of memory per subscription. A separate program, because counting allocations slows
//! down the other benchmarks.

#![expect(
    clippy::print_stdout,
    reason = "the numbers are what the program is for"
)]

use rangewatch_bench_harness::{CountingAllocator, allocated};
use rangewatch_bus::{RangeWatchBus, SubscribeBuilder};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const N: usize = 100_000;

fn main() {
    let wake = per_subscription(|builder| builder.wake().unwrap());
    let events = per_subscription(|builder| builder.events(256).unwrap());
    println!("bytes per subscription, of {N}, with one selector whose bounds have 32 bytes:");
    println!("wake {wake}, events (empty) {events}");
}

/// Includes the consumer's handle, and the unused capacity of tables.
fn per_subscription<S>(subscribe: impl Fn(SubscribeBuilder<'_>) -> S) -> isize {
    let (_living, bytes) = allocated(|| {
        let bus = RangeWatchBus::new();
        let mut subs = Vec::with_capacity(N);
        for i in 0..N {
            let range = format!("/registry/pods/ns-0042/p{i:08}")
                ..format!("/registry/pods/ns-0042/p{i:08}0");
            subs.push(subscribe(bus.subscribe(range)));
        }
        (bus, subs)
    });
    bytes / N as isize
}
