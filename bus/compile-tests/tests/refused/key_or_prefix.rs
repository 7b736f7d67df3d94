//! A plain string could be one key or a prefix.

use rangewatch_bus::RangeWatchBus;

fn main() {
    let bus = RangeWatchBus::new();
    let _ = bus.subscribe("/registry/").events(8);
}
