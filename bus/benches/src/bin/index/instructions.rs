//! The instructions that operations of our index take.

use std::hint::black_box;
use std::process::ExitCode;

use rangewatch_bench_harness::{Counts, Report, Use, count, instrumented};

use crate::peers::KINDS;
use crate::population::Population;
use crate::workload::WORKLOADS;

/// The argument with which this program runs the operations that are counted.
pub(crate) const COUNTED: &str = "counted";

/// How many times each operation is run on an index, and on how many indexes: their hash tables
/// have seeds of their own, and a collision there may cost each lookup.
const N_OPERATIONS: usize = 512;
const N_INDEXES: usize = 4;
const N: usize = N_INDEXES * N_OPERATIONS;

/// What is counted: a workload, the number of ranges, the operations.
const COUNTS: &[(&str, &str, &[&str])] = &[
    ("narrow", "65536", &["find", "find_any", "insert", "remove"]),
    (
        "narrow",
        "1048576",
        &["find", "find_any", "insert", "remove"],
    ),
    ("k8s", "65536", &["find", "find_any", "insert", "remove"]),
    ("k8s", "1048576", &["find", "insert", "remove"]),
    ("dense", "65536", &["find", "insert", "remove"]),
    ("hot100", "65536", &["find", "insert", "remove"]),
    ("wide", "65536", &["insert", "remove"]),
    ("lengths", "65536", &["find", "insert", "remove"]),
    ("same-end", "65536", &["find", "insert", "remove"]),
    ("scattered", "65536", &["find"]),
    ("equal", "64", &["insert", "remove"]),
    ("equal", "65536", &["insert", "remove"]),
];

pub(crate) fn run(report: &Report, counts_use: &Use) -> ExitCode {
    report.heading();
    report.group("instructions");
    report.note(&format!(
        "The mean of {N} operations on {N_INDEXES} indexes.\n"
    ));
    let mut counts = Counts::new();
    for (workload, n, operations) in COUNTS {
        let counted = match count(&[&[COUNTED, workload, n], *operations].concat()) {
            Ok(counted) => counted,
            Err(error) => {
                report.note(&error);
                return ExitCode::FAILURE;
            }
        };
        for (operation, count) in counted {
            let name = format!("index/{operation}/{workload}/{n}");
            counts.insert(name, count as f64 / N as f64);
        }
    }
    counts_use.apply(report, &counts)
}

/// Runs `WORKLOAD N OPERATION...`.
pub(crate) fn run_counted(args: &[String]) -> ExitCode {
    let parsed = || {
        let (workload, args) = args.split_first()?;
        let (n, operations) = args.split_first()?;
        let workload = WORKLOADS.iter().find(|it| it.name == *workload)?;
        Some((workload.data(n.parse().ok()?), operations))
    };
    let Some((data, operations)) = parsed() else {
        return ExitCode::FAILURE;
    };
    let largest = N_OPERATIONS.min(data.ranges.len() - data.n);
    for _ in 0..N_INDEXES {
        let mut population = Population::filled(&data, KINDS[0]);
        // The scratch buffers grow.
        population.find_any();
        for operation in operations {
            for _ in 0..N_OPERATIONS / largest {
                if !run_operations(&mut population, operation, largest) {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

/// Runs an operation `n` times; `false` if there is no operation of that name.
fn run_operations(population: &mut Population<'_>, operation: &str, n: usize) -> bool {
    match operation {
        "find" => instrumented(|| counted_find(population, n)),
        "find_any" => instrumented(|| counted_find_any(population, n)),
        "insert" => {
            instrumented(|| counted_insert(population, n));
            (0..n).for_each(|_| population.remove());
        }
        "remove" => {
            (0..n).for_each(|_| population.insert());
            instrumented(|| counted_remove(population, n));
        }
        _ => return false,
    }
    true
}

// Valgrind attributes instructions by the names of these functions, so they must not be inlined.

#[inline(never)]
fn counted_find(population: &mut Population<'_>, n: usize) {
    for _ in 0..n {
        black_box(population.find());
    }
}

#[inline(never)]
fn counted_find_any(population: &mut Population<'_>, n: usize) {
    for _ in 0..n {
        black_box(population.find_any());
    }
}

#[inline(never)]
fn counted_insert(population: &mut Population<'_>, n: usize) {
    for _ in 0..n {
        population.insert();
    }
}

#[inline(never)]
fn counted_remove(population: &mut Population<'_>, n: usize) {
    for _ in 0..n {
        population.remove();
    }
}
