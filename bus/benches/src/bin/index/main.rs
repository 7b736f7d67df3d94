//! Benchmarks of the index of ranges, compared with others.
//!
//! The README of this package says how to run them and explains the workloads.

mod agreement;
mod beside;
mod files;
mod instructions;
mod memory;
mod operations;
mod peers;
mod plot;
mod population;
mod results;
mod selection;
mod workload;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use rangewatch_bench_harness::{Contender, Effort, Report, Use, measure};

use beside::Lock;
use operations::Operation;
use peers::KINDS;
use population::Population;
use results::{Row, Table};
use selection::Selection;

const USAGE: &str = "usage: index [--smoke] [--svg FILE] [WORKLOAD | SIZE | OPERATION | INDEX]...
       index write FOLDER [WORKLOAD | SIZE]...
       index instructions [--check FILE | --update FILE]

Without a workload all are measured, and likewise the sizes, the operations and the indexes.
workloads: narrow, dense, k8s, hot100, hot1000, wide, same-end, nested, lengths, scattered, equal
sizes: any from 16 on; without one 256, 4096, 65536 and 1048576
operations: find, find_any, insert, remove, mixed, memory, beside
indexes: ours, rangemap, BTreeMap, iset, rb-interval-map
--smoke runs each row once, at the smallest size, to check that it works. --svg writes
a plot of find and insert. `write` writes the workloads to files.
`instructions` counts those of our index, with valgrind, and compares them with the baselines in FILE.";

fn main() -> ExitCode {
    let report =
        Report::new("cargo run --profile bench --package rangewatch-bus-benches --bin index");
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((first, args)) if first == instructions::COUNTED => {
            return instructions::run_counted(args);
        }
        Some((first, args)) if first == "instructions" => {
            if let Some(counts_use) = Use::parse(args) {
                return instructions::run(&report, &counts_use);
            }
        }
        Some((first, args)) if first == "write" => {
            if let Some((folder, args)) = args.split_first() {
                match Selection::parse(args.iter().cloned()) {
                    Ok(selection) => {
                        let written = files::write(&report, folder.as_ref(), &selection);
                        return exit_code(&report, folder.as_ref(), written);
                    }
                    Err(error) => report.note(&format!("{error}\n")),
                }
            }
        }
        Some((first, _)) if first == "--help" => {}
        _ => match Selection::parse(args.into_iter()) {
            Ok(selection) => return run(&report, &selection),
            Err(error) => report.note(&format!("{error}\n")),
        },
    }
    report.note(USAGE);
    ExitCode::FAILURE
}

fn run(report: &Report, selection: &Selection) -> ExitCode {
    report.heading();
    if selection.effort == Effort::Smoke {
        report.note("each row runs once: the times mean nothing");
    }
    let names = || selection.kinds.iter().map(|(name, _)| *name).collect();
    let table = (!selection.operations.is_empty()).then(|| {
        report.group("index");
        Table::start(report, names())
    });
    let (mut times, mut bytes, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for workload in &selection.workloads {
        let mut too_slow = vec![false; selection.kinds.len()];
        for n in &selection.sizes {
            let data = workload.data(*n);
            let mut built = Vec::new();
            let mut bytes_of = Vec::new();
            for (kind, too_slow) in selection.kinds.iter().zip(&mut too_slow) {
                let population = if *too_slow {
                    None
                } else {
                    Population::new(&data, *kind)
                };
                // It is not tried at greater sizes.
                *too_slow = population.is_none();
                if let Some((population, bytes)) = population {
                    built.push((kind.0, population));
                    bytes_of.push((kind.0, bytes));
                }
            }
            let hits = agreement::check(&mut built);
            for operation in &selection.operations {
                let values = time(selection.effort, *operation, &mut built);
                let row = Row {
                    operation: operation.name,
                    workload: workload.name,
                    n: *n,
                    hits,
                    values,
                };
                table.iter().for_each(|table| table.times(&row));
                times.push(row);
            }
            if selection.memory {
                let values = bytes_of.into_iter().map(|(name, bytes)| {
                    let bytes = if name == KINDS[0].0 {
                        memory::of_ours(&data)
                    } else {
                        bytes + memory::of_bounds(&data)
                    };
                    (name, bytes as f64 / *n as f64)
                });
                let values = values.collect();
                bytes.push(Row {
                    operation: "bytes per range",
                    workload: workload.name,
                    n: *n,
                    hits,
                    values,
                });
            }
            for lock in Lock::ALL.into_iter().filter(|_| selection.beside) {
                let mut values = Vec::new();
                for (name, population) in std::mem::take(&mut built) {
                    let (measured, population) =
                        beside::measure(selection.effort, lock, population);
                    values.push((name, measured));
                    built.push((name, population));
                }
                rates.push(Row {
                    operation: lock.name(),
                    workload: workload.name,
                    n: *n,
                    hits,
                    values,
                });
            }
        }
    }
    if selection.memory {
        report.group("memory");
        let table = Table::start(report, names());
        bytes.iter().for_each(|row| table.bytes(row));
    }
    if selection.beside {
        report.group("one reader beside a writer");
        let table = Table::start(report, names());
        rates.iter().for_each(|row| table.rates(row));
    }
    let Some(file) = &selection.svg else {
        return ExitCode::SUCCESS;
    };
    exit_code(report, file, std::fs::write(file, plot::draw(&times)))
}

/// The name of each index, and its nanoseconds per operation.
fn time(
    effort: Effort,
    operation: Operation,
    built: &mut [(&'static str, Population<'_>)],
) -> Vec<(&'static str, f64)> {
    let names: Vec<_> = built.iter().map(|(name, _)| *name).collect();
    let mut contenders: Vec<Contender<'_>> = built
        .iter_mut()
        .map(|(_, population)| operation.contender(population))
        .collect();
    let times = measure(effort, &mut contenders);
    names.into_iter().zip(times).collect()
}

/// Reports a failure to write `path`.
fn exit_code(report: &Report, path: &Path, result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.note(&format!("{}: {error}", path.display()));
            ExitCode::FAILURE
        }
    }
}
