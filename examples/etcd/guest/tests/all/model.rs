//! A naive etcd, the oracle: it keeps every change and computes each state from all of them.

use std::collections::BTreeMap;

use etcd_guest::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use etcd_guest::proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use etcd_guest::proto::etcdserverpb::request_op::Request;
use etcd_guest::proto::etcdserverpb::response_op::Response;
use etcd_guest::proto::etcdserverpb::*;
use etcd_guest::proto::mvccpb::{Event, KeyValue, event::EventType};
use etcd_guest::proto::rangewatch::etcd::{ChangesRequest, ChangesResponse};

use crate::etcd::{CONFIG, Error, header};

type State = BTreeMap<Vec<u8>, KeyValue>;

/// All changes and leases.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    head: i64,
    compact: i64,
    events: Vec<Event>,
    leases: BTreeMap<i64, i64>,
}

pub(crate) const EMPTY_KEY: (u8, &str) = (3, "etcdserver: key is not provided");
pub(crate) const KEY_NOT_FOUND: (u8, &str) = (3, "etcdserver: key not found");
pub(crate) const VALUE_PROVIDED: (u8, &str) = (3, "etcdserver: value is provided");
pub(crate) const LEASE_PROVIDED: (u8, &str) = (3, "etcdserver: lease is provided");
pub(crate) const TOO_MANY_OPS: (u8, &str) = (3, "etcdserver: too many operations in txn request");
pub(crate) const DUPLICATE_KEY: (u8, &str) = (3, "etcdserver: duplicate key given in txn request");
pub(crate) const LEASE_NOT_FOUND: (u8, &str) = (5, "etcdserver: requested lease not found");
pub(crate) const LEASE_EXISTS: (u8, &str) = (9, "etcdserver: lease already exists");
pub(crate) const COMPACTED: (u8, &str) =
    (11, "etcdserver: mvcc: required revision has been compacted");
pub(crate) const FUTURE: (u8, &str) = (
    11,
    "etcdserver: mvcc: required revision is a future revision",
);

pub(crate) fn fail<T>((code, message): (u8, &str)) -> Result<T, Error> {
    Err((code, message.to_owned()))
}

fn inner_header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        revision,
        ..ResponseHeader::default()
    })
}

