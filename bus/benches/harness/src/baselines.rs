//! Committed instruction counts, which a change must not exceed by much.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::Report;

/// Measured counts by name, such as `index/find/narrow/65536`. The part of the names before the
/// first `/` is that of a program, which measures all counts with that part.
pub type Counts = BTreeMap<String, f64>;

/// What a program does with its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Use {
    /// Prints them.
    Print,
    /// Fails if one exceeds its baseline in the file.
    Check(PathBuf),
    /// Writes them to the file, as the new baselines.
    Update(PathBuf),
}

impl Use {
    /// Parses what follows the argument `instructions`: nothing, `--check FILE` or `--update FILE`.
    #[must_use]
    pub fn parse(args: &[String]) -> Option<Self> {
        match args {
            [] => Some(Self::Print),
            [option, file] if option == "--check" => Some(Self::Check(file.into())),
            [option, file] if option == "--update" => Some(Self::Update(file.into())),
            _ => None,
        }
    }

    /// Prints a table of the counts, and checks or updates the baselines.
    pub fn apply(&self, report: &Report, counts: &Counts) -> ExitCode {
        let result = match self {
            Self::Print => {
                print(report, counts, None);
                Ok(())
            }
            Self::Check(file) => std::fs::read_to_string(file)
                .map_err(|error| error.to_string())
                .and_then(|text| Baselines::parse(&text))
                .and_then(|baselines| {
                    print(report, counts, Some(&baselines));
                    baselines.check(counts)
                })
                .map_err(|error| format!("{}: {error}", file.display())),
            Self::Update(file) => std::fs::read_to_string(file)
                .map(|text| {
                    print(report, counts, Baselines::parse(&text).ok().as_ref());
                    update(&text, counts)
                })
                .and_then(|text| std::fs::write(file, text))
                .map_err(|error| format!("{}: {error}", file.display())),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                report.note(&format!("\n{error}"));
                ExitCode::FAILURE
            }
        }
    }
}

/// The content of a file of baselines: lines of `name = count`, and one of `tolerance = N %`. What
/// follows `#` is a comment.
struct Baselines {
    tolerance_percent: f64,
    counts: Counts,
}

impl Baselines {
    fn parse(text: &str) -> Result<Self, String> {
        let mut tolerance = None;
        let mut counts = Counts::new();
        for line in text.lines() {
            let Some((name, value)) = entry(line) else {
                if without_comment(line).is_empty() {
                    continue;
                }
                return Err(format!("`{line}` is not `name = count`"));
            };
            let number = value.trim_end_matches('%').trim().parse();
            let number = number.map_err(|_| format!("`{line}` has no number"))?;
            if name == "tolerance" {
                tolerance = Some(number);
            } else if counts.insert(name.to_owned(), number).is_some() {
                return Err(format!("{name} has two baselines: remove one"));
            }
        }
        Ok(Self {
            tolerance_percent: tolerance.ok_or("add a line `tolerance = 5 %`")?,
            counts,
        })
    }

    fn rose(&self, count: f64, baseline: f64) -> bool {
        count > baseline * (1.0 + self.tolerance_percent / 100.0)
    }

    /// Compares each count with its baseline, and finds the baselines without a count.
    fn check(&self, counts: &Counts) -> Result<(), String> {
        let mut failures = Vec::new();
        for (name, count) in counts {
            match self.counts.get(name) {
                Some(baseline) if self.rose(*count, *baseline) => failures.push(format!(
                    "{name} takes {count:.0} instructions, {:.1} % more than the baseline of {baseline:.0}",
                    (count / baseline - 1.0) * 100.0
                )),
                Some(_) => {}
                None => failures.push(format!("{name} has no baseline: add `{name} = {count:.0}`")),
            }
        }
        let program = |name: &String| name.split('/').next().map(str::to_owned);
        let ours: Vec<_> = counts.keys().map(program).collect();
        for name in self.counts.keys() {
            if !counts.contains_key(name) && ours.contains(&program(name)) {
                failures.push(format!(
                    "{name} is not counted any more: remove its baseline"
                ));
            }
        }
        if failures.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{}\n\nThe tolerance is {} %. If more instructions are what a change needs, raise the baseline: run the \
             same command with `--update` instead of `--check`, and say in the commit why.",
            failures.join("\n"),
            self.tolerance_percent
        ))
    }
}

fn print(report: &Report, counts: &Counts, baselines: Option<&Baselines>) {
    report.table(&["", "instructions", "baseline", "change"]);
    for (name, count) in counts {
        let baseline = baselines.and_then(|baselines| baselines.counts.get(name));
        report.cells(&[
            name.clone(),
            format!("{count:.0}"),
            baseline.map_or_else(String::new, |baseline| format!("{baseline:.0}")),
            baseline.map_or_else(String::new, |baseline| {
                format!("{:+.1} %", (count / baseline - 1.0) * 100.0)
            }),
        ]);
    }
}

/// Replaces the counts in the text of a file, and appends those that it does not have.
fn update(text: &str, counts: &Counts) -> String {
    let mut missing = counts.clone();
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let count = entry(line).and_then(|(name, _)| Some((name, missing.remove(name)?)));
            count.map_or_else(
                || line.to_owned(),
                |(name, count)| format!("{name} = {count:.0}"),
            )
        })
        .collect();
    lines.extend(
        missing
            .iter()
            .map(|(name, count)| format!("{name} = {count:.0}")),
    );
    lines.join("\n") + "\n"
}

fn entry(line: &str) -> Option<(&str, &str)> {
    let (name, value) = without_comment(line).split_once('=')?;
    Some((name.trim(), value.trim()))
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# why\ntolerance = 5 %\n\na/x = 100 # a comment\na/y = 200\nb/z = 300\n";

    fn counts(counts: &[(&str, f64)]) -> Counts {
        counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn a_count_within_the_tolerance_passes() {
        let baselines = Baselines::parse(FILE).unwrap();
        let counts = counts(&[("a/x", 104.9), ("a/y", 10.0)]);
        assert_eq!(baselines.check(&counts), Ok(()));
    }

    #[test]
    fn a_count_that_rose_is_named() {
        let baselines = Baselines::parse(FILE).unwrap();
        let error = baselines.check(&counts(&[("a/x", 105.1), ("a/y", 200.0)]));
        let error = error.unwrap_err();
        assert!(error.contains("a/x takes 105 instructions"), "{error}");
        assert!(!error.contains("a/y"), "{error}");
    }

    #[test]
    fn each_count_of_a_program_has_a_baseline_and_each_baseline_a_count() {
        let baselines = Baselines::parse(FILE).unwrap();
        let error = baselines.check(&counts(&[("a/x", 100.0), ("a/new", 7.0)]));
        let error = error.unwrap_err();
        assert!(error.contains("add `a/new = 7`"), "{error}");
        assert!(error.contains("a/y is not counted"), "{error}");
        assert!(!error.contains("b/z"), "{error}");
    }

    #[test]
    fn an_update_keeps_what_it_does_not_count() {
        let updated = update(FILE, &counts(&[("a/y", 210.4), ("c/new", 7.0)]));
        let expected =
            "# why\ntolerance = 5 %\n\na/x = 100 # a comment\na/y = 210\nb/z = 300\nc/new = 7\n";
        assert_eq!(updated, expected);
    }
}
