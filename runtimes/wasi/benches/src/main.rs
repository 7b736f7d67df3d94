//! The cost of WASI on both engines, compared with other implementations.
//!
//! The README of this package documents how to run it, the rows and the results.

mod calls;
mod context;
mod files;
mod guests;
mod harness;
mod managed;
mod memory_fs;
#[cfg(target_os = "linux")]
mod native;
mod on_wasmi;
mod on_wasmtime;
mod report;
mod row;
mod startup;
mod tree;
mod world;

use std::process::ExitCode;

use harness::Effort;
use report::Report;

const USAGE: &str = "usage: rangewatch-wasi-benches [--smoke] [GROUP]...

Without a group all are run: calls, files, native (on Linux), memory-fs, startup.
--smoke runs each row once, to see that it works.";

type Group = fn(Effort, &Report);

/// The groups of rows by name.
const GROUPS: &[(&str, Group)] = &[
    ("calls", calls::run),
    ("files", files::run),
    #[cfg(target_os = "linux")]
    ("native", native::run),
    ("memory-fs", memory_fs::run),
    ("startup", startup::run),
];

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let report = Report;
    let n_args = args.len();
    args.retain(|arg| arg != "--smoke");
    let effort = if args.len() < n_args {
        Effort::Smoke
    } else {
        Effort::Full
    };
    if args
        .iter()
        .any(|arg| GROUPS.iter().all(|(name, _)| name != arg))
    {
        report.note(USAGE);
        return ExitCode::FAILURE;
    }
    report.heading();
    if effort == Effort::Smoke {
        report.note("each row once: the times mean nothing");
    }
    for (name, run) in GROUPS {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            report.group(name);
            run(effort, &report);
        }
    }
    ExitCode::SUCCESS
}
