//! Reads of the state at a revision.

use std::cmp::Ordering;

use crate::header;
use crate::history::{self, History};
use crate::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::proto::etcdserverpb::{RangeRequest, RangeResponse};
use crate::proto::mvccpb::KeyValue;
use crate::records::{self, KeyRange, Meta};
use crate::status::Status;
use crate::store::{Scan, ScanMode, Store};

/// The state that a request reads.
#[derive(Debug)]
pub(crate) struct View<'s, S> {
    pub(crate) store: &'s S,
    pub(crate) meta: Meta,
    /// The current revision: the head, or the next one inside of a transaction that has changed a
    /// key.
    pub(crate) revision: i64,
}

impl<'s, S: Store> View<'s, S> {
    pub(crate) fn load(store: &'s S) -> Self {
        let meta = Meta::load(store);
        Self {
            store,
            meta,
            revision: meta.head,
        }
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Status> {
        check_range(request)?;
        let keys = KeyRange::new(&request.key, &request.range_end);
        let mut cursor = self.cursor(keys, request.revision)?;
        let mut response = RangeResponse {
            header: header::at(self.revision),
            ..RangeResponse::default()
        };
        if request.count_only {
            response.count = cursor.count();
            return Ok(response);
        }
        let mut selection = Selection::new(request);
        while response.count < selection.max_read {
            let Some(kv) = cursor.next() else { break };
            response.count += 1;
            selection.push(kv);
        }
        response.count += cursor.count();
        (response.kvs, response.more) = selection.finish();
        Ok(response)
    }

    /// The keys of a range at a revision; 0 or less for the current one.
    pub(crate) fn cursor<'r>(
        &self,
        keys: KeyRange<'r>,
        revision: i64,
    ) -> Result<Cursor<'s, 'r, S>, Status> {
        let revision = match revision {
            ..=0 => self.revision,
            revision => revision,
        };
        if revision > self.revision {
            return Err(Status::FUTURE_REVISION);
        }
        if revision < self.meta.compact {
            return Err(Status::COMPACTED);
        }
        let store = self.store;
        Ok(match keys {
            KeyRange::One(key) if revision == self.revision => {
                Cursor::One(records::present(store, key))
            }
            KeyRange::One(key) => Cursor::One(history::present_at(store, key, revision)),
            KeyRange::From(from, to) if revision == self.revision => {
                Cursor::Present(records::scan_present(store, from, to, ScanMode::Forward))
            }
            KeyRange::From(from, to) => {
                Cursor::Past(store, History::new(store, from, to, revision))
            }
        })
    }
}

pub(crate) fn check_range(request: &RangeRequest) -> Result<(), Status> {
    if request.key.is_empty() {
        return Err(Status::EMPTY_KEY);
    }
    Ok(())
}

/// A cursor over the key-value pairs of a range, in order of the keys.
#[derive(Debug)]
pub(crate) enum Cursor<'s, 'r, S> {
    One(Option<KeyValue>),
    Present(Scan<'s, S>),
    Past(&'s S, History<'s, 'r, S>),
}

impl<S: Store> Cursor<'_, '_, S> {
    pub(crate) fn next(&mut self) -> Option<KeyValue> {
        match self {
            Self::One(kv) => kv.take(),
            Self::Present(scan) => scan.next().map(records::present_entry),
            Self::Past(store, history) => {
                let put = history.next()?;
                records::event(*store, put).kv
            }
        }
    }

    /// Counts the keys that are left, and reads no more values.
    pub(crate) fn count(self) -> i64 {
        let mut n_keys = 0;
        match self {
            Self::One(kv) => n_keys += i64::from(kv.is_some()),
            Self::Present(mut scan) => {
                scan.leave_values_out();
                while scan.next().is_some() {
                    n_keys += 1;
                }
            }
            Self::Past(_, mut history) => {
                while history.next().is_some() {
                    n_keys += 1;
                }
            }
        }
        n_keys
    }
}

/// The key-value pairs that a request selects: within its bounds, sorted, and up to its limit.
#[derive(Debug)]
struct Selection<'q> {
    request: &'q RangeRequest,
    sort: Option<Sort>,
    /// The most pairs to read. Source: etcd 3.4 applies the limit before it sorts if a request has
    /// a target to sort by, but no order.
    max_read: i64,
    /// The most pairs to hold after sorting: one more than the limit, which shows that there are
    /// more.
    max_held: usize,
    kvs: Vec<KeyValue>,
}

#[derive(Clone, Copy, Debug)]
struct Sort {
    target: SortTarget,
    descend: bool,
}

impl<'q> Selection<'q> {
    fn new(request: &'q RangeRequest) -> Self {
        let is_bounded = request.min_mod_revision != 0
            || request.max_mod_revision != 0
            || request.min_create_revision != 0
            || request.max_create_revision != 0;
        let limit = match request.limit {
            ..=0 => i64::MAX,
            limit => limit.saturating_add(1),
        };
        let target = request.sort_target();
        let sort = match request.sort_order() {
            SortOrder::None if target == SortTarget::Key => None,
            order => Some(Sort {
                target,
                descend: order == SortOrder::Descend,
            }),
        };
        let reads_all = is_bounded || request.sort_order() != SortOrder::None;
        Self {
            request,
            sort,
            max_read: if reads_all { i64::MAX } else { limit },
            max_held: usize::try_from(limit).unwrap_or(usize::MAX),
            kvs: Vec::new(),
        }
    }

    fn push(&mut self, mut kv: KeyValue) {
        if !self.is_within_bounds(&kv) {
            return;
        }
        let sorts_by_value = self
            .sort
            .is_some_and(|sort| sort.target == SortTarget::Value);
        if self.request.keys_only && !sorts_by_value {
            kv.value = Vec::new();
        }
        // Unsorted, the first pairs are those to hold.
        if self.sort.is_some() || self.kvs.len() < self.max_held {
            self.kvs.push(kv);
        }
        if self.kvs.len() >= self.max_held.saturating_mul(2) {
            self.trim();
        }
    }

    fn is_within_bounds(&self, kv: &KeyValue) -> bool {
        let within = |value, min, max| (min == 0 || value >= min) && (max == 0 || value <= max);
        let request = self.request;
        within(
            kv.mod_revision,
            request.min_mod_revision,
            request.max_mod_revision,
        ) && within(
            kv.create_revision,
            request.min_create_revision,
            request.max_create_revision,
        )
    }

    /// Sorts the pairs and drops those above the limit.
    fn trim(&mut self) {
        if let Some(sort) = self.sort {
            self.kvs.sort_by(|a, b| sort.compare(a, b));
        }
        self.kvs.truncate(self.max_held);
    }

    /// Returns the pairs, and whether the limit left some out.
    fn finish(mut self) -> (Vec<KeyValue>, bool) {
        self.trim();
        let limit = self.max_held - 1;
        let more = self.kvs.len() > limit;
        self.kvs.truncate(limit);
        if self.request.keys_only {
            for kv in &mut self.kvs {
                kv.value = Vec::new();
            }
        }
        (self.kvs, more)
    }
}

impl Sort {
    fn compare(self, a: &KeyValue, b: &KeyValue) -> Ordering {
        let (a, b) = if self.descend { (b, a) } else { (a, b) };
        match self.target {
            SortTarget::Key => a.key.cmp(&b.key),
            SortTarget::Version => a.version.cmp(&b.version),
            SortTarget::Create => a.create_revision.cmp(&b.create_revision),
            SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
            SortTarget::Value => a.value.cmp(&b.value),
        }
    }
}
