//! A payload is read by all subscriptions at once.

use std::cell::Cell;

use rangewatch_bus::RangeWatchBus;

fn main() {
    let _ = RangeWatchBus::builder().payloads::<Cell<u64>>();
}
