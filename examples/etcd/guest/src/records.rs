//! The records in the store.
//!
//! | key | value |
//! |---|---|
//! | `m` | [`Meta`] |
//! | `k` + key | the [`KeyValue`] of a present key, without its key |
//! | `h` + escaped key + revision | 0 for a put, 1 for a delete: the changes of a key in order |
//! | `r` + revision | the [`Event`], without its `prev_kv` |
//! | `l` + lease id | the TTL in seconds |
//! | `a` + lease id + key | nothing: the key is attached to the lease |
//!
//! Integers are big-endian, so that they sort. An escaped key sorts as the key does, whatever comes
//! after it: a zero byte is followed by 0xff, and the end is two zero bytes.

use prost::Message;

use crate::proto::mvccpb::{Event, KeyValue, event::EventType};
use crate::store::{Scan, ScanMode, Store};

const META: &[u8] = b"m";
const PRESENT: u8 = b'k';
const HISTORY: u8 = b'h';
const REVISION: u8 = b'r';
const LEASE: u8 = b'l';
const ATTACHED: u8 = b'a';

/// Bytes of what the history has for a change.
const KIND_BYTES: usize = 1;
/// Bytes of a revision in a key.
const REVISION_BYTES: usize = 12;
/// Ends an escaped key.
const KEY_END: [u8; 2] = [0, 0];

/// A change: the revision of its transaction, and its index among the changes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Revision {
    pub(crate) main: i64,
    pub(crate) sub: u32,
}

impl Revision {
    /// The first change of a transaction.
    pub(crate) fn first(main: i64) -> Self {
        Self { main, sub: 0 }
    }

    fn append_to(self, key: &mut Vec<u8>) {
        key.extend_from_slice(&self.main.to_be_bytes());
        key.extend_from_slice(&self.sub.to_be_bytes());
    }

    fn decode(bytes: &[u8; REVISION_BYTES]) -> Self {
        let (main, sub) = bytes.split_first_chunk().expect("it is longer");
        Self {
            main: i64::from_be_bytes(*main),
            sub: u32::from_be_bytes(sub.try_into().expect("four bytes are left")),
        }
    }
}

/// The revisions of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The last transaction that changed a key.
    pub(crate) head: i64,
    /// The first revision that can be read. Source: etcd's `compactMainRev`, -1 before the first
    /// compaction.
    pub(crate) compact: i64,
    /// The first change that was not scrubbed.
    pub(crate) unscrubbed: Revision,
}

impl Meta {
    pub(crate) fn load(store: &impl Store) -> Self {
        let Some(record) = store.get(META) else {
            return Self {
                head: 1,
                compact: -1,
                unscrubbed: Revision::first(0),
            };
        };
        let (head, rest) = record.split_first_chunk().expect("a record of this guest");
        let (compact, rest) = rest.split_first_chunk().expect("a record of this guest");
        let unscrubbed = rest.first_chunk().expect("a record of this guest");
        Self {
            head: i64::from_be_bytes(*head),
            compact: i64::from_be_bytes(*compact),
            unscrubbed: Revision::decode(unscrubbed),
        }
    }

    pub(crate) fn save(&self, store: &mut impl Store) {
        let mut record = self.head.to_be_bytes().to_vec();
        record.extend_from_slice(&self.compact.to_be_bytes());
        self.unscrubbed.append_to(&mut record);
        store.put(META, &record);
    }
}

/// The keys of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyRange<'r> {
    One(&'r [u8]),
    /// All keys from the first on, before the second if there is one.
    From(&'r [u8], Option<&'r [u8]>),
}

impl<'r> KeyRange<'r> {
    pub(crate) fn new(key: &'r [u8], range_end: &'r [u8]) -> Self {
        match range_end {
            [] => Self::One(key),
            [0] => Self::From(key, None),
            end => Self::From(key, Some(end)),
        }
    }

    pub(crate) fn contains(self, key: &[u8]) -> bool {
        match self {
            Self::One(one) => key == one,
            Self::From(from, to) => from <= key && to.is_none_or(|to| key < to),
        }
    }
}

// ---- Present keys

fn present_key(key: &[u8]) -> Vec<u8> {
    [&[PRESENT], key].concat()
}

pub(crate) fn present(store: &impl Store, key: &[u8]) -> Option<KeyValue> {
    let record = store.get(&present_key(key))?;
    Some(decode_present(key, &record))
}

fn decode_present(key: &[u8], record: &[u8]) -> KeyValue {
    let mut kv = KeyValue::decode(record).expect("a record of this guest");
    kv.key = key.to_vec();
    kv
}

