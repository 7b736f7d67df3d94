//! The rows of the tables.

use std::path::Path;
use std::time::Duration;

use rangewatch_bench_harness::{Report, nanos, per_second, quantile};

use crate::Result;
use crate::clients::{Puts, Readers, Watchers, Writers};
use crate::processors::Apart;
use crate::server::Program;

/// A load of puts.
struct Load {
    name: &'static str,
    n_clients: usize,
    n_streams: usize,
    n_watches: u64,
    /// Streams that watch everything and read nothing.
    n_stalled: usize,
    /// Puts of a round.
    n_puts: u64,
    /// Whether the server has a processor of its own, and the clients have the others.
    is_apart: bool,
    /// One put of each client in this time, in place of as many as the server takes.
    pace: Option<Duration>,
}

const PUTS: Load = Load {
    name: "",
    n_clients: 64,
    n_streams: 100,
    n_watches: 0,
    n_stalled: 0,
    n_puts: 12_800,
    is_apart: false,
    pace: None,
};

const LOADS: &[Load] = &[
    Load {
        name: "1 client, no watches",
        n_clients: 1,
        n_puts: 1_000,
        ..PUTS
    },
    Load {
        name: "1 client, 1,000 watches",
        n_clients: 1,
        n_watches: 1_000,
        n_puts: 1_000,
        ..PUTS
    },
    Load {
        name: "64 clients, no watches",
        ..PUTS
    },
    Load {
        name: "64 clients, 100 watches",
        n_watches: 100,
        ..PUTS
    },
    Load {
        name: "64 clients, 1,000 watches",
        n_watches: 1_000,
        ..PUTS
    },
    Load {
        name: "64 clients, 1,000 watches, server on a processor of its own",
        n_watches: 1_000,
        is_apart: true,
        ..PUTS
    },
    Load {
        name: "64 clients, 1,000 watches, 10 stalled streams",
        n_watches: 1_000,
        n_stalled: 10,
        ..PUTS
    },
    Load {
        name: "64 clients, 10,000 watches",
        n_watches: 10_000,
        ..PUTS
    },
    Load {
        name: "64 clients, 1,000 watches, 1,000 puts a second",
        n_watches: 1_000,
        n_puts: 3_000,
        pace: Some(Duration::from_millis(64)),
        ..PUTS
    },
];

/// Watches whose memory is measured.
const N_WATCHES: u64 = 10_000;

/// Keys that are read.
const N_KEYS: u64 = 10_000;

struct Reads {
    name: &'static str,
    n_keys: i64,
    n_reads: u64,
}

const READS: &[Reads] = &[
    Reads {
        name: "64 clients, ranges of 1 key",
        n_keys: 1,
        n_reads: 30_000,
    },
    Reads {
        name: "64 clients, ranges of 100 keys",
        n_keys: 100,
        n_reads: 5_000,
    },
];

/// What a round of puts has measured.
#[derive(Default)]
struct Measured {
    puts_per_second: Vec<f64>,
    processor_nanos: Vec<f64>,
    /// Of each round. Empty without watches.
    p50: Vec<f64>,
    p99: Vec<f64>,
}

pub(crate) struct Bench<'a> {
    pub(crate) programs: Vec<Program>,
    pub(crate) data: &'a Path,
    pub(crate) n_rounds: usize,
    /// What the loads are divided by.
    pub(crate) share: u64,
    pub(crate) report: Report,
}

