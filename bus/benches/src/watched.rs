//! Numbered ranges that subscriptions watch, and emits that match one of them each.

use std::ops::Range;

use rangewatch_bench_harness::{Effort, Random};
use rangewatch_bus::RangeWatchBus;

/// The keys of all emits together. They are in memory one after the other, in the order of the
/// emits, so the processor fetches them ahead, but the nodes of the index and the subscriptions
/// that they lead to are spread over all that there are.
const N_KEYS: usize = 1 << 18;

/// The range with this number. It does not touch the others.
pub(crate) fn range(number: usize) -> Range<String> {
    format!("watched/{number:08}")..format!("watched/{number:08}0")
}

/// A key in the range with this number.
pub(crate) fn inside(number: usize) -> String {
    format!("watched/{number:08}/key")
}

/// A key between this range and the next one.
pub(crate) fn between(number: usize) -> String {
    format!("watched/{number:08}~")
}

/// A bus, and the subscriptions with the numbers below `n`, made in a random order: otherwise
/// neighbors would share cache lines.
pub(crate) fn subscribed<S>(
    n: usize,
    subscribe: impl Fn(&RangeWatchBus, usize) -> S,
) -> (RangeWatchBus, Vec<S>) {
    let bus = RangeWatchBus::new();
    let mut numbers: Vec<usize> = (0..n).collect();
    Random::new(n as u64).shuffle(&mut numbers);
    let subs = numbers.into_iter().map(|i| (i, subscribe(&bus, i)));
    let mut subs: Vec<_> = subs.collect();
    subs.sort_unstable_by_key(|(number, _)| *number);
    (bus, subs.into_iter().map(|(_, sub)| sub).collect())
}

/// How the keys of an emit lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Anywhere, in a random order.
    Random,
    /// At one range after the other, from a random one on.
    Clustered,
}

/// The keys of many emits, the same in every run. The first key of an emit lies in a range, the
/// others between two.
#[derive(Debug)]
pub(crate) struct Emits {
    keys: Vec<String>,
    n_keys: usize,
    matching: Vec<usize>,
}

impl Emits {
    /// Emits of `n_keys` keys to subscriptions with the numbers below `n`.
    pub(crate) fn new(effort: Effort, n: usize, n_keys: usize, keys: Keys) -> Self {
        let mut random = Random::new(n as u64);
        let mut below = || random.below(n as u64) as usize;
        let matching: Vec<usize> = (0..effort.samples(N_KEYS / n_keys))
            .map(|_| below())
            .collect();
        let of_emit = |first: &usize| {
            let numbers = (1..n_keys).map(|i| match keys {
                Keys::Random => below(),
                Keys::Clustered => (first + i) % n,
            });
            let keys = std::iter::once(inside(*first)).chain(numbers.map(between));
            keys.collect::<Vec<_>>()
        };
        Self {
            keys: matching.iter().flat_map(of_emit).collect(),
            n_keys,
            matching,
        }
    }

    /// The keys of an emit. The emits repeat after the last one.
    pub(crate) fn nth(&self, i: usize) -> &[String] {
        let first = i % self.matching.len() * self.n_keys;
        &self.keys[first..first + self.n_keys]
    }

    /// The number of the range that an emit matches.
    pub(crate) fn matching(&self, i: usize) -> usize {
        self.matching[i % self.matching.len()]
    }
}
