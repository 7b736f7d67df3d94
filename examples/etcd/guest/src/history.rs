//! The keys that were present at a past revision.

use crate::proto::mvccpb::KeyValue;
use crate::records::{self, Change, HistoryEntry, Revision};
use crate::store::{Scan, Store};

/// Changes of one key that a scan reads before it seeks the key's last change and the next key.
const MAX_SCANNED_CHANGES: usize = 256;

/// A cursor over the keys of a range that were present at a revision, in order.
#[derive(Debug)]
pub(crate) struct History<'s, 'r, S> {
    store: &'s S,
    to: Option<&'r [u8]>,
    at: i64,
    scan: Scan<'s, S>,
    /// The escaped key that the scan is at, and the last of its changes up to `at` so far.
    current: Option<(Vec<u8>, Option<Change>)>,
    /// Changes of the current key that were scanned.
    n_scanned: usize,
}

impl<'s, 'r, S: Store> History<'s, 'r, S> {
    pub(crate) fn new(store: &'s S, from: &[u8], to: Option<&'r [u8]>, at: i64) -> Self {
        Self {
            store,
            to,
            at,
            scan: records::scan_history(store, from, to),
            current: None,
            n_scanned: 0,
        }
    }

    /// Returns the revision of the last put of the next present key.
    pub(crate) fn next(&mut self) -> Option<Revision> {
        loop {
            let Some(entry) = self.scan.next().map(HistoryEntry::decode) else {
                let (_, change) = self.current.take()?;
                return last_put(change);
            };
            let change = Some(entry.change).filter(|change| change.revision.main <= self.at);
            let finished = match &mut self.current {
                Some((key, last)) if key == entry.escaped_key() => {
                    *last = change.or(*last);
                    self.n_scanned += 1;
                    (self.n_scanned == MAX_SCANNED_CHANGES).then(|| self.seek_next_key())
                }
                current => {
                    let next = (entry.escaped_key().to_vec(), change);
                    self.n_scanned = 1;
                    current.replace(next).map(|(_, change)| change)
                }
            };
            if let Some(put) = finished.and_then(last_put) {
                return Some(put);
            }
        }
    }

    /// Moves behind all changes of the current key and returns its last one up to `at`.
    fn seek_next_key(&mut self) -> Option<Change> {
        let (escaped, _) = self.current.take()?;
        let mut key = records::unescape(&escaped);
        let change = last_change_at(self.store, &key, self.at);
        key.push(0);
        self.scan = records::scan_history(self.store, &key, self.to);
        change
    }
}

/// Returns the key-value pair that was present at a revision.
pub(crate) fn present_at(store: &impl Store, key: &[u8], at: i64) -> Option<KeyValue> {
    let put = last_put(last_change_at(store, key, at))?;
    records::event(store, put).kv
}

fn last_change_at(store: &impl Store, key: &[u8], at: i64) -> Option<Change> {
    records::last_change(store, key, Revision::first(at + 1))
}

/// The revision of a change that left the key present.
fn last_put(change: Option<Change>) -> Option<Revision> {
    let change = change.filter(|change| !change.is_delete)?;
    Some(change.revision)
}