impl Bench<'_> {
    /// Measures the rows whose names contain one of these texts, or all.
    pub(crate) async fn run(&self, chosen: &[String]) -> Result<()> {
        let is_chosen =
            |name: &str| chosen.is_empty() || chosen.iter().any(|text| name.contains(text));
        self.report.heading();
        self.table("Puts per second");
        for load in LOADS.iter().filter(|load| is_chosen(load.name)) {
            self.puts(load).await?;
        }
        self.table("Reads per second");
        for reads in READS.iter().filter(|reads| is_chosen(reads.name)) {
            self.reads(reads).await?;
        }
        let name = "10,000 watches";
        if is_chosen(name) {
            self.table("Memory of watches");
            self.memory(name).await?;
        }
        Ok(())
    }

    fn table(&self, group: &str) {
        self.report.group(group);
        let names = self.programs.iter().map(Program::name);
        self.report
            .table(&[""].into_iter().chain(names).collect::<Vec<_>>());
    }

    /// The servers take turns, so that a change of the machine's load affects all of them.
    async fn puts(&self, load: &Load) -> Result<()> {
        let n_puts = (load.n_puts / self.share).max(1);
        let n_folders = load.n_watches.max(100);
        let apart = load.is_apart.then(Apart::begin).transpose()?;
        let mut running = Vec::new();
        for program in &self.programs {
            let server = program.start(self.data, apart.as_ref()).await?;
            let puts = Puts::new(n_puts * (self.n_rounds as u64 + 1));
            let writers = Writers::connect(&server, load.n_clients, &puts, n_folders).await?;
            let n_streams = if load.n_watches > 0 {
                load.n_streams
            } else {
                0
            };
            let mut watchers = Watchers::open(&server, n_streams, load.n_watches, &puts).await?;
            watchers.stall(&server, load.n_stalled).await?;
            running.push((server, writers, watchers, Measured::default()));
        }
        for round in 0..=self.n_rounds {
            for (server, writers, watchers, measured) in &mut running {
                let before = server.processor_time()?;
                let elapsed = writers.put(n_puts, load.pace).await?;
                let mut latencies = Vec::new();
                if load.n_watches > 0 {
                    let since = round * n_puts as usize;
                    latencies = watchers.received(since, since + n_puts as usize).await?;
                }
                let processor_time = server.processor_time()? - before;
                if round == 0 {
                    continue; // to warm up
                }
                measured
                    .puts_per_second
                    .push(n_puts as f64 / elapsed.as_secs_f64());
                measured
                    .processor_nanos
                    .push(processor_time.as_nanos() as f64 / n_puts as f64);
                if load.n_watches > 0 {
                    measured.p50.push(quantile(&mut latencies, 0.5));
                    measured.p99.push(quantile(&mut latencies, 0.99));
                }
            }
        }
        let mut measured: Vec<Measured> = running
            .into_iter()
            .map(|(_, _, _, measured)| measured)
            .collect();
        let mut row =
            |what: &str, values: fn(&mut Measured) -> &mut Vec<f64>, show: fn(f64) -> String| {
                let medians: Vec<f64> = measured
                    .iter_mut()
                    .map(|measured| quantile(values(measured), 0.5))
                    .collect();
                self.row(&format!("{}{what}", load.name), &medians, show);
            };
        row("", |measured| &mut measured.puts_per_second, per_second);
        row(
            ": processor time of a put",
            |measured| &mut measured.processor_nanos,
            nanos,
        );
        if load.n_watches > 0 {
            row(": event p50", |measured| &mut measured.p50, nanos);
            row(": event p99", |measured| &mut measured.p99, nanos);
        }
        Ok(())
    }

    async fn reads(&self, reads: &Reads) -> Result<()> {
        let n_reads = (reads.n_reads / self.share).max(1);
        let mut running = Vec::new();
        for program in &self.programs {
            let server = program.start(self.data, None).await?;
            let puts = Puts::new(N_KEYS);
            let writers = Writers::connect(&server, 64, &puts, N_KEYS / 10).await?;
            writers.put(N_KEYS, None).await?;
            let readers = Readers::connect(&server, 64).await?;
            running.push((server, readers, Vec::new()));
        }
        for round in 0..=self.n_rounds {
            for (_, readers, measured) in &mut running {
                let elapsed = readers.read(n_reads, reads.n_keys, N_KEYS / 10).await?;
                if round > 0 {
                    measured.push(n_reads as f64 / elapsed.as_secs_f64());
                }
            }
        }
        let medians: Vec<f64> = running
            .iter_mut()
            .map(|(_, _, measured)| quantile(measured, 0.5))
            .collect();
        self.row(reads.name, &medians, per_second);
        Ok(())
    }

    /// The memory of the server with watches, less that of the server before.
    async fn memory(&self, name: &str) -> Result<()> {
        let n_watches = (N_WATCHES / self.share).max(1);
        let mut medians = Vec::new();
        for program in &self.programs {
            let mut measured = Vec::new();
            for _ in 0..self.n_rounds.min(3) {
                let server = program.start(self.data, None).await?;
                let puts = Puts::new(n_watches * 2);
                let writers = Writers::connect(&server, 64, &puts, n_watches).await?;
                writers.put(n_watches, None).await?;
                let before = server.resident_bytes()?;
                let mut watchers = Watchers::open(&server, 100, n_watches, &puts).await?;
                // Each watch has an event, so that nothing is left to the first.
                writers.put(n_watches, None).await?;
                watchers.received(0, usize::try_from(n_watches)?).await?;
                measured.push((server.resident_bytes()?.saturating_sub(before)) as f64);
            }
            medians.push(quantile(&mut measured, 0.5));
        }
        self.row(name, &medians, |bytes| format!("{:.1} MB", bytes / 1e6));
        Ok(())
    }

    /// A row, with the ratio of each server to the first.
    fn row(&self, name: &str, values: &[f64], show: fn(f64) -> String) {
        let mut cells = vec![name.to_owned()];
        for (i, value) in values.iter().enumerate() {
            let ratio = match i {
                0 => String::new(),
                _ => format!(" ({:.2}x)", value / values[0]),
            };
            cells.push(format!("{}{ratio}", show(*value)));
        }
        self.report.cells(&cells);
    }
}
