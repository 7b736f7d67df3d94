//! The table that is printed.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::process::Command;

use crate::harness::{Contender, Effort, measure};

/// Prints rows as they are measured.
pub(crate) struct Report;

impl Report {
    pub(crate) fn note(&self, text: &str) {
        println!("{text}");
    }

    /// The machine, the commit and the command: what a number means nothing without.
    pub(crate) fn heading(&self) {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1))
            .map_or("an unknown processor", str::trim);
        let n_cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let version = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            (output.status.success() && !text.is_empty()).then_some(text)
        };
        let unknown = || "unknown".to_owned();
        println!("machine: {cpu}, {n_cpus} threads, {}", std::env::consts::OS);
        let compiler = version("rustc", &["--version"]).unwrap_or_else(unknown);
        println!("compiler: {compiler}");
        let commit = version("git", &["describe", "--always", "--dirty"]);
        println!("commit: {}", commit.unwrap_or_else(unknown));
        let args: Vec<String> = std::env::args().skip(1).collect();
        println!(
            "command: cargo run --profile bench --package rangewatch-bus-benches -- {}",
            args.join(" ")
        );
    }

    pub(crate) fn group(&self, name: &str) {
        println!("\n## {name}\n");
    }

    /// Begins a table of rows, the first contender of which is ours.
    pub(crate) fn table(&self, columns: &[&str]) {
        println!("| {} |", columns.join(" | "));
        println!("|{}", "---|".repeat(columns.len()));
    }

    /// Measures and prints one row in nanoseconds per operation. Ratios say how many times the first
    /// contender's time each other takes.
    pub(crate) fn row(&self, effort: Effort, name: &str, contenders: &mut [Contender<'_>]) {
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

    pub(crate) fn cells(&self, cells: &[String]) {
        println!("| {} |", cells.join(" | "));
    }
}

/// A time in the unit in which it is short.
pub(crate) fn nanos(time: f64) -> String {
    match time {
        ..1e3 => format!("{time:.0} ns"),
        ..1e5 => format!("{:.2} us", time / 1e3),
        ..1e8 => format!("{:.2} ms", time / 1e6),
        _ => format!("{:.2} s", time / 1e9),
    }
}
