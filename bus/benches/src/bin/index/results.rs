//! What was measured, as tables.

use rangewatch_bench_harness::{Report, nanos, per_second};

use crate::beside::Rates;
use crate::peers::KINDS;

/// One operation of one workload at one size, for each index that was not left out.
pub(crate) struct Row<T> {
    pub(crate) operation: &'static str,
    pub(crate) workload: &'static str,
    pub(crate) n: usize,
    /// The mean number of ranges that hold a key.
    pub(crate) hits: f64,
    pub(crate) values: Vec<(&'static str, T)>,
}

/// A table of rows, whose columns are the indexes.
pub(crate) struct Table<'a> {
    report: &'a Report,
    names: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// Prints the head of a table.
    pub(crate) fn start(report: &'a Report, names: Vec<&'static str>) -> Self {
        let mut columns = vec!["operation", "workload", "ranges", "hits"];
        columns.extend(&names);
        report.table(&columns);
        Self { report, names }
    }

    /// Prints a row of nanoseconds.
    pub(crate) fn times(&self, row: &Row<f64>) {
        self.row(row, |time, ours| {
            with_ratio(nanos(*time), ours.map(|ours| time / ours))
        });
    }

    /// Prints a row of bytes per range.
    pub(crate) fn bytes(&self, row: &Row<f64>) {
        self.row(row, |bytes, ours| {
            with_ratio(format!("{bytes:.0}"), ours.map(|ours| bytes / ours))
        });
    }

    /// Prints a row of operations per second: the greater, the better.
    pub(crate) fn rates(&self, row: &Row<Rates>) {
        self.row(row, |rates, ours| {
            let reads = with_ratio(
                per_second(rates.reads),
                ours.map(|ours| rates.reads / ours.reads),
            );
            format!("{reads}, writer {}", per_second(rates.writes))
        });
    }

    /// `show` formats a value, given ours if the value is not ours. An index that was left out has
    /// a dash.
    fn row<T>(&self, row: &Row<T>, show: impl Fn(&T, Option<&T>) -> String) {
        let value_of = |name| {
            let value = row.values.iter().find(|(other, _)| *other == name);
            value.map(|(_, value)| value)
        };
        let ours = KINDS[0].0;
        let mut cells = vec![
            row.operation.to_owned(),
            row.workload.to_owned(),
            row.n.to_string(),
            format!("{:.0}", row.hits),
        ];
        cells.extend(self.names.iter().map(|name| {
            let our_value = value_of(ours).filter(|_| *name != ours);
            value_of(name).map_or_else(|| "-".to_owned(), |value| show(value, our_value))
        }));
        self.report.cells(&cells);
    }
}

fn with_ratio(value: String, ratio: Option<f64>) -> String {
    match ratio {
        Some(ratio) => format!("{value} ({ratio:.2}x)"),
        None => value,
    }
}