fn has(key: &[u8], range_end: &[u8], candidate: &[u8]) -> bool {
    if range_end.is_empty() {
        candidate == key
    } else {
        candidate >= key && (range_end == [0] || candidate < range_end)
    }
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            head: 1,
            compact: -1,
            events: Vec::new(),
            leases: BTreeMap::new(),
        }
    }

    pub(crate) fn head(&self) -> i64 {
        self.head
    }

    /// The state after all events up to a revision.
    fn state(&self, revision: i64) -> State {
        let mut state = State::new();
        for event in &self.events {
            let kv = event.kv.clone().unwrap();
            if kv.mod_revision > revision {
                break;
            }
            match event.r#type() {
                EventType::Put => state.insert(kv.key.clone(), kv),
                EventType::Delete => state.remove(&kv.key),
            };
        }
        state
    }

    /// The changes that reads may need: those from the compact revision on, and the state there.
    pub(crate) fn n_reachable(&self) -> usize {
        let mods = self
            .events
            .iter()
            .map(|e| e.kv.as_ref().unwrap().mod_revision);
        let recent = mods.filter(|&revision| revision >= self.compact).count();
        let state = self.state(self.compact);
        let mods = state.values().map(|kv| kv.mod_revision);
        recent + mods.filter(|&revision| revision < self.compact).count()
    }

    /// The keys that were changed since another state of the model.
    pub(crate) fn changed_since(&self, before: &Self) -> Option<(u64, Vec<Vec<u8>>)> {
        let events = &self.events[before.events.len()..];
        let keys: Vec<_> = events
            .iter()
            .map(|event| event.kv.as_ref().unwrap().key.clone())
            .collect();
        Some((self.head as u64, keys)).filter(|(_, keys)| !keys.is_empty())
    }

    /// Calls `f` with a transaction and keeps its changes if it succeeds.
    fn write<T>(&mut self, f: impl FnOnce(&mut Txn<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut txn = Txn {
            model: self,
            state: self.state(self.head),
            events: Vec::new(),
        };
        let result = f(&mut txn)?;
        let events = txn.events;
        self.head += i64::from(!events.is_empty());
        self.events.extend(events);
        Ok(result)
    }

    pub(crate) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        let txn = Txn {
            model: self,
            state: self.state(self.head),
            events: Vec::new(),
        };
        let mut response = txn.range(request)?;
        response.header = header(self.head);
        Ok(response)
    }

    pub(crate) fn put(&mut self, request: &PutRequest) -> Result<PutResponse, Error> {
        check_put(request)?;
        let mut response = self.write(|txn| {
            txn.check_lease(request)?;
            txn.check_present(request)?;
            Ok(txn.put(request))
        })?;
        response.header = header(self.head);
        Ok(response)
    }

    pub(crate) fn delete(
        &mut self,
        request: &DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Error> {
        if request.key.is_empty() {
            return fail(EMPTY_KEY);
        }
        let mut response = self.write(|txn| Ok(txn.delete(request)))?;
        response.header = header(self.head);
        Ok(response)
    }

    pub(crate) fn txn(&mut self, request: &TxnRequest) -> Result<TxnResponse, Error> {
        check_txn(request, CONFIG.max_txn_ops as i64)?;
        touched(&request.success)?;
        touched(&request.failure)?;
        let mut response = self.write(|txn| {
            let begin = txn.state.clone();
            let chosen = chosen_ops(&begin, request);
            for op in &chosen {
                if let Request::RequestPut(put) = op {
                    txn.check_present(put)?;
                    txn.check_lease(put)?;
                }
            }
            for op in &chosen {
                if let Request::RequestRange(range) = op {
                    if range.revision > txn.model.head {
                        return fail(FUTURE);
                    }
                    if range.revision != 0 && range.revision < txn.model.compact {
                        return fail(COMPACTED);
                    }
                }
            }
            Ok(txn.apply(&begin, request))
        })?;
        response.header = header(self.head);
        Ok(response)
    }

    pub(crate) fn compact(
        &mut self,
        request: &CompactionRequest,
    ) -> Result<CompactionResponse, Error> {
        if request.revision <= self.compact {
            return fail(COMPACTED);
        }
        if request.revision > self.head {
            return fail(FUTURE);
        }
        self.compact = request.revision;
        Ok(CompactionResponse {
            header: header(self.head),
        })
    }

    pub(crate) fn grant(
        &mut self,
        request: &LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, Error> {
        if request.id == 0 {
            return fail(LEASE_NOT_FOUND);
        }
        if self.leases.contains_key(&request.id) {
            return fail(LEASE_EXISTS);
        }
        self.leases.insert(request.id, request.ttl);
        Ok(LeaseGrantResponse {
            header: header(self.head),
            id: request.id,
            ttl: request.ttl,
            error: String::new(),
        })
    }

    pub(crate) fn revoke(
        &mut self,
        request: &LeaseRevokeRequest,
    ) -> Result<LeaseRevokeResponse, Error> {
        if self.leases.remove(&request.id).is_none() {
            return fail(LEASE_NOT_FOUND);
        }
        let keys = self.attached(request.id);
        self.write(|txn| {
            keys.into_iter().for_each(|key| txn.delete_key(key));
            Ok(())
        })?;
        Ok(LeaseRevokeResponse {
            header: header(self.head),
        })
    }

    fn attached(&self, lease: i64) -> Vec<Vec<u8>> {
        let state = self.state(self.head).into_values();
        let attached = state.filter(|kv| kv.lease == lease);
        attached.map(|kv| kv.key).collect()
    }

    pub(crate) fn lease_keys(&self, request: &LeaseTimeToLiveRequest) -> LeaseTimeToLiveResponse {
        let ttl = self.leases.get(&request.id);
        LeaseTimeToLiveResponse {
            header: header(self.head),
            id: request.id,
            ttl: *ttl.unwrap_or(&-1),
            granted_ttl: *ttl.unwrap_or(&0),
            keys: match ttl {
                Some(_) if request.keys => self.attached(request.id),
                _ => Vec::new(),
            },
        }
    }

    pub(crate) fn changes(&self, request: &ChangesRequest) -> ChangesResponse {
        if request.from < self.compact {
            return ChangesResponse {
                compact_revision: self.compact,
                ..ChangesResponse::default()
            };
        }
        let mut events = Vec::new();
        for event in &self.events {
            let kv = event.kv.as_ref().unwrap();
            let is_within = (request.from..=request.to).contains(&kv.mod_revision);
            let is_left_out = match event.r#type() {
                EventType::Put => request.no_put,
                EventType::Delete => request.no_delete,
            };
            if is_within && !is_left_out && has(&request.key, &request.range_end, &kv.key) {
                let mut event = event.clone();
                let before = kv.mod_revision - 1;
                if request.prev_kv && before >= self.compact {
                    event.prev_kv = self.state(before).remove(&kv.key);
                }
                events.push(event);
            }
        }
        ChangesResponse {
            events,
            next: request.from.max(request.to.min(self.head) + 1),
            compact_revision: 0,
        }
    }
}

