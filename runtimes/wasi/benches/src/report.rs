//! Printing the tables.
#![expect(clippy::print_stdout, reason = "the program prints tables")]

use std::process::Command;

/// Prints rows as they are measured.
pub(crate) struct Report;

impl Report {
    pub(crate) fn note(&self, text: &str) {
        println!("{text}");
    }

    /// The machine, the commit, the command and the date, without which the numbers cannot be
    /// compared.
    pub(crate) fn heading(&self) {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split(':').nth(1))
            .map_or("an unknown processor", str::trim);
        let n_cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let say = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).output().ok();
            let said = output.filter(|output| output.status.success());
            said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| "unknown".to_owned())
        };
        println!("machine: {cpu}, {n_cpus} threads, {}", std::env::consts::OS);
        println!("compiler: {}", say("rustc", &["--version"]));
        println!(
            "commit: {}",
            say("git", &["describe", "--always", "--dirty"])
        );
        println!("date: {}", say("date", &["-u", "+%Y-%m-%d"]));
        let args: Vec<String> = std::env::args().skip(1).collect();
        println!("command: cargo run --profile bench -- {}", args.join(" "));
    }

    pub(crate) fn group(&self, name: &str) {
        println!("\n## {name}\n");
    }

    pub(crate) fn table(&self, columns: &[&str]) {
        println!("| {} |", columns.join(" | "));
        println!("|{}", "---|".repeat(columns.len()));
    }

    pub(crate) fn cells(&self, cells: &[String]) {
        println!("| {} |", cells.join(" | "));
    }
}

/// Formats a time with a suitable unit.
pub(crate) fn nanos(time: f64) -> String {
    match time {
        ..1e3 => format!("{time:.0} ns"),
        ..1e5 => format!("{:.2} us", time / 1e3),
        ..1e8 => format!("{:.2} ms", time / 1e6),
        _ => format!("{:.2} s", time / 1e9),
    }
}

/// The ratios of the peer's time to this crate's, as a guest and in a linker, and the goal for the
/// guest. Marks a missed goal.
pub(crate) fn at_least([guest, linker]: [f64; 2], goal: Option<f64>) -> String {
    let said = format!("{guest:.1}x, {linker:.1}x");
    match goal {
        None => said,
        Some(goal) if guest < goal => format!("{said} (goal {goal}x: missed)"),
        Some(goal) => format!("{said} (goal {goal}x)"),
    }
}

/// A value with its upper limit `goal`, both formatted by `show`. Marks a missed goal.
pub(crate) fn at_most(value: f64, goal: f64, show: impl Fn(f64) -> String) -> String {
    let missed = if value > goal { ": missed" } else { "" };
    format!("{} (goal {}{missed})", show(value), show(goal))
}
