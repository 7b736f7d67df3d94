//! `new` makes a bus without payloads, so that `RangeWatchBus::new()` needs no annotation.

use rangewatch_bus::RangeWatchBus;

fn main() {
    let _ = RangeWatchBus::<u64>::new();
}
