//! Counts of instructions, which do not depend on the load of the machine.

use std::process::ExitCode;

use rangewatch_bench_harness::{
    Counts, Effort, Report, Use, count, count_instrumented, instrumented,
};
use rangewatch_bus::RangeWatchBus;

use crate::delivery::{NAMES, channel, cycle};
use crate::watched::{self, Emits, Keys};

/// The argument with which this program runs the loop that is counted.
pub(crate) const LOOP: &str = "loop";

/// The messages before those that are counted, in which queues grow.
const N_BEFORE: u32 = 200;
/// The messages that are counted.
const N_MESSAGES: u32 = 1000;
/// Two numbers of consumers: their difference leaves out the work per message.
const CONSUMERS: [usize; 2] = [1, 101];

/// The subscriptions of which an emit matches one.
const N_WATCHERS: usize = 65_536;
/// The capacity of an event queue, in events.
const CAPACITY: usize = 16;
/// The emits that are counted: the kind of the subscriptions, and the number of keys.
const EMITS: [(&str, usize); 4] = [("wake", 1), ("wake", 16), ("wake", 200), ("events", 1)];

/// Runs `CHANNEL N_CONSUMERS`, or `emit KIND N_KEYS`.
pub(crate) fn run_loop(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let n = |n: &str| n.parse().ok();
    let is_run = match args[..] {
        ["emit", kind, n_keys] => n(n_keys).and_then(|n_keys| run_emits(kind, n_keys)),
        [name, n_consumers] => n(n_consumers).and_then(|n| run_channel(name, n)),
        _ => None,
    };
    match is_run {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

fn run_channel(name: &str, n_consumers: usize) -> Option<()> {
    let mut channel = channel(name, n_consumers)?;
    for _ in 0..N_BEFORE {
        cycle(&mut *channel, |push| push());
    }
    instrumented(|| {
        for _ in 0..N_MESSAGES {
            cycle(&mut *channel, |push| push());
        }
    });
    Some(())
}

/// Emits to subscriptions that nobody waits for, and whose queues have grown.
fn run_emits(kind: &str, n_keys: usize) -> Option<()> {
    let emits = Emits::new(Effort::Full, N_WATCHERS, n_keys, Keys::Random);
    let emit_all = |bus: &RangeWatchBus| {
        for i in 0..N_MESSAGES as usize {
            let emitted = bus.emit(1, emits.nth(i));
            assert_eq!(emitted.map(|emitted| emitted.matched()), Ok(1));
        }
    };
    match kind {
        "wake" => {
            let (bus, _subs) = watched::subscribed(N_WATCHERS, |bus, i| {
                bus.subscribe(watched::range(i)).wake().unwrap()
            });
            emit_all(&bus);
            instrumented(|| emit_all(&bus));
        }
        "events" => {
            let (bus, mut subs) = watched::subscribed(N_WATCHERS, |bus, i| {
                bus.subscribe(watched::range(i)).events(CAPACITY).unwrap()
            });
            emit_all(&bus);
            for sub in &mut subs {
                while sub.try_recv().is_ok() {}
            }
            instrumented(|| emit_all(&bus));
        }
        _ => return None,
    }
    Some(())
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
    for (kind, n_keys) in EMITS {
        let n_keys = n_keys.to_string();
        match count_instrumented(&[LOOP, "emit", kind, &n_keys]) {
            Ok(count) => {
                let per_emit = count as f64 / f64::from(N_MESSAGES);
                counts.insert(format!("emit/{kind}/{n_keys}"), per_emit);
            }
            Err(error) => {
                report.note(&error);
                return ExitCode::FAILURE;
            }
        }
    }
    report.note(
        "\nEmits are of 1, 16 or 200 random keys to one of 65,536 subscriptions that nobody waits for.\n",
    );
    counts_use.apply(report, &counts)
}

/// The instructions per message.
fn per_message(name: &str, n_consumers: usize) -> Result<f64, String> {
    let counts = count(&[LOOP, name, &n_consumers.to_string()])?;
    let counted = counts.values().sum::<u64>();
    Ok(counted as f64 / f64::from(N_MESSAGES))
}
