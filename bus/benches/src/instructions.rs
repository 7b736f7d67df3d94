//! Counts of instructions, which do not depend on the load of the machine.

use std::process::ExitCode;

use rangewatch_bench_harness::{Counts, Report, Use, count, instrumented};

use crate::delivery::{NAMES, channel, cycle};

/// The argument with which this program runs the loop that is counted.
pub(crate) const LOOP: &str = "loop";

/// The messages before those that are counted, in which queues grow.
const N_BEFORE: u32 = 200;
/// The messages that are counted.
const N_MESSAGES: u32 = 1000;
/// Two numbers of consumers: their difference leaves out the work per message.
const CONSUMERS: [usize; 2] = [1, 101];

/// Runs `CHANNEL N_CONSUMERS`.
pub(crate) fn run_loop(args: &[String]) -> ExitCode {
    let parsed = || {
        let [name, n_consumers] = args else {
            return None;
        };
        channel(name, n_consumers.parse().ok()?)
    };
    let Some(mut channel) = parsed() else {
        return ExitCode::FAILURE;
    };
    for _ in 0..N_BEFORE {
        cycle(&mut *channel, |push| push());
    }
    instrumented(|| {
        for _ in 0..N_MESSAGES {
            cycle(&mut *channel, |push| push());
        }
    });
    ExitCode::SUCCESS
}

pub(crate) fn run(report: &Report, counts_use: &Use) -> ExitCode {
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
    let further = CONSUMERS[1] - CONSUMERS[0];
    let each: Result<Vec<_>, String> = NAMES
        .iter()
        .map(|name| {
            let [one, many] = CONSUMERS.map(|n| per_message(name, n));
            let one = one?;
            Ok((one, (many? - one) / further as f64))
        })
        .collect();
    let each = match each {
        Ok(each) => each,
        Err(error) => {
            report.note(&error);
            return ExitCode::FAILURE;
        }
    };
    let [_, _, (_, search), (_, mpsc)] = each[..] else {
        report.note("there are four channels");
        return ExitCode::FAILURE;
    };
    let mut counts = Counts::new();
    for (name, (one, further)) in NAMES.iter().zip(&each) {
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
        // The bus is what has baselines.
        if matches!(*name, "events" | "wake") {
            counts.insert(format!("fan-out/{name}/one"), *one);
            counts.insert(format!("fan-out/{name}/further"), *further);
        }
    }
    report.note("");
    counts_use.apply(report, &counts)
}

/// The instructions per message.
fn per_message(name: &str, n_consumers: usize) -> Result<f64, String> {
    let counts = count(&[LOOP, name, &n_consumers.to_string()])?;
    let counted = counts.values().sum::<u64>();
    Ok(counted as f64 / f64::from(N_MESSAGES))
}
