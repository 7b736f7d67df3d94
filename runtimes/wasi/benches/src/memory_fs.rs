//! Files in a memory filesystem, which no peer has.

use rangewatch::{MemoryFs, Wasmi, Wasmtime};
use rangewatch_bench_harness::{Clock, Contender, Effort, Report, at_most, measure, nanos};

use crate::files::{listing_row, open_row, transfer_row};
use crate::guests::creating;
use crate::managed::Compiled;
use crate::row::Row;
use crate::tree::in_memory;
use crate::world::{FileLocation, Stdin, World};

/// The number of files that a guest creates.
const N_CREATED: u32 = 100_000;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.table(&["", "on wasmtime", "on wasmi"]);
    let world = in_world(in_memory(0));
    let transfer = |name, function| transfer_row(name, function, 4 << 10, world.clone(), [None; 2]);
    let times = |time, goal| at_most(time, goal, nanos);
    for (row, goal) in [
        (transfer("fd_pread, 4 KiB", "fd_pread"), 150.0),
        (transfer("fd_pwrite, 4 KiB", "fd_pwrite"), 150.0),
        (open_row(world.clone(), [None; 2]), 300.0),
    ] {
        let [wasmtime, wasmi] = ours(effort, &row);
        report.cells(&[row.name.to_owned(), times(wasmtime, goal), nanos(wasmi)]);
    }
    create(effort, report);
    for (name, n_entries) in [
        ("listing 1,000 entries, each", 1_000),
        ("listing 100,000 entries, each", 100_000),
    ] {
        let row = listing_row(name, 4 << 10, in_world(in_memory(n_entries)), [None; 2]);
        let each = ours(effort, &row).map(|time| nanos(time / n_entries as f64));
        report.cells(&[name.to_owned(), each[0].clone(), each[1].clone()]);
    }
}

fn in_world(fs: MemoryFs) -> World {
    World {
        stdin: Stdin::default(),
        dir: FileLocation::Memory(fs),
    }
}

fn ours(effort: Effort, row: &Row) -> [f64; 2] {
    let wasmtime = Compiled::new(&Wasmtime::unmetered(), &row.wat);
    let wasmi = Compiled::new(&Wasmi::unmetered(), &row.wat);
    let times = measure(
        effort,
        &mut [row.contender(&wasmtime), row.contender(&wasmi)],
    );
    [times[0], times[1]]
}

/// Each run uses a new filesystem.
fn create(effort: Effort, report: &Report) {
    let n_created = if effort == Effort::Smoke {
        10
    } else {
        N_CREATED
    };
    let wat = creating();
    let wasmtime = Compiled::new(&Wasmtime::unmetered(), &wat);
    let wasmi = Compiled::new(&Wasmi::unmetered(), &wat);
    let hosts = [&wasmtime as &dyn crate::world::Host, &wasmi];
    let mut contenders = hosts.map(|host| {
        Contender::timed(move |n| {
            let created = (0..n).map(|_| {
                let fs = MemoryFs::new();
                let mut guest = host.instantiate(&in_world(fs.clone()));
                let time = Clock::Process.time(|| assert_eq!(guest.run(n_created), 0));
                assert_eq!(fs.n_entries(), u64::from(n_created));
                time
            });
            created.sum()
        })
    });
    let times = measure(effort, &mut contenders);
    report.cells(&[
        format!("{n_created} files created"),
        at_most(times[0], 0.5e9, nanos),
        nanos(times[1]),
    ]);
}
