//! Ranges of the keys that begin with a prefix.

use super::entries::Entries;
use super::key_table::KeyTable;
use super::sorted_keys::SortedKeys;
use super::words::common_prefix;

/// A hash table of prefixes, and the lengths that they have: a lookup hashes the start of its key
/// once for each length.
pub(super) struct Prefixes<V> {
    table: KeyTable<V>,
    /// The lengths, each with the number of distinct prefixes that have it.
    lengths: Vec<(usize, usize)>,
}

/// How many lengths there may be. Each costs every lookup a probe of the table; prefixes of further
/// lengths are stored as general ranges.
const MAX_LENGTHS: usize = 4;

impl<V: Copy> Prefixes<V> {
    pub(super) fn new() -> Self {
        Self {
            table: KeyTable::new(),
            lengths: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Whether a prefix of this length can be inserted.
    pub(super) fn admits(&self, len: usize) -> bool {
        self.lengths.len() < MAX_LENGTHS || self.lengths.iter().any(|&(other, _)| other == len)
    }

    /// Adds a value under the prefix that is the start of the range of `entry`.
    pub(super) fn insert(&mut self, entries: &mut Entries, entry: u32, value: V) {
        let len = entries.range(entry).start().len();
        if !self.table.insert(entries, entry, value) {
            return;
        }
        match self.lengths.iter_mut().find(|(other, _)| *other == len) {
            Some((_, n_prefixes)) => *n_prefixes += 1,
            None => self.lengths.push((len, 1)),
        }
    }

    /// Removes the value of `entry`, which is stored here, and returns it.
    pub(super) fn remove(&mut self, entries: &mut Entries, entry: u32) -> Option<V> {
        let len = entries.range(entry).start().len();
        let (value, is_gone) = self.table.remove(entries, entry)?;
        if is_gone {
            for (other, n_prefixes) in &mut self.lengths {
                *n_prefixes -= usize::from(*other == len);
            }
            self.lengths.retain(|&(_, n_prefixes)| n_prefixes > 0);
        }
        Some(value)
    }

    /// Appends the values under the prefixes of `key` to `found`.
    pub(super) fn find(&self, entries: &Entries, key: &[u8], found: &mut Vec<V>) {
        for &(len, _) in &self.lengths {
            if let Some(prefix) = key.get(..len) {
                self.table.find(entries, prefix, found);
            }
        }
    }

    /// Appends the values under the prefixes of any of `keys` to `found`, each once.
    pub(super) fn find_any(&self, entries: &Entries, keys: &SortedKeys<'_>, found: &mut Vec<V>) {
        if self.is_empty() {
            return;
        }
        let mut before: Option<&[u8]> = None;
        for key in keys.iter() {
            // Keys that share a prefix follow one another.
            let n_shared = before.map(|before| common_prefix(before, key, 0));
            for &(len, _) in &self.lengths {
                match key.get(..len) {
                    Some(prefix) if n_shared.is_none_or(|shared| shared < len) => {
                        self.table.find(entries, prefix, found);
                    }
                    _ => {}
                }
            }
            before = Some(key);
        }
    }
}
