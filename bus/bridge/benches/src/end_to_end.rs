//! From an emit in one process to its receipt in another one.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rangewatch_bench_harness::{nanos, quantile};
use rangewatch_bridge::Writer;

use crate::Result;
use crate::compare::{Bench, Round};

struct Load {
    name: &'static str,
    /// Emits per second; 0: as many as are received, 1,000 of them on their way.
    rate: usize,
    n_emits: usize,
}

const LOADS: &[Load] = &[
    Load {
        name: "1,000 emits a second",
        rate: 1000,
        n_emits: 3_000,
    },
    Load {
        name: "1,000 on their way",
        rate: 0,
        n_emits: 100_000,
    },
];

/// A server has less of a memory of what a row before it has done if the streams have new names.
const WHO: [&str; 2] = ["bridge", "bare"];

pub(crate) fn run(bench: &mut Bench<'_>) -> Result<()> {
    if !bench.server.is_process() {
        return Ok(());
    }
    bench.group(
        "end-to-end",
        "From an emit on the bus of one process until a subscriber in another one has received it. The\n\
         processor time of the client is that of both processes.",
    );
    let folder = tempfile::tempdir()?;
    let mut tables = Vec::new();
    for load in LOADS {
        let n_emits = bench.n_emits(load.n_emits);
        let mut rounds = vec![Vec::new(); WHO.len()];
        let mut latencies = vec![[Vec::new(), Vec::new()]; WHO.len()];
        // A row takes seconds: a third of the rounds.
        for round in 0..bench.n_rounds.div_ceil(3) {
            for (i, who) in WHO.iter().enumerate() {
                let bus = format!("{who}-{}-{round}", load.rate);
                let (measured, mut times) =
                    measure(bench, who, &bus, load.rate, n_emits, folder.path())?;
                rounds[i].push(measured);
                for (values, q) in latencies[i].iter_mut().zip([0.5, 0.99]) {
                    values.push(quantile(&mut times, q));
                }
            }
            bench.runtime.block_on(bench.client.clear())?;
        }
        tables.push((load, rounds, latencies));
    }
    bench.table();
    for (load, rounds, _) in &tables {
        bench.row(load.name, rounds, None);
    }
    bench.report.note("");
    bench.report.table(&[
        "latency",
        "bridge: p50",
        "p99",
        "bare client: p50",
        "p99",
        "ratio of p50",
        "of p99",
    ]);
    for (load, _, latencies) in &mut tables {
        let mut medians = Vec::new();
        for (who, quantiles) in WHO.iter().zip(latencies) {
            for (name, values) in ["p50 ns", "p99 ns"].iter().zip(quantiles) {
                let median = quantile(values, 0.5);
                let name = format!("{}/{}/{who} {name}", bench.engine, load.name);
                bench.figures.insert(name, median);
                medians.push(median);
            }
        }
        let mut cells = vec![load.name.to_owned()];
        cells.extend(medians.iter().map(|median| nanos(*median)));
        cells.push(format!("{:.2}x", medians[0] / medians[2]));
        cells.push(format!("{:.2}x", medians[1] / medians[3]));
        bench.report.cells(&cells);
    }
    Ok(())
}

/// A round: the costs of an emit, and the time that each took.
fn measure(
    bench: &Bench<'_>,
    who: &str,
    bus: &str,
    rate: usize,
    n_emits: usize,
    folder: &Path,
) -> Result<(Round, Vec<f64>)> {
    if who == "bridge" {
        // Begins the log.
        let log = bench.client.log(bus, 1)?;
        bench.runtime.block_on(Writer::open(log))?;
    }
    let receipts = folder.join("receipts");
    let _ = std::fs::remove_file(&receipts);
    let mut args = vec!["--url", &bench.server.url, "--bus", bus, "--who", who];
    if rate == 0 {
        let receipts = receipts.to_str().ok_or("a folder has a name")?;
        args.extend(["--receipts", receipts]);
    }
    let (read, emitted) = (folder.join("read"), folder.join("emitted"));
    let mut reader = Started::new(&args, n_emits, &read, &["reader"])?;
    reader.expect("ready")?;
    let server = bench.server.processor_time()?;
    let started = Instant::now();
    let rate = rate.to_string();
    let mut source = Started::new(&args, n_emits, &emitted, &["source", &rate])?;
    let source_time = source.numbers()?[0];
    let read_time = reader.numbers()?[0];
    let wall = started.elapsed();
    let server = bench.server.processor_time()?.saturating_sub(server);
    source.wait()?;
    reader.wait()?;
    let client = Duration::from_nanos(source_time + read_time);
    let latencies: Vec<f64> = times(&emitted)?
        .into_iter()
        .zip(times(&read)?)
        .map(|(emitted, read)| read.saturating_sub(emitted) as f64)
        .collect();
    if latencies.len() != n_emits {
        return Err("not every emit was received".into());
    }
    let span = times(&read)?.last().unwrap_or(&0) - times(&emitted)?[0];
    // The start of the source is none of the emits' time.
    let wall = wall.min(Duration::from_nanos(span));
    Ok((Round::new(n_emits, wall, client, server), latencies))
}

fn times(file: &Path) -> Result<Vec<u64>> {
    let bytes = std::fs::read(file)?;
    let times = bytes.as_chunks::<8>().0.iter();
    Ok(times.map(|time| u64::from_le_bytes(*time)).collect())
}

/// A process of this program.
pub(crate) struct Started {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Started {
    pub(crate) fn new(args: &[&str], n_emits: usize, times: &Path, role: &[&str]) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("process")
            .args(args)
            .arg("--n-emits")
            .arg(n_emits.to_string())
            .arg("--times")
            .arg(times)
            .args(role)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("its output is a pipe")?;
        Ok(Self {
            process,
            output: BufReader::new(output),
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    pub(crate) fn expect(&mut self, line: &str) -> Result<()> {
        if self.line()? != line {
            return Err(format!("a process has not printed `{line}`").into());
        }
        Ok(())
    }

    /// The numbers of the next line.
    pub(crate) fn numbers(&mut self) -> Result<Vec<u64>> {
        let line = self.line()?;
        if line.is_empty() {
            return Err("a process has printed nothing".into());
        }
        Ok(line
            .split(' ')
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?)
    }

    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.process.wait()?;
        if !status.success() {
            return Err(format!("a process has ended with {status}").into());
        }
        Ok(())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
