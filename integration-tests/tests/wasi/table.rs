//! How many programs of each suite pass in each configuration.

use std::collections::BTreeMap;
use std::fmt;

use crate::configuration::Configuration;

/// The results so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: BTreeMap<(String, Configuration), Row>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    n_passed: u32,
    n_run: u32,
}

impl Table {
    pub(crate) fn add(&mut self, suite: &str, configuration: Configuration, passed: bool) {
        let row = self
            .rows
            .entry((suite.to_owned(), configuration))
            .or_default();
        row.n_run += 1;
        row.n_passed += u32::from(passed);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suites = self.rows.keys().map(|(suite, _)| suite.len());
        let width = suites.max().unwrap_or_default();
        for ((suite, configuration), Row { n_passed, n_run }) in &self.rows {
            let configuration = configuration.to_string();
            writeln!(
                f,
                "{suite:width$}  {configuration:34}  {n_passed:3}/{n_run}"
            )?;
        }
        Ok(())
    }
}
