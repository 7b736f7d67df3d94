//! Benchmarks of the bus beside crates that deliver by key or by range.
//!
//! The README of this package says how to run them, and which crates are not compared.

mod peers;

use std::cell::RefCell;
use std::process::ExitCode;
use std::sync::Arc;

use rangewatch_bench_harness::{
    Contender, CountingAllocator, Effort, Group, Random, Report, allocated, measure, nanos,
    run_groups,
};

use peers::{NAMES, Peer, Watched, peer};

/// For the group `memory`. All contenders use it.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const USAGE: &str = "usage: keyed [--smoke] [GROUP]...

Without a group all run: keys, prefixes, ranges, memory. --smoke runs each row once, with few watchers, to
check that it works.";

const GROUPS: &[Group] = &[
    ("keys", keys),
    ("prefixes", prefixes),
    ("ranges", ranges),
    ("memory", memory),
];

const SIZES: [usize; 4] = [100, 1000, 10_000, 65_536];
/// Greater numbers of watchers are left out where each row runs once.
const MAX_SMOKE_SIZE: usize = 1000;
/// The watchers whose memory is counted.
const N_COUNTED: usize = 65_536;
/// The emits whose keys are made in advance.
const N_EMITS: usize = 1 << 16;
/// The size of a payload.
const N_BYTES: usize = 1024;

fn main() -> ExitCode {
    let report =
        Report::new("cargo run --profile bench --package rangewatch-bus-benches --bin keyed");
    run_groups(&report, USAGE, GROUPS)
}

fn keys(effort: Effort, report: &Report) {
    report.note("Each watcher watches one key.\n");
    rows(effort, report, Watched::Keys);
}

fn prefixes(effort: Effort, report: &Report) {
    report.note("Each watcher watches one prefix, and each emit is of a longer key.\n");
    rows(effort, report, Watched::Prefixes);
}

fn ranges(effort: Effort, report: &Report) {
    report
        .note("Each watcher watches one narrow range, which is no prefix. They do not overlap.\n");
    rows(effort, report, Watched::Ranges);
}

fn rows(effort: Effort, report: &Report, watched: Watched) {
    let columns: Vec<_> = [""].into_iter().chain(NAMES).collect();
    report.table(&columns);
    let is_measured = |n: &usize| effort == Effort::Full || *n <= MAX_SMOKE_SIZE;
    for n in SIZES.into_iter().filter(is_measured) {
        let peers = NAMES.map(|name| filled(name, watched, n).map(RefCell::new));
        let emits = &emits(watched, n);
        let payload: &Arc<[u8]> = &Arc::from([42; N_BYTES]);
        let mut values = [0; NAMES.len()];
        let mut deliveries = Vec::new();
        for (peer, value) in peers.iter().zip(&mut values) {
            deliveries.extend(peer.as_ref().map(|peer| {
                Contender::new(move || {
                    let (i, key) = &emits[*value as usize % emits.len()];
                    *value += 1;
                    let mut peer = peer.borrow_mut();
                    peer.emit(*value, key, payload);
                    let (received, received_key, received_payload) = peer.receive(*i).unwrap();
                    assert_eq!((received, received_key), (*value, Arc::clone(key)));
                    assert!(Arc::ptr_eq(&received_payload, payload));
                })
            }));
        }
        let name = format!("{n} watchers: an emit and its receipt");
        row(effort, report, &name, &peers, &mut deliveries);
        let mut replaces: Vec<_> = peers
            .iter()
            .flatten()
            .map(|peer| {
                let mut random = Random::new(n as u64);
                Contender::new(move || peer.borrow_mut().watch(random.below(n as u64) as usize))
            })
            .collect();
        let name = format!("{n} watchers: one ends and another one begins");
        row(effort, report, &name, &peers, &mut replaces);
        for peer in peers.iter().flatten() {
            check(&mut **peer.borrow_mut(), watched, n, payload);
        }
    }
}

/// Prints a row with a dash for each peer that is not compared.
fn row(
    effort: Effort,
    report: &Report,
    name: &str,
    peers: &[Option<RefCell<Box<dyn Peer>>>],
    contenders: &mut [Contender<'_>],
) {
    let times = measure(effort, contenders);
    let mut cells = vec![name.to_owned()];
    let mut rest = times.iter();
    for peer in peers {
        let time = peer.as_ref().and_then(|_| rest.next());
        cells.push(time.map_or_else(
            || "-".to_owned(),
            |time| format!("{} ({:.2}x)", nanos(*time), time / times[0]),
        ));
    }
    report.cells(&cells);
}

/// A peer with watchers in a random order; none if it cannot watch such keys.
fn filled(name: &str, watched: Watched, n: usize) -> Option<Box<dyn Peer>> {
    let mut peer = peer(name, watched, n)?;
    let mut numbers: Vec<_> = (0..n).collect();
    Random::new(n as u64).shuffle(&mut numbers);
    numbers.into_iter().for_each(|i| peer.watch(i));
    Some(peer)
}

/// Keys of random watchers.
fn emits(watched: Watched, n: usize) -> Vec<(usize, Arc<[u8]>)> {
    let mut random = Random::new(n as u64);
    let mut emit = || {
        let i = random.below(n as u64) as usize;
        (i, watched.emitted(i))
    };
    (0..N_EMITS).map(|_| emit()).collect()
}

/// After watchers were replaced, each receives what it watches, and nothing else.
fn check(peer: &mut dyn Peer, watched: Watched, n: usize, payload: &Arc<[u8]>) {
    for i in 0..=n {
        peer.emit(i as u64, &watched.emitted(i), payload);
    }
    for i in 0..n {
        let received = peer.receive(i);
        let received = received.map(|(value, key, _)| (value, key));
        assert_eq!(received, Some((i as u64, watched.emitted(i))));
        assert!(peer.receive(i).is_none());
    }
}

fn memory(effort: Effort, report: &Report) {
    let n = match effort {
        Effort::Full => N_COUNTED,
        _ => MAX_SMOKE_SIZE,
    };
    report.note(&format!(
        "Bytes per watcher, of {n}, with the handles of the consumers and all tables. Nothing is queued.\n"
    ));
    let columns: Vec<_> = [""].into_iter().chain(NAMES).collect();
    report.table(&columns);
    for watched in [Watched::Keys, Watched::Prefixes, Watched::Ranges] {
        let cells = NAMES.map(|name| {
            let (peer, n_bytes) = allocated(|| filled(name, watched, n));
            peer.map_or_else(
                || "-".to_owned(),
                |_| format!("{}", n_bytes / n.cast_signed()),
            )
        });
        let cells: Vec<_> = [watched.name().to_owned()]
            .into_iter()
            .chain(cells)
            .collect();
        report.cells(&cells);
    }
}
