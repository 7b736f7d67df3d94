//! A bus that is only subscribed to: no emit says that it has no payloads.

use rangewatch_bus::RangeWatchBus;

pub(crate) fn main() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe("a".."b").events(8).unwrap();
    assert!(sub.try_recv().is_err());

    let built = RangeWatchBus::builder().build().unwrap();
    assert!(built.subscribe(..).wake().is_ok());

    let default = RangeWatchBus::default();
    assert!(default.subscribe(..).wake().is_ok());
}
