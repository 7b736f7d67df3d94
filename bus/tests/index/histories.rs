//! Long histories of insertions, removals and lookups, of ranges that are chosen to be hard.

use rangewatch_bus::KeyRange;
use rangewatch_bus::index::{Handle, IntervalIndex};

use crate::random::Random;
use crate::treap::{Place, Treap};

/// The operations of all histories together. The variable `RANGEWATCH_CASES` sets another number.
const N_OPERATIONS: usize = 50_000;

/// The most operations of one history: in some families a lookup finds most of the ranges, so the
/// time of a history grows as the square of its length.
const MAX_OPERATIONS: usize = 20_000;

/// Makes the range of a history, and a key to look up. The number says how many ranges there were.
struct Family {
    name: &'static str,
    range: fn(&mut Random, usize) -> KeyRange,
    key: fn(&mut Random) -> Vec<u8>,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "short keys over few bytes, empty ones and NULs among them",
        range: |random, _| between(tiny(random), tiny(random)),
        key: tiny,
    },
    Family {
        name: "shared prefixes that are longer than a code",
        range: |random, _| between(long(random), long(random)),
        key: long,
    },
    Family {
        name: "narrow ranges of numbers",
        range: |random, _| {
            let start = random.below(1_000_000);
            between(number(start), number(start + 1 + random.below(1_000)))
        },
        key: |random| number(random.below(1_000_000)),
    },
    Family {
        name: "wide and unbounded ranges of numbers",
        range: |random, _| {
            let start = number(random.below(1_000_000));
            match random.below(4) {
                0 => KeyRange::unbounded(start),
                _ => between(start, number(random.below(1_000_000))),
            }
        },
        key: |random| number(random.below(1_000_000)),
    },
    Family {
        name: "equal ends",
        range: |random, _| between(number(random.below(500_000)), number(500_000)),
        key: |random| number(499_000 + random.below(1_001)),
    },
    Family {
        name: "equal starts",
        range: |random, _| between(number(7), number(8 + random.below(500_000))),
        key: |random| number(random.below(500_000)),
    },
    Family {
        name: "nested ranges",
        range: |random, _| {
            let depth = random.below(500_000);
            between(number(depth), number(1_000_000 - depth))
        },
        key: |random| number(random.below(1_000_000)),
    },
    Family {
        name: "duplicates",
        range: |random, _| {
            let start = random.below(4);
            between(number(start), number(start + 2 + random.below(2)))
        },
        key: |random| number(random.below(8)),
    },
    Family {
        name: "single keys and prefixes, many of them equal",
        range: |random, _| {
            let mut key = long(random);
            key.truncate(random.below(30));
            match random.below(2) {
                0 => KeyRange::key(key),
                _ => KeyRange::prefix(key),
            }
        },
        key: long,
    },
    Family {
        name: "prefixes of 64 lengths",
        range: |random, _| {
            let n = random.below(64);
            let byte = [b'a', b'b'][random.below(2)];
            KeyRange::prefix(vec![byte; n])
        },
        key: |random| vec![[b'a', b'b'][random.below(2)]; random.below(80)],
    },
    Family {
        name: "ascending order",
        range: |_, n| between(number(n), number(n + 3)),
        key: |random| number(random.below(5_000)),
    },
    Family {
        name: "descending order",
        range: |_, n| between(number(999_999 - n), number(1_000_002 - n)),
        key: |random| number(995_000 + random.below(5_000)),
    },
    Family {
        name: "few long ranges among many short ones",
        range: |random, n| {
            let start = random.below(1_000_000);
            let len = if n % 50 == 0 {
                1_000_000
            } else {
                1 + random.below(3)
            };
            between(number(start), number(start + len))
        },
        key: |random| number(random.below(1_000_000)),
    },
];

fn tiny(random: &mut Random) -> Vec<u8> {
    let n = random.below(5);
    (0..n)
        .map(|_| [0, b'a', 0xfe, 0xff][random.below(4)])
        .collect()
}

fn long(random: &mut Random) -> Vec<u8> {
    let mut key = b"/registry/pods/".to_vec();
    for _ in 0..random.below(4) {
        key.extend(["namespace-0/", "namespace-1/", "\0", "x"][random.below(4)].bytes());
    }
    key
}

fn number(n: usize) -> Vec<u8> {
    format!("{n:016}").into_bytes()
}

/// The range between two bounds, or of one key if they are equal.
fn between(a: Vec<u8>, b: Vec<u8>) -> KeyRange {
    match KeyRange::new(a.clone().min(b.clone()), a.clone().max(b)) {
        Ok(range) => range,
        Err(_) => KeyRange::key(a),
    }
}

/// A history grows to a size, stays there, and shrinks to nothing.
struct History {
    index: IntervalIndex<u32>,
    treap: Treap,
    live: Vec<(Handle, Place)>,
    n_inserted: usize,
}

impl History {
    fn insert(&mut self, family: &Family, random: &mut Random) {
        let range = (family.range)(random, self.n_inserted % 5_000);
        let value = self.n_inserted as u32;
        self.n_inserted += 1;
        let handle = self.index.insert(range.clone(), value);
        self.live.push((handle, self.treap.insert(range, value)));
    }

    fn remove(&mut self, random: &mut Random) {
        if !self.live.is_empty() {
            let (handle, place) = self.live.swap_remove(random.below(self.live.len()));
            assert_eq!(self.index.remove(handle), Some(self.treap.remove(place)));
            assert_eq!(self.index.remove(handle), None);
        }
    }

    fn find(&self, family: &Family, random: &mut Random) {
        let mut keys: Vec<_> = (0..1 + random.below(3))
            .map(|_| (family.key)(random))
            .collect();
        // Now and then more keys than are stored inline, and repeated ones.
        if random.below(20) == 0 {
            keys.extend((0..40).map(|_| (family.key)(random)));
            keys.push(keys[0].clone());
        }
        let mut found = Vec::new();
        if let [key] = &keys[..] {
            self.index.find(key, &mut found);
        } else {
            self.index.find_any(&keys, &mut found);
        }
        found.sort_unstable();
        assert_eq!(
            found,
            self.treap.find_any(&keys),
            "{}: {keys:?}",
            family.name
        );
    }
}

#[test]
fn g10_long_histories_find_what_the_reference_finds() {
    let n = std::env::var("RANGEWATCH_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    let n_operations = n.unwrap_or(N_OPERATIONS) / FAMILIES.len();
    for (i, family) in FAMILIES.iter().enumerate() {
        let mut random = Random(1 + i as u64);
        for first in (0..n_operations).step_by(MAX_OPERATIONS) {
            let n_operations = MAX_OPERATIONS.min(n_operations - first);
            run(family, &mut random, n_operations);
        }
    }
}

fn run(family: &Family, random: &mut Random, n_operations: usize) {
    let mut history = History {
        index: IntervalIndex::new(),
        treap: Treap::default(),
        live: Vec::new(),
        n_inserted: 0,
    };
    for i in 0..n_operations {
        // Mostly insertions, then as many removals, then mostly removals.
        let (n_insert, n_remove) = [(7, 1), (4, 4), (1, 7)][3 * i / n_operations];
        match random.below(10) {
            step if step < n_insert => history.insert(family, random),
            step if step < n_insert + n_remove => history.remove(random),
            _ => history.find(family, random),
        }
        assert_eq!(history.index.len(), history.live.len());
    }
    while !history.live.is_empty() {
        history.remove(random);
    }
    assert!(history.index.is_empty());
}
