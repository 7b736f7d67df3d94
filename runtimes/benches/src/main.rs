//! Benchmarks of guests on both engines.
//!
//! The README of this package says how to run them, explains the rows and lists results.
#![forbid(unsafe_code)]

mod calls;
mod emits;
mod engine;
mod instructions;
mod polls;
mod starts;
mod watches;

use std::process::ExitCode;

use rangewatch_bench_harness::{Group, Report, Use, run_groups};

const USAGE: &str = "usage: rangewatch-benches [--smoke] [GROUP]...
       rangewatch-benches instructions [--check FILE | --update FILE]

Without a group all run: emits, metered, calls, polls, watches, starts. --smoke runs each row once, to check that
it works. `instructions` needs valgrind, and compares the counts with the baselines in FILE.";

const GROUPS: &[Group] = &[
    ("emits", emits::run),
    ("metered", emits::run_metered),
    ("calls", calls::run),
    ("polls", polls::run),
    ("watches", watches::run),
    ("starts", starts::run),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == instructions::LOOP) {
        return instructions::run_loop(&args[1..]);
    }
    let report = Report::new("cargo run --profile bench --package rangewatch-benches");
    if let Some((first, args)) = args.split_first() {
        if first == "instructions" {
            if let Some(counts_use) = Use::parse(args) {
                return instructions::run(&report, &counts_use);
            }
        }
    }
    run_groups(&report, USAGE, GROUPS)
}
