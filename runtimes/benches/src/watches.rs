//! Opening and stopping watches.

use std::time::Duration;

use rangewatch_bench_harness::{Clock, Contender, Effort, Report};

use crate::engine::{ENGINES, guest, unmetered};

const N_WATCHES: usize = 10_000;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "A guest opens and starts 10,000 watches, and stops them. Memory: the program `guest_memory`.\n",
    );
    let mut columns = vec!["operation"];
    columns.extend(ENGINES);
    report.table(&columns);
    let mut guests = unmetered().map(|engine| guest(&*engine).1);
    let opens = guests.iter_mut().map(|guest| {
        Contender::timed(move |n| {
            (0..n).fold(Duration::ZERO, |time, _| {
                let opened = Clock::Thread.time(|| {
                    guest.open_cold(N_WATCHES);
                    guest.start_all();
                });
                guest.stop_all();
                time + opened
            })
        })
    });
    report.row(effort, "open and start", &mut opens.collect::<Vec<_>>());
    let stops = guests.iter_mut().map(|guest| {
        Contender::timed(move |n| {
            (0..n).fold(Duration::ZERO, |time, _| {
                guest.open_cold(N_WATCHES);
                guest.start_all();
                time + Clock::Thread.time(|| guest.stop_all())
            })
        })
    });
    report.row(effort, "stop", &mut stops.collect::<Vec<_>>());
}
