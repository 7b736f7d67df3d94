//! Calls on files of the host.

use rangewatch::Wasmtime;
use rangewatch_bench_harness::{Effort, Report, at_most, measure, nanos};

use crate::guests::{
    BUFFER, DEEP_FILE, FILE, RESULT, filestat, listing, looping, open_and_close, open_file,
    transfer,
};
use crate::managed;
use crate::on_wasmtime::{Compiled, Files};
use crate::row::{COLUMNS, MANY, NOTHING_ELSE, Row, at_least};
use crate::tree::{FILE_BYTES, Tree};
use crate::world::{Host, World};

pub(crate) fn run(effort: Effort, report: &Report) {
    let tree = Tree::new();
    report.table(&COLUMNS);
    for row in transfers(tree.world())
        .into_iter()
        .chain(paths(tree.world()))
    {
        row.run(effort, report);
    }
    listings(effort, report);
    against_the_default(effort, report, tree.world());
}

/// A read or write of `len` bytes at the position of the file, or at its start.
pub(crate) fn transfer_row(
    name: &'static str,
    function: &str,
    len: usize,
    world: World,
    goals: [Option<f64>; 2],
) -> Row {
    let (at, is_positioned) = match function {
        "fd_pread" | "fd_pwrite" => ("(i64.const 0)", true),
        _ => ("", false),
    };
    let fd = "(global.get $fd)";
    let call =
        format!("(call ${function} {fd} (i32.const 64) (i32.const 1) {at} (i32.const {RESULT}))");
    // The setup makes the first call.
    let n_calls = (FILE_BYTES / len) as u64 - 1;
    Row {
        name,
        wat: looping(
            &format!(
                "(local $errno i32) (local.set $errno {}) (i32.or (local.get $errno) {})",
                // A block whose result can be or-ed with the next one.
                block(&open_file()),
                block(&transfer(function, fd, len, at)),
            ),
            &call,
        ),
        world,
        max_calls: if is_positioned {
            MANY
        } else {
            n_calls.min(MANY)
        },
        alike: [RESULT..RESULT + 4, BUFFER..BUFFER + len],
        goals,
    }
}

fn block(instructions: &str) -> String {
    format!("(block (result i32) {instructions})")
}

fn transfers(world: World) -> Vec<Row> {
    let goals = [Some(1.7), Some(1.4)];
    [
        ("fd_read, 1 B", "fd_read", 1),
        ("fd_read, 4 KiB", "fd_read", 4 << 10),
        ("fd_write, 1 B", "fd_write", 1),
        ("fd_write, 4 KiB", "fd_write", 4 << 10),
        ("fd_pread, 1 B", "fd_pread", 1),
        ("fd_pread, 4 KiB", "fd_pread", 4 << 10),
        ("fd_pwrite, 4 KiB", "fd_pwrite", 4 << 10),
    ]
    .into_iter()
    .map(|(name, function, len)| transfer_row(name, function, len, world.clone(), goals))
    .collect()
}

pub(crate) fn open_row(world: World, goals: [Option<f64>; 2]) -> Row {
    Row {
        name: "path_open and fd_close",
        wat: looping("(i32.const 0)", &open_and_close()),
        world,
        max_calls: MANY,
        alike: [RESULT..RESULT + 4, NOTHING_ELSE],
        goals,
    }
}

fn paths(world: World) -> Vec<Row> {
    // The type, the hard link count, the size and the modification time.
    const ALIKE: [std::ops::Range<usize>; 2] = [272..296, 304..312];
    let filestat = |name, path, goals| Row {
        name,
        wat: looping("(i32.const 0)", &filestat(path)),
        world: world.clone(),
        max_calls: MANY,
        alike: ALIKE,
        goals,
    };
    vec![
        open_row(world.clone(), [Some(2.0), Some(1.6)]),
        filestat(
            "path_filestat_get, 1 component",
            FILE,
            [Some(4.0), Some(1.6)],
        ),
        filestat(
            "path_filestat_get, 5 components",
            DEEP_FILE,
            [Some(2.0), Some(1.0)],
        ),
    ]
}

pub(crate) fn listing_row(
    name: &'static str,
    buffer_bytes: usize,
    world: World,
    goals: [Option<f64>; 2],
) -> Row {
    Row {
        name,
        wat: listing(buffer_bytes),
        world,
        max_calls: MANY,
        // The number of entries, and the total length of their names.
        alike: [RESULT..RESULT + 8, NOTHING_ELSE],
        goals,
    }
}

fn listings(effort: Effort, report: &Report) {
    let tree = Tree::with_entries(1_000);
    let goals = [Some(3.5), Some(1.7)];
    listing_row(
        "fd_readdir, 1,000 entries, 64 KiB buffer",
        64 << 10,
        tree.world(),
        goals,
    )
    .run(effort, report);
    let goals = [Some(30.0), Some(8.0)];
    listing_row(
        "fd_readdir, 1,000 entries, 4 KiB buffer",
        4 << 10,
        tree.world(),
        goals,
    )
    .run(effort, report);
    // The buffer size of Rust's standard library, which continues at the last complete entry.
    let goals = [Some(30.0), Some(8.0)];
    listing_row(
        "fd_readdir, 1,000 entries, 128 B buffer",
        128,
        tree.world(),
        goals,
    )
    .run(effort, report);
    let n_entries = if effort == Effort::Smoke { 100 } else { 8_096 };
    let tree = Tree::with_entries(n_entries);
    let row = listing_row("as a Rust guest lists", 128, tree.world(), [None; 2]);
    // Measured once: a run of the peers takes long enough.
    let times = row.print(Effort::Smoke, report);
    report.note("");
    for (engine, time, goal) in [("wasmtime", times[0], 0.3e9), ("wasmi", times[1], 0.5e9)] {
        let said = at_most(time, goal, nanos);
        report.note(&format!("{n_entries} files on {engine}: {said}"));
    }
}

/// By default the peer accesses files on a thread pool.
fn against_the_default(effort: Effort, report: &Report, world: World) {
    report.note("");
    report.table(&[
        "",
        "ours on wasmtime",
        "in your linker",
        "wasmtime-wasi, by default",
        "times ours",
    ]);
    for (name, len) in [("fd_read, 1 B", 1), ("fd_read, 4 KiB", 4 << 10)] {
        let row = transfer_row(name, "fd_read", len, world.clone(), [None; 2]);
        let guest = Compiled::new(&row.wat);
        let managed = managed::Compiled::new(&Wasmtime::unmetered(), &row.wat);
        let hosts = [
            &managed as &dyn Host,
            &guest.ours(),
            &guest.peer(Files::OnAPool),
        ];
        row.compare(&hosts[1..]);
        let times = measure(effort, &mut hosts.map(|host| row.contender(host)));
        let mut cells = vec![name.to_owned()];
        cells.extend(times.iter().copied().map(nanos));
        cells.push(at_least(
            [times[2] / times[0], times[2] / times[1]],
            Some(25.0),
        ));
        report.cells(&cells);
    }
}
