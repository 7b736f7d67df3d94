//! The figures that the page about scale is computed from.

use std::collections::BTreeMap;
use std::fmt;

/// Measured figures by name, such as `redis/append 100/bridge client ns`.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub(crate) fn insert(&mut self, name: String, value: f64) {
        self.0.insert(name, value);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            writeln!(f, "{name} = {value:.0}")?;
        }
        Ok(())
    }
}
