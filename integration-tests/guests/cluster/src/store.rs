//! Values of keys at each revision.

use std::collections::BTreeMap;

/// Values of keys at each revision.
#[derive(Default)]
pub(crate) struct Store {
    /// The values of each key, with the revisions that wrote them.
    values: BTreeMap<String, Vec<(u64, String)>>,
    /// The keys that each revision changed, in order. The first is revision 1.
    changes: Vec<Vec<String>>,
}

impl Store {
    /// The last revision, 0 if nothing was written.
    pub(crate) fn revision(&self) -> u64 {
        self.changes.len() as u64
    }

    /// Writes values, as one revision.
    pub(crate) fn write(&mut self, entries: impl IntoIterator<Item = (String, String)>) {
        let revision = self.revision() + 1;
        let mut keys = Vec::new();
        for (key, value) in entries {
            let values = self.values.entry(key.clone()).or_default();
            values.push((revision, value));
            keys.push(key);
        }
        keys.sort();
        self.changes.push(keys);
    }

    /// The keys that a revision changed, none if it was not applied.
    pub(crate) fn keys(&self, revision: u64) -> &[String] {
        let index = (revision as usize).wrapping_sub(1);
        self.changes.get(index).map_or(&[], Vec::as_slice)
    }

    /// The value of a key at a revision.
    pub(crate) fn at(&self, revision: u64, key: &str) -> Option<&str> {
        value_at(self.values.get(key)?, revision)
    }

    /// The keys that begin with `prefix`, without it, and their values at a revision.
    pub(crate) fn list(&self, revision: u64, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.values.range(prefix.to_owned()..);
        let entries =
            entries.map_while(move |(key, values)| Some((key.strip_prefix(prefix)?, values)));
        entries.filter_map(move |(name, values)| Some((name, value_at(values, revision)?)))
    }
}

fn value_at(values: &[(u64, String)], revision: u64) -> Option<&str> {
    let n_before = values.partition_point(|(written, _)| *written <= revision);
    let (_, value) = values[..n_before].last()?;
    Some(value)
}
