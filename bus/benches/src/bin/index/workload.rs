//! The ranges and the queries that are measured.

use rangewatch_bench_harness::Random;
use rangewatch_bus::KeyRange;

/// The number of different queries: more than the branch predictor learns.
const N_QUERIES: usize = 8192;
/// The keys of the workloads with random widths are below this.
const SPACE: u64 = 1 << 60;

/// A kind of ranges, with keys to look up.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Makes the ranges and the queries: `n` is the number of ranges in the index, and `n_ranges`
    /// ranges are made, those that replace others included.
    generate: fn(&mut Random, n: usize, n_ranges: usize) -> Generated,
}

/// Ranges and queries.
type Generated = (Vec<KeyRange>, Vec<Vec<u8>>);

/// What a workload consists of for one size of the index.
pub(crate) struct Data {
    /// The number of ranges in the index.
    pub(crate) n: usize,
    /// In random order. The first `n` are inserted at first; the others replace them by and by. An
    /// id is a position in here.
    pub(crate) ranges: Vec<KeyRange>,
    pub(crate) queries: Vec<Vec<u8>>,
}

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "narrow",
        generate: narrow,
    },
    Workload {
        name: "dense",
        generate: dense,
    },
    Workload {
        name: "k8s",
        generate: k8s,
    },
    Workload {
        name: "hot100",
        generate: |random, n, n_ranges| hot(random, n, n_ranges, 100),
    },
    Workload {
        name: "hot1000",
        generate: |random, n, n_ranges| hot(random, n, n_ranges, 1000),
    },
    Workload {
        name: "wide",
        generate: wide,
    },
    Workload {
        name: "same-end",
        generate: same_end,
    },
    Workload {
        name: "nested",
        generate: nested,
    },
    Workload {
        name: "lengths",
        generate: lengths,
    },
    Workload {
        name: "scattered",
        generate: scattered,
    },
    Workload {
        name: "equal",
        generate: equal,
    },
];

impl Workload {
    /// The ranges and queries for an index of `n` ranges: the same in every run.
    pub(crate) fn data(self, n: usize) -> Data {
        let mut random = Random::new(n as u64);
        let (mut ranges, mut queries) = (self.generate)(&mut random, n, n + n / 4);
        random.shuffle(&mut ranges);
        random.shuffle(&mut queries);
        // The bytes of a range are allocated in the order of the ids. The order of the generator
        // would be that of the keys in some workloads, which favors the processor's cache.
        let ranges = ranges.iter().map(copy).collect();
        Data { n, ranges, queries }
    }
}

/// A range with bytes of its own.
pub(crate) fn copy(range: &KeyRange) -> KeyRange {
    match range.end() {
        Some(end) => KeyRange::new(range.start(), end).expect("it was a range"),
        None => KeyRange::unbounded(range.start()),
    }
}

/// 16 hexadecimal digits.
fn digits(number: u64) -> Vec<u8> {
    format!("{number:016x}").into_bytes()
}

fn range(from: &[u8], to: &[u8]) -> KeyRange {
    KeyRange::new(from, to).expect("the generators order the bounds")
}

/// Keys below `space`.
fn queries(random: &mut Random, space: u64) -> Vec<Vec<u8>> {
    (0..N_QUERIES)
        .map(|_| digits(random.below(space)))
        .collect()
}

/// The width of narrow ranges.
const NARROW: u64 = 10_000;

/// Ranges of width 10,000 that hardly ever overlap, as in the benchmark "overlap small" of
/// byteinterval, and keys in one of them. Both bounds of a range begin with the same twelve digits,
/// mostly.
fn narrow(random: &mut Random, _: usize, n_ranges: usize) -> Generated {
    let starts: Vec<u64> = (0..n_ranges).map(|_| random.next_u64() >> 1).collect();
    let ranges = starts
        .iter()
        .map(|start| range(&digits(*start), &digits(start + NARROW)));
    let ranges = ranges.collect();
    let queries = (0..N_QUERIES).map(|_| {
        let start = starts[random.below(starts.len() as u64) as usize];
        digits(start + random.below(NARROW))
    });
    (ranges, queries.collect())
}

/// Ranges of width 10,000, in a space of as many keys as all of them together.
fn dense(random: &mut Random, n: usize, n_ranges: usize) -> Generated {
    let space = n as u64 * NARROW;
    let ranges = (0..n_ranges).map(|_| {
        let start = random.below(space);
        range(&digits(start), &digits(start + NARROW))
    });
    (ranges.collect(), queries(random, space))
}