/// A transaction, with the state after its changes.
struct Txn<'m> {
    model: &'m Model,
    state: State,
    events: Vec<Event>,
}

impl Txn<'_> {
    fn revision(&self) -> i64 {
        self.model.head + i64::from(!self.events.is_empty())
    }

    fn check_lease(&self, put: &PutRequest) -> Result<(), Error> {
        if put.lease != 0 && !self.model.leases.contains_key(&put.lease) {
            return fail(LEASE_NOT_FOUND);
        }
        Ok(())
    }

    fn check_present(&self, put: &PutRequest) -> Result<(), Error> {
        if (put.ignore_value || put.ignore_lease) && !self.state.contains_key(&put.key) {
            return fail(KEY_NOT_FOUND);
        }
        Ok(())
    }

    fn put(&mut self, request: &PutRequest) -> PutResponse {
        let revision = self.model.head + 1;
        let previous = self.state.get(&request.key).cloned();
        let before = previous.clone().unwrap_or_default();
        let is_new = previous.is_none();
        let kv = KeyValue {
            key: request.key.clone(),
            create_revision: if is_new {
                revision
            } else {
                before.create_revision
            },
            mod_revision: revision,
            version: before.version + 1,
            value: if request.ignore_value {
                before.value
            } else {
                request.value.clone()
            },
            lease: if request.ignore_lease {
                before.lease
            } else {
                request.lease
            },
        };
        self.state.insert(request.key.clone(), kv.clone());
        self.events.push(Event {
            r#type: EventType::Put.into(),
            kv: Some(kv),
            prev_kv: None,
        });
        PutResponse {
            header: inner_header(revision),
            prev_kv: previous.filter(|_| request.prev_kv),
        }
    }

    fn delete(&mut self, request: &DeleteRangeRequest) -> DeleteRangeResponse {
        let state = self.state.clone();
        let found = state.into_values();
        let found: Vec<_> = found
            .filter(|kv| has(&request.key, &request.range_end, &kv.key))
            .collect();
        for kv in &found {
            self.delete_key(kv.key.clone());
        }
        DeleteRangeResponse {
            header: inner_header(self.revision()),
            deleted: found.len() as i64,
            prev_kvs: if request.prev_kv { found } else { Vec::new() },
        }
    }

    fn delete_key(&mut self, key: Vec<u8>) {
        self.state.remove(&key).unwrap();
        self.events.push(Event {
            r#type: EventType::Delete.into(),
            kv: Some(KeyValue {
                key,
                mod_revision: self.model.head + 1,
                ..KeyValue::default()
            }),
            prev_kv: None,
        });
    }

    fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        if request.key.is_empty() {
            return fail(EMPTY_KEY);
        }
        if request.revision > self.revision() {
            return fail(FUTURE);
        }
        if request.revision > 0 && request.revision < self.model.compact {
            return fail(COMPACTED);
        }
        let state = if request.revision <= 0 || request.revision == self.revision() {
            self.state.clone()
        } else {
            self.model.state(request.revision)
        };
        let mut kvs: Vec<_> = state
            .into_values()
            .filter(|kv| has(&request.key, &request.range_end, &kv.key))
            .collect();
        let mut response = RangeResponse {
            header: inner_header(self.revision()),
            count: kvs.len() as i64,
            ..RangeResponse::default()
        };
        if request.count_only {
            return Ok(response);
        }
        let order = request.sort_order();
        let bounds = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ];
        if order == SortOrder::None && bounds == [0; 4] && request.limit > 0 {
            kvs.truncate(request.limit as usize + 1);
        }
        kvs.retain(|kv| {
            (bounds[0] == 0 || kv.mod_revision >= bounds[0])
                && (bounds[1] == 0 || kv.mod_revision <= bounds[1])
                && (bounds[2] == 0 || kv.create_revision >= bounds[2])
                && (bounds[3] == 0 || kv.create_revision <= bounds[3])
        });
        let number = |kv: &KeyValue| match request.sort_target() {
            SortTarget::Key | SortTarget::Value => 0,
            SortTarget::Version => kv.version,
            SortTarget::Create => kv.create_revision,
            SortTarget::Mod => kv.mod_revision,
        };
        let bytes = |kv: &KeyValue| match request.sort_target() {
            SortTarget::Key => kv.key.clone(),
            SortTarget::Value => kv.value.clone(),
            _ => Vec::new(),
        };
        kvs.sort_by(|a, b| {
            let ordering = number(a).cmp(&number(b)).then(bytes(a).cmp(&bytes(b)));
            if order == SortOrder::Descend {
                ordering.reverse()
            } else {
                ordering
            }
        });
        if request.limit > 0 && kvs.len() > request.limit as usize {
            kvs.truncate(request.limit as usize);
            response.more = true;
        }
        if request.keys_only {
            kvs.iter_mut().for_each(|kv| kv.value.clear());
        }
        response.kvs = kvs;
        Ok(response)
    }

    fn apply(&mut self, begin: &State, request: &TxnRequest) -> TxnResponse {
        let (succeeded, ops) = branch(begin, request);
        let mut responses = Vec::new();
        for op in ops {
            let response = match op.request.as_ref().unwrap() {
                Request::RequestRange(range) => {
                    Response::ResponseRange(self.range(range).expect("it was checked"))
                }
                Request::RequestPut(put) => Response::ResponsePut(self.put(put)),
                Request::RequestDeleteRange(delete) => {
                    Response::ResponseDeleteRange(self.delete(delete))
                }
                Request::RequestTxn(txn) => Response::ResponseTxn(self.apply(begin, txn)),
            };
            responses.push(ResponseOp {
                response: Some(response),
            });
        }
        TxnResponse {
            header: inner_header(0),
            succeeded,
            responses,
        }
    }
}

