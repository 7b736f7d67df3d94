//! Counts of instructions, which do not depend on the load of the machine.

use std::process::{Command, ExitCode};

use rangewatch_bench_harness::Report;

use crate::delivery::{NAMES, channel, cycle};

/// The argument with which this program runs the loop that is counted.
pub(crate) const LOOP: &str = "loop";

/// Two lengths of the loop: their difference leaves out the start and the end of the program.
const LENGTHS: [u64; 2] = [200, 1200];
/// Two numbers of consumers: their difference leaves out the work per message.
const CONSUMERS: [usize; 2] = [1, 101];

/// Runs `CHANNEL N_CONSUMERS N_MESSAGES`.
pub(crate) fn run_loop(args: &[String]) -> ExitCode {
    let parsed = || {
        let [name, n_consumers, n] = args else {
            return None;
        };
        Some((
            channel(name, n_consumers.parse().ok()?)?,
            n.parse::<u64>().ok()?,
        ))
    };
    let Some((mut channel, n)) = parsed() else {
        return ExitCode::FAILURE;
    };
    for _ in 0..n {
        cycle(&mut *channel, |push| push());
    }
    ExitCode::SUCCESS
}

pub(crate) fn run(report: &Report) -> ExitCode {
    report.heading();
    report.group("instructions");
    report.note("Of the emit or the sends alone, to consumers that wait; `search` is the part of an emit that finds them.\n");
    report.table(&[
        "channel",
        "one message to one consumer",
        "each further consumer",
        "to mpsc",
        "without the search: one delivery",
        "to mpsc",
    ]);
    let counts = NAMES.map(|name| {
        Some((
            per_message(name, CONSUMERS[0])?,
            per_message(name, CONSUMERS[1])?,
        ))
    });
    let further = CONSUMERS[1] - CONSUMERS[0];
    let each: Vec<_> = counts
        .iter()
        .map(|counts| counts.map(|(one, many)| (one, (many - one) / further as f64)))
        .collect();
    let [_, _, Some((_, search)), Some((_, mpsc))] = each[..] else {
        report.note(
            "nothing was counted: install valgrind, and build with symbols (profile `bench`)",
        );
        return ExitCode::FAILURE;
    };
    for (name, counts) in NAMES.iter().zip(&each) {
        if let Some((one, further)) = counts {
            let delivery = match *name {
                "events" | "wake" => Some(further - search),
                "mpsc" => Some(*further),
                _ => None,
            };
            report.cells(&[
                (*name).to_owned(),
                format!("{one:.0}"),
                format!("{further:.1}"),
                format!("{:.2}x", further / mpsc),
                delivery.map_or_else(String::new, |delivery| format!("{delivery:.1}")),
                delivery.map_or_else(String::new, |delivery| format!("{:.2}x", delivery / mpsc)),
            ]);
        }
    }
    ExitCode::SUCCESS
}

/// The instructions per message.
fn per_message(name: &str, n_consumers: usize) -> Option<f64> {
    let [short, long] = LENGTHS;
    let counted = count(name, n_consumers, long)?.checked_sub(count(name, n_consumers, short)?)?;
    (counted > 0).then(|| counted as f64 / (long - short) as f64)
}

fn count(name: &str, n_consumers: usize, n: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*counted_push*",
        ])
        .arg(std::env::current_exe().ok()?)
        .args([LOOP, name])
        .args([n_consumers.to_string(), n.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split("Collected :").nth(1))?;
    collected.trim().parse().ok()
}
