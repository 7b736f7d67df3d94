//! What the bus costs, beside the channels that one would take in its place.
//!
//! See the README beside this package for how to run it, what the rows are and what they were.

mod concurrent;
mod delivery;
mod emit;
mod fan_out;
mod harness;
mod history;
mod instructions;
mod latency;
mod many;
mod peers;
mod report;
mod stalled;

use std::process::ExitCode;

use harness::Effort;
use report::Report;

const USAGE: &str = "usage: rangewatch-bus-benches [--smoke] [GROUP]...
       rangewatch-bus-benches instructions

Without a group all are run: emit, fan-out, delivery, latency, stalled, concurrent, history, many.
--smoke runs each row once, to see that it works. `instructions` needs valgrind.";

type Group = fn(Effort, &Report);

/// The rows that belong together, by their name.
const GROUPS: &[(&str, Group)] = &[
    ("emit", emit::run),
    ("fan-out", fan_out::run),
    ("delivery", delivery::run),
    ("latency", latency::run),
    ("stalled", stalled::run),
    ("concurrent", concurrent::run),
    ("history", history::run),
    ("many", many::run),
];

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == instructions::LOOP) {
        return instructions::run_loop(&args[1..]);
    }
    let report = Report;
    if args == ["instructions"] {
        return instructions::run(&report);
    }
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
    for (name, run) in GROUPS {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            report.group(name);
            run(effort, &report);
        }
    }
    ExitCode::SUCCESS
}
