//! Counts of instructions, which do not depend on the load of the machine.

use std::process::{Command, ExitCode};

use rangewatch_bench_harness::Report;
use rangewatch_benches::{FirstKey, LoopingGuest};
use rangewatch_bus::RangeWatchBus;

use crate::engine::{ENGINES, guest, unmetered};

/// The argument with which this program runs the loop that is counted.
pub(crate) const LOOP: &str = "loop";

/// Two lengths of the loop. The difference of their counts leaves out the first call and the end of
/// the program. (What an engine compiles has no names by which to count it.)
const LENGTHS: [u64; 2] = [500, 2500];

/// One operation that is counted.
struct Operation {
    name: &'static str,
    n_watches: usize,
    /// The keys of the buffer.
    n_keys: usize,
    run: fn(&LoopingGuest, u64),
}

const OPERATIONS: [Operation; 6] = [
    Operation {
        name: "call-empty",
        n_watches: 0,
        n_keys: 0,
        run: |guest, n| (0..n).for_each(|_| guest.empty()),
    },
    Operation {
        name: "flush-1-key-1-watch",
        n_watches: 1,
        n_keys: 1,
        run: LoopingGuest::flush,
    },
    Operation {
        name: "emit-1-key-10000-watches",
        n_watches: 10_000,
        n_keys: 1,
        run: |guest, n| guest.emit(n, FirstKey::Cold, 1),
    },
    Operation {
        name: "emit-16-keys-10000-watches",
        n_watches: 10_000,
        n_keys: 16,
        run: |guest, n| guest.emit(n, FirstKey::Cold, 16),
    },
    Operation {
        name: "shuffle-1-key",
        n_watches: 0,
        n_keys: 1,
        run: |guest, n| guest.shuffle(n, FirstKey::Cold, 1),
    },
    Operation {
        name: "shuffle-16-keys",
        n_watches: 0,
        n_keys: 16,
        run: |guest, n| guest.shuffle(n, FirstKey::Cold, 16),
    },
];

/// Runs `ENGINE OPERATION N`.
pub(crate) fn run_loop(args: &[String]) -> ExitCode {
    let parsed = || {
        let [engine, name, n] = args else {
            return None;
        };
        let engine = ENGINES.iter().position(|known| known == engine)?;
        let operation = OPERATIONS.iter().find(|known| known.name == name)?;
        Some((engine, operation, n.parse::<u64>().ok()?))
    };
    let Some((engine, operation, n)) = parsed() else {
        return ExitCode::FAILURE;
    };
    let (_bus, mut guest): (RangeWatchBus, _) = guest(&*unmetered()[engine]);
    guest.open_cold(operation.n_watches);
    guest.start_all();
    guest.write_keys(FirstKey::Cold, operation.n_keys);
    counted(|| (operation.run)(&guest, n));
    // Ends the program here: to stop the watches is not counted.
    std::process::exit(0)
}

/// The counters begin at 0 when this is entered.
#[inline(never)]
fn counted(run: impl FnOnce()) {
    run();
}

/// Prints `NAME = COUNT` for each operation on each engine: the instructions of one.
pub(crate) fn run(report: &Report) -> ExitCode {
    for engine in ENGINES {
        for operation in &OPERATIONS {
            let Some(count) = per_operation(engine, operation) else {
                report.note(
                    "nothing was counted: install valgrind, and build with symbols (profile `bench`)",
                );
                return ExitCode::FAILURE;
            };
            report.note(&format!("{engine}-{} = {count:.0}", operation.name));
        }
    }
    ExitCode::SUCCESS
}

fn per_operation(engine: &str, operation: &Operation) -> Option<f64> {
    let [short, long] = LENGTHS;
    let counted = count(engine, operation, long)?.checked_sub(count(engine, operation, short)?)?;
    (counted > 0).then(|| counted as f64 / (long - short) as f64)
}

fn count(engine: &str, operation: &Operation, n: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--zero-before=*counted*")
        .arg(std::env::current_exe().ok()?)
        .args([LOOP, engine, operation.name, &n.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split("Collected :").nth(1))?;
    collected.trim().parse().ok()
}
