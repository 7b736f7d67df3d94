//! The type of the payloads is inferred from what is emitted.

use rangewatch_bus::{History, RangeWatchBus};

pub(crate) fn main() {
    let bus = RangeWatchBus::builder()
        .history(History::events(8))
        .payloads()
        .build()
        .unwrap();
    let mut sub = bus.subscribe(..).events(8).unwrap();
    bus.emit_with(1, [("a", vec![7_u8])]).unwrap();
    let event = sub.try_recv().unwrap();
    let payloads = event.entries().map(|(_, payload)| payload.len());
    assert!(payloads.eq([1]));
}
