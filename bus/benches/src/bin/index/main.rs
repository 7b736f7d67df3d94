//! Benchmarks of the index of ranges, compared with others.
//!
//! The README of this package says how to run them and explains the workloads.

mod agreement;
mod instructions;
mod operations;
mod peers;
mod population;
mod random;
mod selection;
mod workload;

use std::process::ExitCode;

use rangewatch_bench_harness::{Contender, Report, Use, measure, nanos};

use operations::Operation;
use peers::KINDS;
use population::Population;
use selection::Selection;

const USAGE: &str = "usage: index [--smoke] [WORKLOAD | SIZE | OPERATION | INDEX]...
       index instructions [--check FILE | --update FILE]

Without a workload all are measured, and likewise the sizes, the operations and the indexes.
workloads: narrow, k8s, hot100, hot1000, wide, same-end, nested, lengths, scattered, equal
sizes: any; without one 256, 4096, 65536 and 1048576
operations: find, find_any, insert, remove, mixed
indexes: ours, rangemap, BTreeMap, iset, rb-interval-map
--smoke runs each row once, at the smallest size, to check that it works.
instructions counts those of our index, with valgrind, and compares them with the baselines in FILE.";

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
        _ => {
            if let Some(selection) = Selection::parse(args.into_iter()) {
                return run(&report, &selection);
            }
        }
    }
    report.note(USAGE);
    ExitCode::FAILURE
}

fn run(report: &Report, selection: &Selection) -> ExitCode {
    report.heading();
    report.group("index");
    let mut columns = vec!["operation", "workload", "ranges", "hits"];
    columns.extend(selection.kinds.iter().map(|(name, _)| *name));
    report.table(&columns);
    for workload in &selection.workloads {
        let mut too_slow = vec![false; KINDS.len()];
        for n in &selection.sizes {
            let data = workload.data(*n);
            let mut built = Vec::new();
            for (kind, too_slow) in selection.kinds.iter().zip(&mut too_slow) {
                if !*too_slow {
                    let population = Population::new(&data, *kind);
                    *too_slow = population.is_none();
                    built.extend(population.map(|population| (kind.0, population)));
                }
            }
            let hits = agreement::check(&mut built);
            for operation in &selection.operations {
                let times = times(selection, *operation, &mut built);
                let mut cells = vec![
                    operation.name.to_owned(),
                    workload.name.to_owned(),
                    n.to_string(),
                    format!("{hits:.0}"),
                ];
                cells.extend(selection.kinds.iter().map(|(name, _)| cell(&times, name)));
                report.cells(&cells);
            }
        }
    }
    ExitCode::SUCCESS
}

/// The name of each index, and its nanoseconds per operation.
type Times<'a> = Vec<(&'a str, f64)>;

fn times<'a>(
    selection: &Selection,
    operation: Operation,
    built: &mut [(&'a str, Population<'_>)],
) -> Times<'a> {
    let names: Vec<_> = built.iter().map(|(name, _)| *name).collect();
    let mut contenders: Vec<Contender<'_>> = built
        .iter_mut()
        .map(|(_, population)| operation.contender(population))
        .collect();
    let times = measure(selection.effort, &mut contenders);
    names.into_iter().zip(times).collect()
}

/// A time, and its ratio to ours; a dash for an index that was left out.
fn cell(times: &Times<'_>, name: &str) -> String {
    let time_of = |name| times.iter().find(|(other, _)| *other == name);
    let Some((_, time)) = time_of(name) else {
        return "-".to_owned();
    };
    match time_of(KINDS[0].0) {
        Some((ours, our_time)) if *ours != name => {
            format!("{} ({:.2}x)", nanos(*time), time / our_time)
        }
        _ => nanos(*time),
    }
}
