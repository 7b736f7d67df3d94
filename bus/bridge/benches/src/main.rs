//! The bridge on each engine, beside the bare client of that engine.
//!
//! The README of this package says how to run them, explains the rows and lists results.
#![expect(clippy::print_stderr, reason = "an error ends the program")]

mod append;
mod catch_up;
mod client;
mod compare;
mod distance;
mod emits;
mod end_to_end;
mod engines;
mod figures;
mod idle;
mod instructions;
mod memory;
mod peers;
mod process;
mod server;
mod tail;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rangewatch_bench_harness::{CountingAllocator, Report, Use};

use self::compare::Bench;
use self::figures::Figures;

/// An error of this program: a text for its user.
type Result<T> = std::result::Result<T, rangewatch_bridge::BoxError>;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const COMMAND: &str = "cargo run --profile bench --package rangewatch-bridge-benches";

/// Measures the bridge on each engine, beside the bare client of that engine.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// Groups of rows: append, tail, catch-up, end-to-end, memory, idle,
    /// distance. All by default.
    groups: Vec<String>,
    /// The engines whose names contain one of these texts. All by default.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<String>,
    /// How often each contender has its turn. The tables have the medians.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Each row once with a hundredth of the load, to see that it works. Engines that are not
    /// installed are left out.
    #[arg(long)]
    smoke: bool,
    /// Writes the figures that the program `scale` reads into this file.
    #[arg(long)]
    figures: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Counts instructions, by valgrind.
    Instructions {
        /// `--check FILE` or `--update FILE`.
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        counts_use: Vec<String>,
    },
    /// Runs the loop that is counted.
    #[command(hide = true)]
    Loop,
    /// Runs a process of `end-to-end` or `memory`.
    #[command(hide = true)]
    Process(process::Process),
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rangewatch-bridge-benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    let report = Report::new(COMMAND);
    match args.command {
        None => {}
        Some(Command::Loop) => {
            instructions::run_loop()?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Process(process)) => {
            process.run()?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Instructions { counts_use }) => {
            let counts_use = Use::parse(&counts_use);
            let counts_use =
                counts_use.ok_or("usage: instructions [--check FILE | --update FILE]")?;
            return Ok(instructions::run(&report, &counts_use));
        }
    }
    report.heading();
    if args.smoke {
        report.note("each row runs once: the times mean nothing");
    }
    let mut figures = Figures::default();
    for engine in engines::ENGINES {
        let is_chosen = |text: &String| engine.name.contains(text.as_str());
        if !args.engines.is_empty() && !args.engines.iter().any(is_chosen) {
            continue;
        }
        let server = match engine.start() {
            Ok(server) => server,
            Err(error) if args.smoke => {
                eprintln!("without {}: {error}", engine.name);
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut bench = Bench {
            engine: engine.name,
            client: engines::client(&server.url)?,
            server,
            runtime: process::runtime()?,
            n_rounds: if args.smoke { 1 } else { args.rounds.max(1) },
            share: if args.smoke { 100 } else { 1 },
            report: &report,
            figures: &mut figures,
        };
        for (name, run) in GROUPS {
            if args.groups.is_empty() || args.groups.iter().any(|group| group == name) {
                run(&mut bench)?;
            }
        }
    }
    if let Some(file) = args.figures {
        std::fs::write(file, figures.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of a group of rows, and the function that measures and prints them.
type Group = (&'static str, fn(&mut Bench<'_>) -> Result<()>);

const GROUPS: &[Group] = &[
    ("append", append::run),
    ("tail", tail::run),
    ("catch-up", catch_up::run),
    ("end-to-end", end_to_end::run),
    ("memory", memory::run),
    ("idle", idle::run),
    ("distance", distance::run),
];