/// A scan of the present keys from `from` on.
pub(crate) fn scan_present<'s, S: Store>(
    store: &'s S,
    from: &[u8],
    to: Option<&[u8]>,
    mode: ScanMode,
) -> Scan<'s, S> {
    let to = to.map_or_else(|| vec![PRESENT + 1], present_key);
    Scan::new(store, present_key(from), Some(to), mode)
}

/// The present key of an entry of [`scan_present`].
pub(crate) fn present_entry((key, record): (&[u8], &[u8])) -> KeyValue {
    decode_present(&key[1..], record)
}

// ---- Changes

fn escape(key: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(1 + key.len() + KEY_END.len() + REVISION_BYTES);
    escaped.push(HISTORY);
    for &byte in key {
        escaped.push(byte);
        if byte == 0 {
            escaped.push(0xff);
        }
    }
    escaped
}

/// The key of an escaped one.
pub(crate) fn unescape(escaped: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(&byte) = bytes.next() {
        key.push(byte);
        if byte == 0 {
            bytes.next();
        }
    }
    key
}

fn history_key(key: &[u8], revision: Revision) -> Vec<u8> {
    let mut record = escape(key);
    record.extend_from_slice(&KEY_END);
    revision.append_to(&mut record);
    record
}

fn revision_key(revision: Revision) -> Vec<u8> {
    let mut key = vec![REVISION];
    revision.append_to(&mut key);
    key
}

/// A change of a key, in the history of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) revision: Revision,
    pub(crate) is_delete: bool,
}

/// A key of the history with one of its changes: an entry of [`scan_history`].
#[derive(Debug)]
pub(crate) struct HistoryEntry<'b> {
    escaped: &'b [u8],
    pub(crate) change: Change,
}

impl<'b> HistoryEntry<'b> {
    pub(crate) fn decode((key, kind): (&'b [u8], &[u8])) -> Self {
        let (key, revision) = key.split_last_chunk().expect("a record of this guest");
        Self {
            escaped: &key[1..key.len() - KEY_END.len()],
            change: Change {
                revision: Revision::decode(revision),
                is_delete: kind == [1],
            },
        }
    }

    pub(crate) fn escaped_key(&self) -> &'b [u8] {
        self.escaped
    }
}

/// A scan of the changes of all keys from `from` on: by key, then by revision.
pub(crate) fn scan_history<'s, S: Store>(
    store: &'s S,
    from: &[u8],
    to: Option<&[u8]>,
) -> Scan<'s, S> {
    let to = to.map_or_else(|| vec![HISTORY + 1], escape);
    Scan::new(store, escape(from), Some(to), ScanMode::Forward)
}

/// The last change of a key before a revision.
pub(crate) fn last_change(store: &impl Store, key: &[u8], before: Revision) -> Option<Change> {
    let from = history_key(key, Revision::first(0));
    let to = history_key(key, before);
    let mut scan = Scan::last(store, from, to, KIND_BYTES);
    Some(HistoryEntry::decode(scan.next()?).change)
}

/// The event of a change that is in the history.
pub(crate) fn event(store: &impl Store, revision: Revision) -> Event {
    let record = store.get(&revision_key(revision));
    let record = record.expect("a change in the history has its event");
    Event::decode(record.as_slice()).expect("a record of this guest")
}

/// A scan of the events of all keys by revision, from `from` on, before `to`.
pub(crate) fn scan_events<S: Store>(store: &S, from: Revision, to: Revision) -> Scan<'_, S> {
    let (from, to) = (revision_key(from), revision_key(to));
    Scan::new(store, from, Some(to), ScanMode::Forward)
}

/// The event of an entry of [`scan_events`].
pub(crate) fn event_entry((key, record): (&[u8], &[u8])) -> (Revision, Event) {
    let revision = key.last_chunk().expect("a record of this guest");
    (
        Revision::decode(revision),
        Event::decode(record).expect("a record of this guest"),
    )
}

/// Adds a put.
pub(crate) fn record_put(store: &mut impl Store, revision: Revision, mut kv: KeyValue) -> Vec<u8> {
    store.put(&history_key(&kv.key, revision), &[0]);
    let key = std::mem::take(&mut kv.key);
    store.put(&present_key(&key), &kv.encode_to_vec());
    kv.key = key;
    let event = Event {
        r#type: EventType::Put.into(),
        kv: Some(kv),
        prev_kv: None,
    };
    store.put(&revision_key(revision), &event.encode_to_vec());
    event.kv.expect("it was given above").key
}

