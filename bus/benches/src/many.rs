//! Very many subscriptions.

use rangewatch_bench_harness::{Contender, Effort, Report};
use rangewatch_bus::index::IntervalIndex;
use rangewatch_bus::{KeyRange, RangeWatchBus, WakeSubscription};

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note("An emit that matches one of the subscriptions; each time another. Memory: the program `memory`.\n");
    report.table(&["", "of 1,000", "of 100,000"]);
    let sizes = [1000, 100_000].map(|n| (n, subscribed(n)));
    let mut contenders: Vec<_> = sizes
        .iter()
        .map(|(n, (bus, _subs))| {
            let mut value = 0;
            Contender::new(move || {
                value += 1;
                let emitted = bus
                    .emit(value, [key(value.wrapping_mul(7919) as usize % n)])
                    .unwrap();
                assert_eq!(emitted.matched(), 1);
            })
        })
        .collect();
    report.row(effort, "one emit", &mut contenders);
    let mut searches = [1000, 100_000].map(|n| {
        let mut index = IntervalIndex::new();
        for i in 0..n {
            let range = KeyRange::new(key(i), format!("{}\0", key(i))).unwrap();
            index.insert(range, i);
        }
        let mut i = 0;
        let mut found = Vec::new();
        Contender::new(move || {
            i = (i + 7919) % n;
            found.clear();
            index.find(key(i).as_bytes(), &mut found);
            assert_eq!(found, [i]);
        })
    });
    report.row(effort, "of that, the search in the index", &mut searches);
}

fn key(i: usize) -> String {
    format!("/registry/pods/ns-{:03}/pod-{:04}", i % 1000, i / 1000)
}

fn subscribed(n: usize) -> (RangeWatchBus, Vec<WakeSubscription>) {
    let bus = RangeWatchBus::new();
    let subs = (0..n).map(|i| {
        bus.subscribe(key(i)..format!("{}\0", key(i)))
            .wake()
            .unwrap()
    });
    let subs = subs.collect();
    (bus, subs)
}
