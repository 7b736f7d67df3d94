//! The command line of a benchmark program.

use std::process::ExitCode;

use crate::{Effort, Report};

/// The name of a group of rows, and the function that measures and prints them.
pub type Group = (&'static str, fn(Effort, &Report));

/// Runs the groups that the arguments of the program name, or all of them. With `--smoke` each row
/// runs once. Prints `usage` and fails if arguments name no group.
pub fn run_groups(report: &Report, usage: &str, groups: &[Group]) -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let n_args = args.len();
    args.retain(|arg| arg != "--smoke");
    let effort = if args.len() < n_args {
        Effort::Smoke
    } else {
        Effort::Full
    };
    let is_unknown = |arg: &String| groups.iter().all(|(name, _)| name != arg);
    if args.iter().any(is_unknown) {
        if args != ["--help"] {
            let unknown: Vec<_> = args.into_iter().filter(is_unknown).collect();
            report.note(&format!("unknown arguments: {}\n", unknown.join(" ")));
        }
        report.note(usage);
        return ExitCode::FAILURE;
    }
    report.heading();
    if effort == Effort::Smoke {
        report.note("each row runs once: the times mean nothing");
    }
    for (name, run) in groups {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            report.group(name);
            run(effort, report);
        }
    }
    ExitCode::SUCCESS
}
