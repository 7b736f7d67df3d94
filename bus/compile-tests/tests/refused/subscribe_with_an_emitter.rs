//! An emitter only emits.

use rangewatch_bus::RangeWatchBus;

fn main() {
    let emitter = RangeWatchBus::new().emitter();
    let _ = emitter.subscribe("a"..);
    emitter.close();
}
