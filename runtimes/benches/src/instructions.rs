//! Counts of instructions, which do not depend on the load of the machine.

use std::process::ExitCode;

use rangewatch_bench_harness::{Counts, Report, Use, count_instrumented, instrumented};
use rangewatch_benches::{FirstKey, LoopingGuest};

use crate::engine::{ENGINES, guest, unmetered};

/// The argument with which this program runs the loop that is counted.
pub(crate) const LOOP: &str = "loop";

/// The operations before those that are counted, in which scratch buffers grow.
const N_BEFORE: u64 = 100;

/// An operation that is counted.
struct Operation {
    name: &'static str,
    /// The number of operations.
    n: u64,
    n_watches: usize,
    /// The keys of the buffer.
    n_keys: usize,
    run: Run,
    /// What `run` does beside the operation; its instructions are subtracted.
    beside: Option<Run>,
}

type Run = fn(&LoopingGuest, n: u64, n_keys: usize);

const OPERATIONS: [Operation; 5] = [
    Operation {
        name: "call",
        n: 2_000,
        n_watches: 0,
        n_keys: 0,
        run: |guest, n, _| (0..n).for_each(|_| guest.empty()),
        beside: None,
    },
    Operation {
        name: "flush",
        n: 2_000,
        n_watches: 1,
        n_keys: 1,
        run: |guest, n, _| guest.flush(n),
        beside: None,
    },
    emits("emit/1", 2_000, 1),
    emits("emit/16", 500, 16),
    emits("emit/200", 100, 200),
];

const fn emits(name: &'static str, n: u64, n_keys: usize) -> Operation {
    Operation {
        name,
        n,
        n_watches: 10_000,
        n_keys,
        run: |guest, n, n_keys| guest.emit(n, FirstKey::Cold, n_keys),
        beside: Some(|guest, n, n_keys| guest.shuffle(n, FirstKey::Cold, n_keys)),
    }
}

/// Runs `ENGINE OPERATION`, or `ENGINE OPERATION beside`.
pub(crate) fn run_loop(args: &[String]) -> ExitCode {
    let parsed = || {
        let (engine, args) = args.split_first()?;
        let (name, args) = args.split_first()?;
        let engine = ENGINES.iter().position(|known| known == engine)?;
        let operation = OPERATIONS.iter().find(|known| known.name == name)?;
        let run = match args {
            [] => operation.run,
            _ => operation.beside?,
        };
        Some((engine, operation, run))
    };
    let Some((engine, operation, run)) = parsed() else {
        return ExitCode::FAILURE;
    };
    let (_bus, mut guest) = guest(&*unmetered()[engine]);
    guest.open_cold(operation.n_watches);
    guest.start_all();
    guest.write_keys(FirstKey::Cold, operation.n_keys);
    run(&guest, N_BEFORE, operation.n_keys);
    instrumented(|| run(&guest, operation.n, operation.n_keys));
    ExitCode::SUCCESS
}

pub(crate) fn run(report: &Report, counts_use: &Use) -> ExitCode {
    report.heading();
    report.group("instructions");
    report.note("Of one operation on an engine that counts no fuel: a call of an empty export, a flush of one key\nwith one watch, emits of 1, 16 and 200 random keys among 10,000 watches without the part of the\nguest that makes the keys. Nothing matches.\n");
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
            let args = [LOOP, engine, operation.name, "beside"];
            let all = count_instrumented(&args[..3])?;
            let beside = operation.beside.map(|_| count_instrumented(&args));
            let count = all.saturating_sub(beside.transpose()?.unwrap_or(0));
            let name = format!("guest/{engine}/{}", operation.name);
            counts.insert(name, count as f64 / operation.n as f64);
        }
    }
    Ok(counts)
}
