//! Calls that use no file.

use std::ops::Range;

use rangewatch_bench_harness::{Effort, Report};

use crate::guests::{BUFFER, RESULT, looping, poll, transfer};
use crate::row::{COLUMNS, MANY, NOTHING_ELSE, Row};
use crate::tree::Tree;
use crate::world::{FileLocation, MAX_INPUT, Stdin, World};

const NOTHING: &str = "(i32.const 0)";

pub(crate) fn run(effort: Effort, report: &Report) {
    report.table(&COLUMNS);
    let tree = Tree::new();
    for row in memory_only(&tree) {
        row.run(effort, report);
    }
    for row in streams() {
        row.run(effort, report);
    }
    #[cfg(unix)]
    inherited().run(effort, report);
}

fn row(name: &'static str, call: &str, alike: Range<usize>, goals: [f64; 2]) -> Row {
    Row {
        name,
        wat: looping(NOTHING, call),
        world: World::default(),
        max_calls: MANY,
        alike: [alike, NOTHING_ELSE],
        goals: goals.map(Some),
    }
}

fn memory_only(tree: &Tree) -> Vec<Row> {
    let file = |name, call: &str| Row {
        wat: looping(&crate::guests::open_file(), call),
        world: tree.world(),
        ..row(name, call, RESULT..RESULT + 8, [8.0, 1.8])
    };
    vec![
        row(
            "args_sizes_get",
            "(call $args_sizes_get (i32.const 0) (i32.const 4))",
            0..8,
            [8.0, 1.8],
        ),
        Row {
            goals: [None, Some(150.0)],
            ..row(
                "args_get",
                "(call $args_get (i32.const 0) (i32.const 256))",
                0..512,
                [8.0, 150.0],
            )
        },
        Row {
            // Flags and rights of open descriptors differ between implementations.
            alike: [256..257, NOTHING_ELSE],
            ..file(
                "fd_fdstat_get of a file",
                "(call $fd_fdstat_get (global.get $fd) (i32.const 256))",
            )
        },
        file(
            "fd_seek of a file",
            "(call $fd_seek (global.get $fd) (i64.const 9) (i32.const 0) (i32.const 0))",
        ),
        row(
            "poll_oneoff, a time that has come",
            &poll(),
            RESULT..4,
            [8.0, 1.8],
        ),
        row(
            "clock_time_get, monotonic",
            "(call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 256))",
            0..8,
            [2.0, 1.7],
        ),
        row(
            "clock_time_get, realtime",
            "(call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 256))",
            0..8,
            [2.0, 1.7],
        ),
        row(
            "random_get, 1 KiB",
            &format!("(call $random_get (i32.const {BUFFER}) (i32.const 1024))"),
            0..8,
            [5.0, 1.0],
        ),
    ]
}

const STDIN: &str = "(i32.const 0)";
const STDOUT: &str = "(i32.const 1)";

/// A transfer of `len` bytes, with input from memory.
fn stream(name: &'static str, function: &str, fd: &str, len: usize, goals: [f64; 2]) -> Row {
    let call = format!("(call ${function} {fd} (i32.const 64) (i32.const 1) (i32.const {RESULT}))");
    let n_calls = (MAX_INPUT / len) as u64;
    Row {
        wat: looping(&transfer(function, fd, len, ""), &call),
        world: World {
            stdin: Stdin::Prepared(MAX_INPUT),
            dir: FileLocation::Nowhere,
        },
        // The setup makes the first call and thereby prepares the buffer.
        max_calls: (n_calls - 1).min(MANY),
        ..row(name, &call, RESULT..RESULT + 4, goals)
    }
}

/// Captured output and input from memory.
fn streams() -> Vec<Row> {
    vec![
        stream(
            "fd_write, 1 B, captured",
            "fd_write",
            STDOUT,
            1,
            [15.0, 2.5],
        ),
        stream(
            "fd_write, 4 KiB, captured",
            "fd_write",
            STDOUT,
            4 << 10,
            [1.0, 1.0],
        ),
        stream(
            "fd_write, 64 KiB, captured",
            "fd_write",
            STDOUT,
            64 << 10,
            [1.0, 1.0],
        ),
        stream("fd_read, 1 B, prepared", "fd_read", STDIN, 1, [1.5, 1.0]),
        stream(
            "fd_read, 4 KiB, prepared",
            "fd_read",
            STDIN,
            4 << 10,
            [1.5, 1.0],
        ),
        stream(
            "fd_read, 64 KiB, prepared",
            "fd_read",
            STDIN,
            64 << 10,
            [1.0, 1.0],
        ),
    ]
}

/// Small reads of the standard input of the process, which is a pipe with bytes in it.
#[cfg(unix)]
fn inherited() -> Row {
    use std::io::Write;

    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::stdio::dup2_stdin(reader).unwrap();
    // The thread waits for room in the pipe most of the time, and ends with the process.
    std::thread::spawn(move || while writer.write_all(&[b'i'; 4 << 10]).is_ok() {});
    Row {
        world: World {
            stdin: Stdin::Inherited,
            dir: FileLocation::Nowhere,
        },
        ..stream("fd_read, 1 B, inherited", "fd_read", STDIN, 1, [0.5, 0.5])
    }
}
