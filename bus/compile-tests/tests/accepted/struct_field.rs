//! Fields and signatures without a type parameter: the default is no payload.

use rangewatch_bus::{Event, EventSubscription, RangeWatchBus};

#[derive(Default)]
struct Store {
    bus: RangeWatchBus,
    revision: u64,
}

impl Store {
    fn put(&mut self, key: &str) {
        self.revision += 1;
        self.bus.emit(self.revision, [key]).unwrap();
    }
}

fn values(sub: &mut EventSubscription) -> Vec<u64> {
    let value = |event: Event| event.value();
    std::iter::from_fn(|| sub.try_recv().ok().map(value)).collect()
}

pub(crate) fn main() {
    let mut store = Store::default();
    let mut sub = store.bus.subscribe(..).events(8).unwrap();
    store.put("a");
    store.put("b");
    assert_eq!(values(&mut sub), [1, 2]);
}
