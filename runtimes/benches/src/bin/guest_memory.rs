//! The bytes of memory per watch of a guest. A separate program, because counting allocations slows
//! down the other benchmarks.

#![expect(
    clippy::print_stdout,
    reason = "the numbers are what the program is for"
)]

use rangewatch_bench_harness::{CountingAllocator, allocated};
use rangewatch_benches::LoopingGuest;
use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::Runtime;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

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
            let ((), opened) = allocated(|| guest.open_cold(n));
            let ((), started) = allocated(|| guest.start_all());
            let ((), stopped) = allocated(|| guest.stop_all());
            let (name, left) = (runtime.name(), opened + started + stopped);
            let of_one = |bytes: isize| bytes / n as isize;
            let (opened, started) = (of_one(opened), of_one(opened + started));
            println!(
                "{name}, of {n}: open {opened}, started {started}; {left} left of all when stopped"
            );
        }
    }
}
