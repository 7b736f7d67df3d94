//! A subscription has one consumer: a receive borrows it exclusively until it is done or dropped.

use rangewatch_bus::RangeWatchBus;

async fn both() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(8).unwrap();
    let first = sub.recv();
    let second = sub.recv();
    let _ = (first.await, second.await);
}

fn main() {
    let _ = both();
}
