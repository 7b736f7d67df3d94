//! Rows that compare the bridge with the bare client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rangewatch_bench_harness::{Clock, Report, nanos, per_second, quantile};
use rangewatch_bridge::async_trait;
use tokio::runtime::Runtime;

use crate::Result;
use crate::client::{Client, Usage};
use crate::figures::Figures;
use crate::server::Server;

/// An engine whose rows are measured.
pub(crate) struct Bench<'a> {
    pub(crate) engine: &'static str,
    pub(crate) client: Arc<dyn Client>,
    pub(crate) server: Server,
    /// One thread, so that the processor time of the process is that of the client.
    pub(crate) runtime: Runtime,
    pub(crate) n_rounds: usize,
    /// What the loads are divided by.
    pub(crate) share: usize,
    pub(crate) report: &'a Report,
    pub(crate) figures: &'a mut Figures,
}

/// The bridge, or the bare client.
#[async_trait]
pub(crate) trait Contender: Send {
    /// What goes before a round, and does not count.
    async fn prepare(&mut self, n_emits: usize) -> Result<()>;

    /// A round of so many emits.
    async fn run(&mut self) -> Result<()>;
}

/// What a round has taken, per emit, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Round {
    pub(crate) wall: f64,
    pub(crate) client: f64,
    pub(crate) server: f64,
    /// Bytes per emit that the server has received.
    pub(crate) received: f64,
    /// And sent.
    pub(crate) sent: f64,
}

impl Round {
    pub(crate) fn new(n_emits: usize, wall: Duration, client: Duration, server: Duration) -> Self {
        let per_emit = |time: Duration| time.as_nanos() as f64 / n_emits as f64;
        Self {
            wall: per_emit(wall),
            client: per_emit(client),
            server: per_emit(server),
            ..Self::default()
        }
    }

    pub(crate) fn traffic(mut self, n_emits: usize, before: Usage, after: Usage) -> Self {
        let per_emit = |before: u64, after: u64| (after - before) as f64 / n_emits as f64;
        self.received = per_emit(before.received, after.received);
        self.sent = per_emit(before.sent, after.sent);
        self
    }

    const fn total(self) -> f64 {
        self.client + self.server
    }
}

/// The greatest overhead of the bridge that is the goal, at batches of 100.
pub(crate) const GOAL: f64 = 1.3;

const COLUMNS: [&str; 8] = [
    "",
    "bridge",
    "bare client",
    "client's processor, bridge",
    "bare",
    "ratio (range)",
    "client and server, bridge / bare",
    "ratio (range)",
];

impl Bench<'_> {
    pub(crate) fn n_emits(&self, full: usize) -> usize {
        (full / self.share).max(2)
    }

    pub(crate) fn group(&self, name: &str, text: &str) {
        self.report.group(&format!("{}: {name}", self.engine));
        self.report.note(&format!("{text}\n"));
    }

    /// Lets the tasks of this process run.
    pub(crate) fn wait(&self, time: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(time).await });
    }

    /// The head of a table of [`row`](Self::row)s.
    pub(crate) fn table(&self) {
        self.report.table(&COLUMNS);
    }

    /// Measures a row: the contenders take turns, after a round to warm up.
    pub(crate) fn measure(
        &self,
        n_emits: usize,
        contenders: &mut [Box<dyn Contender>],
    ) -> Result<Vec<Vec<Round>>> {
        let mut rounds = vec![Vec::new(); contenders.len()];
        for round in 0..=self.n_rounds {
            for (contender, rounds) in contenders.iter_mut().zip(&mut rounds) {
                self.runtime.block_on(contender.prepare(n_emits))?;
                let usage = self.runtime.block_on(self.client.usage())?;
                let server = self.server.processor_time()?;
                let started = Instant::now();
                let mut result = Ok(());
                let client = Clock::Process.time(|| {
                    result = self.runtime.block_on(contender.run());
                });
                result?;
                let wall = started.elapsed();
                let server = self.server.processor_time()?.saturating_sub(server);
                if round > 0 {
                    let after = self.runtime.block_on(self.client.usage())?;
                    let round = Round::new(n_emits, wall, client, server);
                    rounds.push(round.traffic(n_emits, usage, after));
                }
            }
        }
        Ok(rounds)
    }

    /// Prints a row, and stores its figures. The second of the `rounds`, if any, is the bare
    /// client. With a goal it says whether it was missed.
    pub(crate) fn row(&mut self, name: &str, rounds: &[Vec<Round>], goal: Option<f64>) {
        let mut cells = vec![name.to_owned()];
        let show = |of: fn(&Round) -> f64, i: usize| {
            let rounds = rounds.get(i)?;
            Some(quantile(
                &mut rounds.iter().map(of).collect::<Vec<_>>(),
                0.5,
            ))
        };
        let dash = || "-".to_owned();
        let rate = |i| show(|round| round.wall, i).map_or_else(dash, |wall| per_second(1e9 / wall));
        let time = |of, i| show(of, i).map_or_else(dash, nanos);
        cells.extend([rate(0), rate(1)]);
        cells.extend([
            time(|round| round.client, 0),
            time(|round| round.client, 1),
            ratio(rounds, |round| round.client, goal),
        ]);
        let total: fn(&Round) -> f64 = |round| round.total();
        cells.push(match rounds.len() {
            1 => time(total, 0),
            _ => format!("{} / {}", time(total, 0), time(total, 1)),
        });
        cells.push(ratio(rounds, total, goal));
        self.report.cells(&cells);
        for (i, who) in ["bridge", "bare"].into_iter().enumerate() {
            let figures: [Figure; 5] = [
                ("ns", |round| round.wall),
                ("client ns", |round| round.client),
                ("server ns", |round| round.server),
                ("bytes received", |round| round.received),
                ("bytes sent", |round| round.sent),
            ];
            for (figure, of) in figures {
                if let Some(value) = show(of, i) {
                    self.figures
                        .insert(format!("{}/{name}/{who} {figure}", self.engine), value);
                }
            }
        }
    }
}

/// A number of a round, and its name.
type Figure = (&'static str, fn(&Round) -> f64);

/// The median of the ratios of the rounds, and their range.
fn ratio(rounds: &[Vec<Round>], of: impl Fn(&Round) -> f64, goal: Option<f64>) -> String {
    let [ours, theirs, ..] = rounds else {
        return "-".to_owned();
    };
    let ratios = ours.iter().zip(theirs);
    let mut ratios: Vec<_> = ratios.map(|(ours, theirs)| of(ours) / of(theirs)).collect();
    let median = quantile(&mut ratios, 0.5);
    let (min, max) = (quantile(&mut ratios, 0.0), quantile(&mut ratios, 1.0));
    let missed = match goal {
        Some(goal) if median > goal => format!(", goal {goal:.1}: missed"),
        _ => String::new(),
    };
    format!("{median:.2}x ({min:.2} to {max:.2}{missed})")
}
