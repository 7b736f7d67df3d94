//! `items` borrows the subscription, so a task that outlives the borrow cannot have the stream.

use rangewatch_bus::RangeWatchBus;

fn spawn(_task: impl Send + 'static) {}

fn main() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(8).unwrap();
    spawn(sub.items());
}