/// Pods of Kubernetes: 80 % of the watchers watch one pod, nearly all others a namespace of 120
/// pods, and 16 everything.
fn k8s(random: &mut Random, n: usize, n_ranges: usize) -> Generated {
    const N_WIDE: usize = 16;
    let n_namespaces = (n as u64).div_ceil(150);
    let pod = |random: &mut Random| {
        let (namespace, pod) = (random.below(n_namespaces), random.below(120));
        format!("/registry/pods/ns-{namespace:03}/pod-{pod:04}")
    };
    let n_wide = N_WIDE * n_ranges / n;
    let n_prefixes = (n_ranges - n_wide) * 18 / 98;
    let ranges = (0..n_ranges).map(|i| {
        if i < n_wide / 2 {
            KeyRange::prefix("/registry/pods/")
        } else if i < n_wide {
            let from = format!("/registry/p{}", (b'a' + (i % 14) as u8) as char);
            range(from.as_bytes(), b"/registry/q")
        } else if i < n_wide + n_prefixes {
            let namespace = random.below(n_namespaces);
            KeyRange::prefix(format!("/registry/pods/ns-{namespace:03}/"))
        } else {
            KeyRange::key(pod(random))
        }
    });
    let ranges = ranges.collect();
    let queries = (0..N_QUERIES).map(|_| pod(random).into_bytes());
    (ranges, queries.collect())
}

/// Random widths from nothing to twice the mean, which is such that `n_hits` ranges hold a key.
fn hot(random: &mut Random, n: usize, n_ranges: usize, n_hits: u64) -> Generated {
    let mean = (SPACE / n as u64 * n_hits).min(SPACE / 2);
    let ranges = (0..n_ranges).map(|_| {
        let start = random.below(SPACE);
        let width = 1 + random.below(2 * mean);
        range(&digits(start), &digits(start + width))
    });
    (ranges.collect(), queries(random, SPACE))
}

/// Random widths up to the end of the space.
fn wide(random: &mut Random, _: usize, n_ranges: usize) -> Generated {
    let ranges = (0..n_ranges).map(|_| {
        let start = random.below(SPACE);
        let width = 1 + random.below(SPACE - start);
        range(&digits(start), &digits(start + width))
    });
    (ranges.collect(), queries(random, SPACE))
}

/// All ranges end at the key that is looked up.
fn same_end(random: &mut Random, _: usize, n_ranges: usize) -> Generated {
    let end = digits(SPACE);
    let ranges = (0..n_ranges).map(|_| range(&digits(random.below(SPACE)), &end));
    (ranges.collect(), vec![end.clone(); N_QUERIES])
}

/// Each range lies inside of the next one.
fn nested(random: &mut Random, _: usize, n_ranges: usize) -> Generated {
    let step = SPACE / 2 / n_ranges as u64;
    let ranges = (1..=n_ranges as u64).map(|i| {
        let half = i * step;
        range(&digits(SPACE / 2 - half), &digits(SPACE / 2 + half))
    });
    (ranges.collect(), queries(random, SPACE))
}

/// Random keys of 64 bytes, and each prefix of each of them.
fn lengths(random: &mut Random, _: usize, n_ranges: usize) -> Generated {
    const LONGEST: usize = 64;
    let keys: Vec<Vec<u8>> = (0..n_ranges.div_ceil(LONGEST))
        .map(|_| (0..LONGEST).map(|_| random.next_u64() as u8).collect())
        .collect();
    let ranges = (0..n_ranges).map(|i| KeyRange::prefix(&keys[i / LONGEST][..=i % LONGEST]));
    let queries = (0..N_QUERIES).map(|_| {
        let mut query = keys[random.below(keys.len() as u64) as usize].clone();
        query.extend_from_slice(b"/value");
        query
    });
    (ranges.collect(), queries.collect())
}

/// In the order of their starts, each hundredth range has no end or a far one, and the others are
/// tiny: the ranges that hold a key lie far from each other.
fn scattered(random: &mut Random, _: usize, n_ranges: usize) -> Generated {
    let step = SPACE / n_ranges as u64;
    let ranges = (0..n_ranges as u64).map(|i| {
        let start = i * step;
        match i % 200 {
            0 => KeyRange::unbounded(digits(start)),
            100 => range(&digits(start), &digits(SPACE + start)),
            _ => range(&digits(start), &digits(start + step / 2)),
        }
    });
    (ranges.collect(), queries(random, SPACE))
}

/// All ranges are the same.
fn equal(random: &mut Random, _: usize, n_ranges: usize) -> Generated {
    let (from, to) = (digits(SPACE / 4), digits(SPACE / 4 * 3));
    let ranges = vec![range(&from, &to); n_ranges];
    let inside = |_| digits(SPACE / 4 + random.below(SPACE / 2));
    (ranges, (0..N_QUERIES).map(inside).collect())
}
