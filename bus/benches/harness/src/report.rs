//! The printed tables.
#![expect(
    clippy::print_stdout,
    reason = "the tables are the output of the benchmarks"
)]

use std::process::Command;

use crate::{Contender, Effort, measure};

/// Prints the results of a benchmark program, in Markdown.
#[derive(Debug)]
pub struct Report {
    command: &'static str,
}

impl Report {
    /// A report of the program that `command` runs, which its arguments follow.
    #[must_use]
    pub const fn new(command: &'static str) -> Self {
        Self { command }
    }

    /// Prints a line of text.
    pub fn note(&self, text: &str) {
        println!("{text}");
    }

    /// Prints the machine, the compiler, the commit, the date and the command.
    pub fn heading(&self) {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1))
            .map_or("an unknown processor", str::trim);
        let n_cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        println!("machine: {cpu}, {n_cpus} threads, {}", std::env::consts::OS);
        println!("compiler: {}", output_of("rustc", &["--version"]));
        let commit = output_of("git", &["describe", "--always", "--dirty"]);
        println!("commit: {commit}");
        println!("date: {}", output_of("date", &["-u", "+%Y-%m-%d"]));
        let args: Vec<String> = std::env::args().skip(1).collect();
        println!("command: {} -- {}", self.command, args.join(" "));
    }

    /// Prints the heading of a group of rows.
    pub fn group(&self, name: &str) {
        println!("\n## {name}\n");
    }

    /// Prints the head of a table.
    pub fn table(&self, columns: &[&str]) {
        println!("| {} |", columns.join(" | "));
        println!("|{}", "---|".repeat(columns.len()));
    }

    /// Measures and prints one row in nanoseconds per operation. A ratio is the time of a contender
    /// divided by that of the first one.
    pub fn row(&self, effort: Effort, name: &str, contenders: &mut [Contender<'_>]) {
        let times = measure(effort, contenders);
        let mut cells = vec![name.to_owned()];
        for (i, time) in times.iter().enumerate() {
            let ratio = if i == 0 {
                String::new()
            } else {
                format!(" ({:.2}x)", time / times[0])
            };
            cells.push(format!("{}{ratio}", nanos(*time)));
        }
        self.cells(&cells);
    }

    /// Prints one row of cells.
    pub fn cells(&self, cells: &[String]) {
        println!("| {} |", cells.join(" | "));
    }
}

/// What a program prints, or "unknown".
fn output_of(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().ok();
    output
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Formats a time in nanoseconds, in the unit in which it is short.
#[must_use]
pub fn nanos(time: f64) -> String {
    match time {
        ..1e3 => format!("{time:.0} ns"),
        ..1e5 => format!("{:.2} us", time / 1e3),
        ..1e8 => format!("{:.2} ms", time / 1e6),
        _ => format!("{:.2} s", time / 1e9),
    }
}

/// Formats a number of operations per second, in the unit in which it is short.
#[must_use]
pub fn per_second(rate: f64) -> String {
    match rate {
        ..1e3 => format!("{rate:.0}/s"),
        ..1e6 => format!("{:.1} k/s", rate / 1e3),
        _ => format!("{:.2} M/s", rate / 1e6),
    }
}

/// Formats a value that must not exceed `goal`, both with `show`.
pub fn at_most(value: f64, goal: f64, show: impl Fn(f64) -> String) -> String {
    let missed = if value > goal { ": missed" } else { "" };
    format!("{} (goal {}{missed})", show(value), show(goal))
}
