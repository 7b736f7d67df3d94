//! Emits of a guest among its own watches.

use rangewatch_bench_harness::{Clock, Contender, Effort, Report};
use rangewatch_benches::{FirstKey, LoopingGuest};
use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::Runtime;

use crate::engine::{ENGINES, guest, metered, unmetered};

const N_KEYS: [usize; 4] = [1, 3, 16, 200];

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note("A guest emits random keys among its own watches, on engines that count no fuel. As many watches as\nthe row says match, all by the first key; no callback runs. The guest's part, a loop that replaces\nthe letters of the keys, is counted and stands in the last columns.\n");
    let mut columns = vec!["emit"];
    columns.extend(ENGINES);
    columns.extend(["wasmtime, guest's part", "wasmi, guest's part"]);
    report.table(&columns);
    let engines = unmetered();
    for (n_watches, n_matches) in [
        (1, 0),
        (1, 1),
        (100, 0),
        (100, 1),
        (100, 100),
        (10_000, 0),
        (10_000, 1),
        (10_000, 100),
        (10_000, 10_000),
    ] {
        for n_keys in N_KEYS {
            row(effort, report, &engines, n_watches, n_matches, n_keys);
        }
    }
}

pub(crate) fn run_metered(effort: Effort, report: &Report) {
    report.note("As `emits`, on engines that count fuel, as they do by default.\n");
    let mut columns = vec!["emit"];
    columns.extend(ENGINES);
    columns.extend(["wasmtime, guest's part", "wasmi, guest's part"]);
    report.table(&columns);
    let engines = metered();
    for (n_watches, n_keys) in [(1, 1), (10_000, 1), (10_000, 16), (10_000, 200)] {
        row(effort, report, &engines, n_watches, 0, n_keys);
    }
}

fn row(
    effort: Effort,
    report: &Report,
    engines: &[Box<dyn Runtime>; 2],
    n_watches: usize,
    n_matches: usize,
    n_keys: usize,
) {
    let first = match n_matches {
        0 => FirstKey::Cold,
        _ => FirstKey::Hot,
    };
    let guests = engines.each_ref().map(|engine| {
        let (bus, mut guest) = guest(&**engine);
        guest.open_cold(n_watches - n_matches);
        guest.open_hot(n_matches);
        guest.start_all();
        guest.write_keys(first, n_keys);
        check(&bus, &guest, first, n_keys, n_matches);
        guest
    });
    let emits = guests.iter().map(|guest| {
        Contender::timed(move |n| Clock::Thread.time(|| guest.emit(n, first, n_keys)))
    });
    let parts = guests.iter().map(|guest| {
        Contender::timed(move |n| Clock::Thread.time(|| guest.shuffle(n, first, n_keys)))
    });
    let name = format!("{n_keys} keys, {n_watches} watches, {n_matches} match");
    report.row(effort, &name, &mut emits.chain(parts).collect::<Vec<_>>());
}

/// Checks that an emit matches what the row says.
fn check(
    bus: &RangeWatchBus,
    guest: &LoopingGuest,
    first: FirstKey,
    n_keys: usize,
    n_matches: usize,
) {
    const N_EMITS: u64 = 100;
    let before = bus.stats();
    guest.emit(N_EMITS, first, n_keys);
    let after = bus.stats();
    assert_eq!(after.n_emits() - before.n_emits(), N_EMITS);
    let n_matched = after.deliveries().matched() - before.deliveries().matched();
    assert_eq!(n_matched, N_EMITS * n_matches as u64);
}
