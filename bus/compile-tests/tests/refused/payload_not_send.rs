//! A payload is dropped by the thread that drops the last event.

use std::rc::Rc;

use rangewatch_bus::RangeWatchBus;

fn main() {
    let _ = RangeWatchBus::builder().payloads::<Rc<u64>>();
}
