//! Benchmarks of the bus, compared with the channels that are its alternatives.
//!
//! The README of this package says how to run them, explains the rows and lists results.

mod concurrent;
mod delivery;
mod emit;
mod fan_out;
mod history;
mod instructions;
mod latency;
mod matching;
mod narrow;
mod payloads;
mod peers;
mod scheduled;
mod stalled;
mod waiting;
mod watched;

use std::process::ExitCode;

use rangewatch_bench_harness::{Group, Report, Use, run_groups};

const USAGE: &str = "usage: rangewatch-bus-benches [--smoke] [GROUP]...
       rangewatch-bus-benches instructions [--check FILE | --update FILE]

Without a group all run: emit, matching, fan-out, delivery, payloads, narrow, latency, scheduled, stalled,
concurrent, waiting, history. --smoke runs each row once, to check that it works. `instructions` needs
valgrind, and compares the counts with the baselines in FILE.";

const GROUPS: &[Group] = &[
    ("emit", emit::run),
    ("matching", matching::run),
    ("fan-out", fan_out::run),
    ("delivery", delivery::run),
    ("payloads", payloads::run),
    ("narrow", narrow::run),
    ("latency", latency::run),
    ("scheduled", scheduled::run),
    ("stalled", stalled::run),
    ("concurrent", concurrent::run),
    ("waiting", waiting::run),
    ("history", history::run),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == instructions::LOOP) {
        return instructions::run_loop(&args[1..]);
    }
    let report = Report::new("cargo run --profile bench --package rangewatch-bus-benches");
    if let Some((first, args)) = args.split_first() {
        if first == "instructions" {
            if let Some(counts_use) = Use::parse(args) {
                return instructions::run(&report, &counts_use);
            }
        }
    }
    run_groups(&report, USAGE, GROUPS)
}