fn check_put(request: &PutRequest) -> Result<(), Error> {
    if request.key.is_empty() {
        fail(EMPTY_KEY)
    } else if request.ignore_value && !request.value.is_empty() {
        fail(VALUE_PROVIDED)
    } else if request.ignore_lease && request.lease != 0 {
        fail(LEASE_PROVIDED)
    } else {
        Ok(())
    }
}

fn check_txn(request: &TxnRequest, max_ops: i64) -> Result<(), Error> {
    let numbers = [
        request.compare.len(),
        request.success.len(),
        request.failure.len(),
    ];
    let n_ops = numbers.into_iter().max().unwrap() as i64;
    if n_ops > max_ops {
        return fail(TOO_MANY_OPS);
    }
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return fail(EMPTY_KEY);
    }
    for op in request.success.iter().chain(&request.failure) {
        match &op.request {
            None => return fail(KEY_NOT_FOUND),
            Some(Request::RequestRange(range)) if range.key.is_empty() => return fail(EMPTY_KEY),
            Some(Request::RequestDeleteRange(op)) if op.key.is_empty() => return fail(EMPTY_KEY),
            Some(Request::RequestPut(put)) => check_put(put)?,
            Some(Request::RequestTxn(txn)) => check_txn(txn, max_ops - n_ops)?,
            Some(_) => {}
        }
    }
    Ok(())
}

type Keys = Vec<Vec<u8>>;
type Ranges = Vec<(Vec<u8>, Vec<u8>)>;

