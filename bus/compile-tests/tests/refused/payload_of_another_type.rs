//! A bus has one type of payloads.

use rangewatch_bus::RangeWatchBus;

fn main() {
    let bus = RangeWatchBus::builder().payloads::<u64>().build().unwrap();
    let _ = bus.emit_with(1, [("a", "text")]);
}
