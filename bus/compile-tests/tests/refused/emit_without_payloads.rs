//! `emit` takes no payloads, so a bus with payloads does not have it.

use rangewatch_bus::RangeWatchBus;

fn main() {
    let bus = RangeWatchBus::builder().payloads::<u64>().build().unwrap();
    let _ = bus.emit(1, ["a"]);
}