/// Adds a delete of a present key.
pub(crate) fn record_delete(store: &mut impl Store, revision: Revision, key: Vec<u8>) -> Vec<u8> {
    store.put(&history_key(&key, revision), &[1]);
    store.delete(&present_key(&key));
    let event = Event {
        r#type: EventType::Delete.into(),
        kv: Some(KeyValue {
            key,
            mod_revision: revision.main,
            ..KeyValue::default()
        }),
        prev_kv: None,
    };
    store.put(&revision_key(revision), &event.encode_to_vec());
    event.kv.expect("it was given above").key
}

/// Removes a change from the history.
pub(crate) fn forget_change(store: &mut impl Store, key: &[u8], revision: Revision) {
    store.delete(&history_key(key, revision));
    store.delete(&revision_key(revision));
}

// ---- Leases

fn lease_key(id: i64) -> Vec<u8> {
    [&[LEASE], &id.to_be_bytes()[..]].concat()
}

fn attached_key(id: i64, key: &[u8]) -> Vec<u8> {
    [&[ATTACHED], &id.to_be_bytes()[..], key].concat()
}

/// The TTL of a lease in seconds, if there is such a lease.
pub(crate) fn lease_ttl(store: &impl Store, id: i64) -> Option<i64> {
    let record = store.get(&lease_key(id))?;
    let ttl = record.as_slice().try_into();
    Some(i64::from_be_bytes(ttl.expect("a record of this guest")))
}

pub(crate) fn put_lease(store: &mut impl Store, id: i64, ttl: i64) {
    store.put(&lease_key(id), &ttl.to_be_bytes());
}

pub(crate) fn delete_lease(store: &mut impl Store, id: i64) {
    store.delete(&lease_key(id));
}

/// The ids of all leases.
pub(crate) fn leases(store: &impl Store) -> Vec<i64> {
    let (from, to) = (vec![LEASE], vec![LEASE + 1]);
    let mut scan = Scan::new(store, from, Some(to), ScanMode::KeysOnly);
    let mut ids = Vec::new();
    while let Some((key, _)) = scan.next() {
        let id = key[1..].try_into().expect("a record of this guest");
        ids.push(i64::from_be_bytes(id));
    }
    ids
}

/// The keys that are attached to a lease, in order.
pub(crate) fn attached_keys(store: &impl Store, id: i64) -> Vec<Vec<u8>> {
    let from = attached_key(id, &[]);
    let n_before = from.len();
    let to = match (id as u64).checked_add(1) {
        Some(next) => attached_key(next as i64, &[]),
        None => vec![ATTACHED + 1],
    };
    let mut scan = Scan::new(store, from, Some(to), ScanMode::KeysOnly);
    let mut keys = Vec::new();
    while let Some((key, _)) = scan.next() {
        keys.push(key[n_before..].to_vec());
    }
    keys
}

/// Moves a key from one lease to another; 0 is no lease.
pub(crate) fn attach(store: &mut impl Store, key: &[u8], from: i64, to: i64) {
    if from == to {
        return;
    }
    if from != 0 {
        store.delete(&attached_key(from, key));
    }
    if to != 0 {
        store.put(&attached_key(to, key), &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_sorts_by_key_and_then_by_revision_whatever_bytes_a_key_has() {
        let bytes = [0, 1, 0xfe, 0xff];
        let mut keys = vec![vec![]];
        for n in 0..3 {
            let longer: Vec<_> = keys
                .iter()
                .filter(|key| key.len() == n)
                .flat_map(|key: &Vec<u8>| bytes.map(|byte| [key.as_slice(), &[byte]].concat()))
                .collect();
            keys.extend(longer);
        }
        keys.sort();
        let revisions = [1, 255, i64::MAX]
            .into_iter()
            .flat_map(|main| [0, 1, u32::MAX].map(|sub| Revision { main, sub }));
        let revisions: Vec<_> = revisions.collect();
        let records: Vec<_> = keys
            .iter()
            .flat_map(|key| revisions.iter().map(|&revision| history_key(key, revision)))
            .collect();
        assert!(records.is_sorted_by(|a, b| a < b));
        let mut keys = keys.iter().flat_map(|key| [key].repeat(revisions.len()));
        for record in &records {
            let entry = HistoryEntry::decode((record, &[1]));
            assert_eq!(Some(&unescape(entry.escaped)), keys.next());
            assert!(revisions.contains(&entry.change.revision) && entry.change.is_delete);
        }
        for from in records
            .iter()
            .map(|r| unescape(HistoryEntry::decode((r, &[0])).escaped))
        {
            let bound = escape(&from);
            assert!(records.iter().all(|record| {
                let key = unescape(HistoryEntry::decode((record, &[0])).escaped);
                (*record >= bound) == (key >= from)
            }));
        }
    }
}
