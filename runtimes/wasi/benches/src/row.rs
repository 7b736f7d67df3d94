//! One call of a guest, on both engines, by this crate and by the peers.

use std::ops::Range;
use std::time::Duration;

use rangewatch::{Wasmi, Wasmtime};
use rangewatch_bench_harness::{Clock, Contender, Effort, Report, measure, nanos};

use crate::on_wasmtime::Files;
use crate::world::{Guest, Host, World};
use crate::{managed, on_wasmi, on_wasmtime};

/// A measured call.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The guest, in the text format.
    pub(crate) wat: String,
    pub(crate) world: World,
    /// The number of calls per instance: until its input ends, its output is full or its file is
    /// read.
    pub(crate) max_calls: u64,
    /// The part of the memory that must be equal for all implementations after one call.
    pub(crate) alike: [Range<usize>; 2],
    /// The goals for the ratio of the peer's time to this crate's, on wasmtime and on wasmi.
    pub(crate) goals: [Option<f64>; 2],
}

/// For a row in which one range of memory is compared.
pub(crate) const NOTHING_ELSE: Range<usize> = 0..0;

/// The number of calls per instance for a row without a limit.
pub(crate) const MANY: u64 = 1 << 20;

pub(crate) const COLUMNS: [&str; 9] = [
    "",
    "ours on wasmtime",
    "in your linker",
    "wasmtime-wasi",
    "times ours",
    "ours on wasmi",
    "in your linker",
    "wasmi_wasi",
    "times ours",
];

impl Row {
    /// Compares the memory that the implementations leave, and then measures them.
    pub(crate) fn run(&self, effort: Effort, report: &Report) {
        let wasmtime = on_wasmtime::Compiled::new(&self.wat);
        let wasmi = on_wasmi::Compiled::new(&self.wat);
        let peers = [&wasmtime.peer(Files::InPlace) as &dyn Host, &wasmi.peer()];
        self.compare(&[&wasmtime.ours(), peers[0], &wasmi.ours(), peers[1]]);
        self.print(effort, report);
    }

    /// Measures the implementations and prints the row. Returns the times of this crate's guests,
    /// on wasmtime and on wasmi.
    pub(crate) fn print(&self, effort: Effort, report: &Report) -> [f64; 2] {
        let wasmtime = on_wasmtime::Compiled::new(&self.wat);
        let wasmi = on_wasmi::Compiled::new(&self.wat);
        let hosts = [
            &managed::Compiled::new(&Wasmtime::unmetered(), &self.wat) as &dyn Host,
            &wasmtime.ours(),
            &wasmtime.peer(Files::InPlace),
            &managed::Compiled::new(&Wasmi::unmetered(), &self.wat),
            &wasmi.ours(),
            &wasmi.peer(),
        ];
        let times = measure(effort, &mut hosts.map(|host| self.contender(host)));
        let mut cells = vec![self.name.to_owned()];
        for (times, goal) in times.chunks(3).zip(self.goals) {
            cells.extend(times.iter().copied().map(nanos));
            cells.push(at_least([times[2] / times[0], times[2] / times[1]], goal));
        }
        report.cells(&cells);
        [times[0], times[3]]
    }

    /// Makes one call on each implementation, and compares the memory.
    pub(crate) fn compare(&self, hosts: &[&dyn Host]) {
        let left = hosts.iter().map(|host| {
            let mut guest = self.instance(*host);
            assert_eq!(guest.run(1), 0, "{}", self.name);
            let memory = guest.memory().expect("an instance of the host's own");
            let ranges = self.alike.iter().cloned();
            ranges
                .map(|range| memory[range].to_vec())
                .collect::<Vec<_>>()
        });
        let left: Vec<_> = left.collect();
        for other in &left[1..] {
            assert_eq!(left[0], *other, "{}", self.name);
        }
    }

    pub(crate) fn contender<'a>(&'a self, host: &'a dyn Host) -> Contender<'a> {
        Contender::timed(move |n| {
            let mut left = n;
            let mut time = Duration::ZERO;
            while left > 0 {
                let n_calls = left.min(self.max_calls);
                let mut guest = self.instance(host);
                let n_calls_u32 = u32::try_from(n_calls).expect("an instance makes few calls");
                time +=
                    Clock::Process.time(|| assert_eq!(guest.run(n_calls_u32), 0, "{}", self.name));
                left -= n_calls;
            }
            time
        })
    }

    fn instance(&self, host: &dyn Host) -> Box<dyn Guest> {
        let mut guest = host.instantiate(&self.world);
        assert_eq!(guest.setup(), 0, "the setup of {}", self.name);
        guest
    }
}

/// The ratios of the peer's time to this crate's, as a guest and in a linker, and the goal for the
/// guest. Marks a missed goal.
pub(crate) fn at_least([guest, linker]: [f64; 2], goal: Option<f64>) -> String {
    let ratios = format!("{guest:.1}x, {linker:.1}x");
    match goal {
        None => ratios,
        Some(goal) if guest < goal => format!("{ratios} (goal {goal}x: missed)"),
        Some(goal) => format!("{ratios} (goal {goal}x)"),
    }
}
