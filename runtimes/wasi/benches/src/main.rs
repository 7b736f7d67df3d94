//! The cost of WASI on both engines, compared with other implementations.
//!
//! The README of this package documents how to run it, the rows and the results.

mod calls;
mod context;
mod files;
mod guests;
mod managed;
mod memory_fs;
#[cfg(target_os = "linux")]
mod native;
mod on_wasmi;
mod on_wasmtime;
mod row;
mod startup;
mod tree;
mod world;

use std::process::ExitCode;

use rangewatch_bench_harness::{Group, Report, run_groups};

const USAGE: &str = "usage: rangewatch-wasi-benches [--smoke] [GROUP]...

Without a group all run: calls, files, native (on Linux), memory-fs, startup.
--smoke runs each row once, to check that it works.";

/// The groups of rows by name.
const GROUPS: &[Group] = &[
    ("calls", calls::run),
    ("files", files::run),
    #[cfg(target_os = "linux")]
    ("native", native::run),
    ("memory-fs", memory_fs::run),
    ("startup", startup::run),
];

fn main() -> ExitCode {
    let report = Report::new("cargo run --profile bench");
    run_groups(&report, USAGE, GROUPS)
}
