//! The cost of an emit that matches one of many subscriptions.

use rangewatch_bench_harness::{Contender, Effort, Report};
use rangewatch_bus::index::IntervalIndex;
use rangewatch_bus::{KeyRange, RangeWatchBus, Selector, WakeSubscription};

use crate::watched::{self, Emits, Keys};

const SIZES: [usize; 5] = [100, 1000, 10_000, 100_000, 1_000_000];
/// Greater numbers of subscriptions are left out where each row runs once.
const MAX_SMOKE_SIZE: usize = 1000;
/// How many emits are received before they are timed, to check them.
const N_CHECKED: usize = 64;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "To wake subscriptions, of which the first key of an emit matches one. The other keys lie\n\
         between what is watched: anywhere in a random order, or at neighbors. Each emit has other\n\
         keys. Nothing waits. The search is that of the random keys in an index by itself.\n",
    );
    report.table(&[
        "subscriptions, keys",
        "random",
        "of that, the search",
        "clustered",
        "random, to single keys",
    ]);
    let is_measured = |n: &&usize| effort == Effort::Full || **n <= MAX_SMOKE_SIZE;
    for n in SIZES.iter().filter(is_measured) {
        let mut ranges = watched::subscribed(*n, |bus, i| {
            bus.subscribe(watched::range(i)).wake().unwrap()
        });
        let mut single_keys = watched::subscribed(*n, |bus, i| {
            let key = Selector::key(watched::inside(i));
            bus.subscribe(key).wake().unwrap()
        });
        let index = index(*n);
        for n_keys in [1, 3, 16, 200, 1024] {
            let random = Emits::new(effort, *n, n_keys, Keys::Random);
            let clustered = Emits::new(effort, *n, n_keys, Keys::Clustered);
            check(&mut ranges, &random);
            check(&mut ranges, &clustered);
            check(&mut single_keys, &random);
            let mut contenders = [
                emits(&ranges.0, &random),
                searches(&index, &random),
                emits(&ranges.0, &clustered),
                emits(&single_keys.0, &random),
            ];
            report.row(effort, &format!("{n}, {n_keys}"), &mut contenders);
        }
    }
}

fn emits<'a>(bus: &'a RangeWatchBus, emits: &'a Emits) -> Contender<'a> {
    let mut i = 0;
    Contender::new(move || {
        i += 1;
        let emitted = bus.emit(i as u64, emits.nth(i)).unwrap();
        assert_eq!(emitted.matched(), 1);
    })
}

fn searches<'a>(index: &'a IntervalIndex<usize>, emits: &'a Emits) -> Contender<'a> {
    let mut i = 0;
    let mut found = Vec::new();
    Contender::new(move || {
        i += 1;
        found.clear();
        index.find_any(emits.nth(i), &mut found);
        assert_eq!(found, [emits.matching(i)]);
    })
}

fn index(n: usize) -> IntervalIndex<usize> {
    let mut index = IntervalIndex::new();
    for i in 0..n {
        let range = watched::range(i);
        index.insert(KeyRange::new(range.start, range.end).unwrap(), i);
    }
    index
}

/// Each emit reaches the subscription that it should, and no other one.
fn check((bus, subs): &mut (RangeWatchBus, Vec<WakeSubscription>), emits: &Emits) {
    // What earlier emits left there.
    for sub in subs.iter_mut() {
        let _ = sub.try_recv();
    }
    for i in 0..N_CHECKED {
        let value = i as u64;
        assert_eq!(bus.emit(value, emits.nth(i)).unwrap().matched(), 1);
        let span = subs[emits.matching(i)].try_recv().unwrap();
        assert_eq!((span.first(), span.count()), (value, 1));
    }
}
