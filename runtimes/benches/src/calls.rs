//! Calls of exports and callbacks.

use rangewatch_bench_harness::{Contender, Effort, Report};
use rangewatch_benches::HOT;

use crate::engine::{ENGINES, guest, metered, unmetered};

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note("A call of an export that does nothing; an emit from Rust that one watch matches, and its callback.\n");
    let mut columns = vec!["operation"];
    columns.extend(ENGINES);
    report.table(&columns);
    for (fuel, engines) in [("without", unmetered()), ("with", metered())] {
        let mut guests = engines.each_ref().map(|engine| guest(&**engine));
        let calls = guests
            .iter()
            .map(|(_, guest)| Contender::new(|| guest.empty()));
        let name = format!("call of an empty export, {fuel} fuel");
        report.row(effort, &name, &mut calls.collect::<Vec<_>>());
        for (_, guest) in &mut guests {
            guest.open_hot(1);
            guest.start_all();
        }
        let callbacks = guests.iter().map(|(bus, guest)| {
            Contender::new(|| {
                bus.emit(1, [HOT]).expect("the bus is open");
                assert_eq!(guest.drive(), 1);
            })
        });
        let name = format!("emit and callback, {fuel} fuel");
        report.row(effort, &name, &mut callbacks.collect::<Vec<_>>());
    }
}
