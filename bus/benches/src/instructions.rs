//! Counts of instructions, which do not depend on the load of the machine.

use std::process::ExitCode;

use rangewatch_bench_harness::{
    Counts, Effort, Report, Use, count, count_instrumented, instrumented,
};
use rangewatch_bus::RangeWatchBus;

use crate::delivery::{self, NAMES, cycle};
use crate::payloads::{self, CARRIERS, TYPES, cycle_with_receipt};
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

/// The greatest ratio of a further consumer of an emit with an `Arc` to one without payloads.
const MAX_ARC_TO_UNIT: f64 = 1.1;

/// The subscriptions that an emit matches all of, and the emits of which each is counted.
const N_MATCHES: usize = 10_000;
const N_EMITS_TO_ALL: usize = 10;

/// Runs `CHANNEL N_CONSUMERS`, `payloads CARRIER TYPE N_CONSUMERS`, `emit KIND N_KEYS` or
/// `matching KIND`.
pub(crate) fn run_loop(args: &[String]) -> ExitCode {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let n = |n: &str| n.parse().ok();
    let is_run = match args[..] {
        ["payloads", carrier, payload, n_consumers] => {
            n(n_consumers).and_then(|n| run_payloads(carrier, payload, n))
        }
        ["emit", kind, n_keys] => n(n_keys).and_then(|n_keys| run_emits(kind, n_keys)),
        ["matching", kind] => run_matching(kind),
        [name, n_consumers] => n(n_consumers).and_then(|n| run_channel(name, n)),
        _ => None,
    };
    match is_run {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

fn run_channel(name: &str, n_consumers: usize) -> Option<()> {
    let mut channel = delivery::channel(name, n_consumers)?;
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

fn run_payloads(carrier: &str, payload: &str, n_consumers: usize) -> Option<()> {
    let mut channel = payloads::channel(carrier, payload, n_consumers)?;
    let mut cycles = |n| (0..n).for_each(|_| cycle_with_receipt(&mut *channel));
    cycles(N_BEFORE);
    instrumented(|| cycles(N_MESSAGES));
    Some(())
}

/// Emits that match all subscriptions, which nobody waits for, and whose queues have grown.
fn run_matching(kind: &str) -> Option<()> {
    let bus = RangeWatchBus::new();
    let emit_all = || {
        for _ in 0..N_EMITS_TO_ALL {
            let emitted = bus.emit(1, [watched::inside(0)]);
            assert_eq!(emitted.map(|emitted| emitted.matched()), Ok(N_MATCHES));
        }
    };
    let subscribe = |_| bus.subscribe(watched::range(0));
    match kind {
        "wake" => {
            let subs: Vec<_> = (0..N_MATCHES).map(subscribe).collect();
            let _subs: Vec<_> = subs.into_iter().map(|sub| sub.wake().unwrap()).collect();
            emit_all();
            instrumented(emit_all);
        }
        "events" => {
            let subs = (0..N_MATCHES).map(subscribe);
            let mut subs: Vec<_> = subs.map(|sub| sub.events(CAPACITY).unwrap()).collect();
            // A queue has two buffers, which grow one after the other.
            for _ in 0..2 {
                emit_all();
                for sub in &mut subs {
                    while sub.try_recv().is_ok() {}
                }
            }
            instrumented(emit_all);
        }
        _ => return None,
    }
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
    let mut counts = Counts::new();
    let counted = count_fan_out(report, &mut counts)
        .and_then(|()| count_payloads(report, &mut counts))
        .and_then(|()| count_emits(&mut counts));
    if let Err(error) = counted {
        report.note(&error);
        return ExitCode::FAILURE;
    }
    report.note(&format!(
        "\n`emit`: of 1, 16 or 200 random keys to one of 65,536 subscriptions that nobody waits for.\n\
         `matching`: one match, of an emit of one key to {N_MATCHES} subscriptions that nobody waits for.\n"
    ));
    counts_use.apply(report, &counts)
}

fn count_fan_out(report: &Report, counts: &mut Counts) -> Result<(), String> {
    report.note("Of the emit or the sends alone, to consumers that wait; `search` is the part of an emit that finds them.\n");
    report.table(&[
        "channel",
        "one message to one consumer",
        "each further consumer",
        "to mpsc",
        "without the search: one delivery",
        "to mpsc",
    ]);
    let each: Vec<_> = NAMES
        .iter()
        .map(|name| one_and_further(&[name]))
        .collect::<Result<_, _>>()?;
    let [_, _, (_, search), (_, mpsc)] = each[..] else {
        return Err("there are four channels".to_owned());
    };
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
    Ok(())
}

/// Fails if a further consumer of an emit with an `Arc` takes much more than one without payloads.
fn count_payloads(report: &Report, counts: &mut Counts) -> Result<(), String> {
    report.note("\nOf an emit to consumers that wait, and its receipt by all of them.\n");
    report.table(&[
        "payload",
        "each further consumer",
        "to `()`",
        "the rest of the emit",
        "to `()`",
        "each further of tokio mpsc",
        "each further of tokio broadcast",
    ]);
    let mut of_unit = None;
    for payload in TYPES {
        let [ours, mpsc, broadcast] =
            CARRIERS.map(|carrier| one_and_further(&["payloads", carrier, payload]));
        let (one, further) = ours?;
        let rest = one - further;
        let (unit_further, unit_rest) = *of_unit.get_or_insert((further, rest));
        let to_unit = further / unit_further;
        report.cells(&[
            payloads::shown(payload).to_owned(),
            format!("{further:.1}"),
            format!("{to_unit:.2}x"),
            format!("{rest:.0}"),
            format!("{:.2}x", rest / unit_rest),
            format!("{:.1}", mpsc?.1),
            format!("{:.1}", broadcast?.1),
        ]);
        if to_unit > MAX_ARC_TO_UNIT {
            return Err(format!(
                "a further consumer of an emit with {} takes {to_unit:.2} times the instructions of one \
                 without payloads: the limit is {MAX_ARC_TO_UNIT}",
                payloads::shown(payload)
            ));
        }
        counts.insert(format!("payloads/{payload}/further"), further);
        counts.insert(format!("payloads/{payload}/rest"), rest);
    }
    Ok(())
}

fn count_emits(counts: &mut Counts) -> Result<(), String> {
    for (kind, n_keys) in EMITS {
        let n_keys = n_keys.to_string();
        let count = count_instrumented(&[LOOP, "emit", kind, &n_keys])?;
        let per_emit = count as f64 / f64::from(N_MESSAGES);
        counts.insert(format!("emit/{kind}/{n_keys}"), per_emit);
    }
    for kind in ["wake", "events"] {
        let count = count_instrumented(&[LOOP, "matching", kind])?;
        let per_match = count as f64 / (N_EMITS_TO_ALL * N_MATCHES) as f64;
        counts.insert(format!("matching/{kind}/{N_MATCHES}"), per_match);
    }
    Ok(())
}

/// The instructions per message to one consumer, and those of each further one.
fn one_and_further(of: &[&str]) -> Result<(f64, f64), String> {
    let [one, many] = CONSUMERS.map(|n| per_message(of, n));
    let one = one?;
    let further = (CONSUMERS[1] - CONSUMERS[0]) as f64;
    Ok((one, (many? - one) / further))
}

/// The instructions per message.
fn per_message(of: &[&str], n_consumers: usize) -> Result<f64, String> {
    let n_consumers = n_consumers.to_string();
    let counts = count(&[&[LOOP], of, &[&n_consumers]].concat())?;
    let counted = counts.values().sum::<u64>();
    Ok(counted as f64 / f64::from(N_MESSAGES))
}