/// The keys that are put and the ranges that are deleted.
fn touched(ops: &[RequestOp]) -> Result<(Keys, Ranges), Error> {
    let requests = || ops.iter().filter_map(|op| op.request.as_ref());
    let mut puts = Keys::new();
    let mut deletes = Ranges::new();
    for request in requests() {
        if let Request::RequestDeleteRange(delete) = request {
            let mut end = delete.range_end.clone();
            if !end.is_empty() && end != [0] && end <= delete.key {
                end.clear();
            }
            deletes.push((delete.key.clone(), end));
        }
    }
    let is_deleted = |key: &[u8], deletes: &Ranges| deletes.iter().any(|(k, e)| has(k, e, key));
    for request in requests() {
        if let Request::RequestTxn(txn) = request {
            let (puts_then, deletes_then) = touched(&txn.success)?;
            let (puts_else, deletes_else) = touched(&txn.failure)?;
            let mut nested = puts_then.clone();
            nested.extend(puts_else.into_iter().filter(|key| !puts_then.contains(key)));
            for key in nested {
                if puts.contains(&key) || is_deleted(&key, &deletes) {
                    return fail(DUPLICATE_KEY);
                }
                puts.push(key);
            }
            deletes.extend(deletes_then);
            deletes.extend(deletes_else);
        }
    }
    for request in requests() {
        if let Request::RequestPut(put) = request {
            if puts.contains(&put.key) || is_deleted(&put.key, &deletes) {
                return fail(DUPLICATE_KEY);
            }
            puts.push(put.key.clone());
        }
    }
    Ok((puts, deletes))
}

fn branch<'q>(begin: &State, request: &'q TxnRequest) -> (bool, &'q [RequestOp]) {
    let succeeded = request
        .compare
        .iter()
        .all(|compare| is_true(begin, compare));
    let ops = if succeeded {
        &request.success
    } else {
        &request.failure
    };
    (succeeded, ops)
}

/// All requests that will be applied, in order.
fn chosen_ops<'q>(begin: &State, request: &'q TxnRequest) -> Vec<&'q Request> {
    let (_, ops) = branch(begin, request);
    let requests = ops.iter().map(|op| op.request.as_ref().unwrap());
    requests
        .flat_map(|request| match request {
            Request::RequestTxn(txn) => chosen_ops(begin, txn),
            request => vec![request],
        })
        .collect()
}

fn is_true(begin: &State, compare: &Compare) -> bool {
    let mut found: Vec<_> = begin
        .values()
        .filter(|kv| has(&compare.key, &compare.range_end, &kv.key))
        .cloned()
        .collect();
    if found.is_empty() {
        if compare.target() == CompareTarget::Value {
            return false;
        }
        found.push(KeyValue::default());
    }
    found.iter().all(|kv| {
        let ordering = match (compare.target(), compare.target_union.clone()) {
            (CompareTarget::Value, Some(TargetUnion::Value(value))) => kv.value.cmp(&value),
            (CompareTarget::Value, _) => kv.value.cmp(&Vec::new()),
            (CompareTarget::Version, Some(TargetUnion::Version(n))) => kv.version.cmp(&n),
            (CompareTarget::Version, _) => kv.version.cmp(&0),
            (CompareTarget::Create, Some(TargetUnion::CreateRevision(n))) => {
                kv.create_revision.cmp(&n)
            }
            (CompareTarget::Create, _) => kv.create_revision.cmp(&0),
            (CompareTarget::Mod, Some(TargetUnion::ModRevision(n))) => kv.mod_revision.cmp(&n),
            (CompareTarget::Mod, _) => kv.mod_revision.cmp(&0),
            (CompareTarget::Lease, Some(TargetUnion::Lease(n))) => kv.lease.cmp(&n),
            (CompareTarget::Lease, _) => kv.lease.cmp(&0),
        };
        match compare.result() {
            CompareResult::Equal => ordering.is_eq(),
            CompareResult::NotEqual => ordering.is_ne(),
            CompareResult::Greater => ordering.is_gt(),
            CompareResult::Less => ordering.is_lt(),
        }
    })
}
