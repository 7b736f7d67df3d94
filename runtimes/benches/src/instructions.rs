//! Counts of instructions, which do not depend on the load of the machine.

use std::process::ExitCode;

use rangewatch_bench_harness::{Counts, Report, Use, count_instrumented, instrumented};
use rangewatch_benches::{FirstKey, LoopingGuest};

use crate::engine::{ENGINES, guest, unmetered};

/// The argument with which this program runs the loop that is counted.
pub(crate) const LOOP: &str = "loop";

/// The operations before those that are counted, in which scratch buffers grow.
const N_BEFORE: u64 = 100;
/// The operations that are counted. The loop of a guest is one call, whose share is less than two
/// instructions.
const N: u64 = 2_000;

/// An operation that is counted.
struct Operation {
    name: &'static str,
    n_watches: usize,
    /// The keys of the buffer.
    n_keys: usize,
    run: fn(&LoopingGuest, n: u64, n_keys: usize),
}

const OPERATIONS: [Operation; 7] = [
    Operation {
        name: "call",
        n_watches: 0,
        n_keys: 0,
        run: |guest, n, _| (0..n).for_each(|_| guest.empty()),
    },
    Operation {
        name: "flush",
        n_watches: 1,
        n_keys: 1,
        run: |guest, n, _| guest.flush(n),
    },
    Operation {
        name: "emit/1",
        n_watches: 10_000,
        n_keys: 1,
        run: emit,
    },
    Operation {
        name: "emit/16",
        n_watches: 10_000,
        n_keys: 16,
        run: emit,
    },
    Operation {
        name: "emit/200",
        n_watches: 10_000,
        n_keys: 200,
        run: emit,
    },
    Operation {
        name: "guest/1",
        n_watches: 0,
        n_keys: 1,
        run: shuffle,
    },
    Operation {
        name: "guest/16",
        n_watches: 0,
        n_keys: 16,
        run: shuffle,
    },
];

fn emit(guest: &LoopingGuest, n: u64, n_keys: usize) {
    guest.emit(n, FirstKey::Cold, n_keys);
}

fn shuffle(guest: &LoopingGuest, n: u64, n_keys: usize) {
    guest.shuffle(n, FirstKey::Cold, n_keys);
}

/// Runs `ENGINE OPERATION`.
pub(crate) fn run_loop(args: &[String]) -> ExitCode {
    let parsed = || {
        let [engine, name] = args else {
            return None;
        };
        let engine = ENGINES.iter().position(|known| known == engine)?;
        let operation = OPERATIONS.iter().find(|known| known.name == name)?;
        Some((engine, operation))
    };
    let Some((engine, operation)) = parsed() else {
        return ExitCode::FAILURE;
    };
    let (_bus, mut guest) = guest(&*unmetered()[engine]);
    guest.open_cold(operation.n_watches);
    guest.start_all();
    guest.write_keys(FirstKey::Cold, operation.n_keys);
    let run = |n| (operation.run)(&guest, n, operation.n_keys);
    run(N_BEFORE);
    instrumented(|| run(N));
    ExitCode::SUCCESS
}

pub(crate) fn run(report: &Report, counts_use: &Use) -> ExitCode {
    report.heading();
    report.group("instructions");
    report.note("Of one operation on an engine that counts no fuel: a call of an empty export, a flush of one key\nwith one watch, emits of 1, 16 and 200 random keys among 10,000 watches. Nothing matches. `guest`\nis the part of the guest in `emit`.\n");
    match counts() {
        Ok(counts) => counts_use.apply(report, &counts),
        Err(error) => {
            report.note(&error);
            ExitCode::FAILURE
        }
    }
}

fn counts() -> Result<Counts, String> {
    let mut counts = Counts::new();
    for engine in ENGINES {
        for operation in &OPERATIONS {
            let count = count_instrumented(&[LOOP, engine, operation.name])?;
            let name = format!("guest/{engine}/{}", operation.name);
            counts.insert(name, count as f64 / N as f64);
        }
    }
    Ok(counts)
}
