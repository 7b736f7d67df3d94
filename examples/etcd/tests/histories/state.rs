//! The reference implementation: what a request changes and is answered.

use std::collections::BTreeMap;

use etcd_example::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use etcd_example::proto::etcdserverpb::request_op::Request;
use etcd_example::proto::etcdserverpb::response_op::Response;
use etcd_example::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest,
    RangeResponse, ResponseOp, TxnRequest, TxnResponse,
};
use etcd_example::proto::mvccpb::event::EventType;
use etcd_example::proto::mvccpb::{Event, KeyValue};

use crate::history::covers;

/// The keys at a revision.
#[derive(Clone, Debug, Default)]
pub(crate) struct State(BTreeMap<Vec<u8>, KeyValue>);

impl State {
    /// The events of a request that becomes a revision, and its response without headers.
    pub(crate) fn apply(&mut self, request: &Request, revision: i64) -> (Vec<Event>, Response) {
        let mut events = Vec::new();
        let response = self.run(request, revision, &mut events);
        (events, response)
    }

    fn run(&mut self, request: &Request, revision: i64, events: &mut Vec<Event>) -> Response {
        match request {
            Request::RequestRange(range) => Response::ResponseRange(self.range(range)),
            Request::RequestPut(put) => self.put(put, revision, events),
            Request::RequestDeleteRange(delete) => self.delete(delete, revision, events),
            Request::RequestTxn(txn) => self.txn(txn, revision, events),
        }
    }

    /// The response to a range at this revision, without a header.
    pub(crate) fn range(&self, range: &RangeRequest) -> RangeResponse {
        let mut kvs = self.covered(&range.key, &range.range_end);
        let count = kvs.len();
        if let Ok(limit @ 1..) = usize::try_from(range.limit) {
            kvs.truncate(limit);
        }
        RangeResponse {
            header: None,
            more: kvs.len() < count,
            count: count as i64,
            kvs,
        }
    }

    fn covered(&self, key: &[u8], range_end: &[u8]) -> Vec<KeyValue> {
        let from = self.0.range(key.to_vec()..).map(|(_, kv)| kv);
        from.take_while(|kv| covers(key, range_end, &kv.key))
            .cloned()
            .collect()
    }

    fn put(&mut self, put: &PutRequest, revision: i64, events: &mut Vec<Event>) -> Response {
        let before = self.0.get(&put.key).cloned();
        let kv = KeyValue {
            key: put.key.clone(),
            create_revision: before.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: before.as_ref().map_or(0, |kv| kv.version) + 1,
            value: put.value.clone(),
            lease: put.lease,
        };
        self.record(EventType::Put, kv, before.clone(), events);
        Response::ResponsePut(PutResponse {
            header: None,
            prev_kv: before.filter(|_| put.prev_kv),
        })
    }

    fn delete(
        &mut self,
        delete: &DeleteRangeRequest,
        revision: i64,
        events: &mut Vec<Event>,
    ) -> Response {
        let before = self.covered(&delete.key, &delete.range_end);
        for kv in &before {
            let deleted = KeyValue {
                key: kv.key.clone(),
                mod_revision: revision,
                ..KeyValue::default()
            };
            self.record(EventType::Delete, deleted, Some(kv.clone()), events);
        }
        Response::ResponseDeleteRange(DeleteRangeResponse {
            header: None,
            deleted: before.len() as i64,
            prev_kvs: if delete.prev_kv { before } else { Vec::new() },
        })
    }

    fn txn(&mut self, txn: &TxnRequest, revision: i64, events: &mut Vec<Event>) -> Response {
        let succeeded = txn.compare.iter().all(|compare| self.is_true(compare));
        let branch = match succeeded {
            true => &txn.success,
            false => &txn.failure,
        };
        let responses = branch
            .iter()
            .filter_map(|op| op.request.as_ref())
            .map(|op| {
                let response = Some(self.run(op, revision, events));
                ResponseOp { response }
            });
        Response::ResponseTxn(TxnResponse {
            header: None,
            succeeded,
            responses: responses.collect(),
        })
    }

    fn is_true(&self, compare: &Compare) -> bool {
        assert_eq!(
            (compare.target(), compare.result()),
            (CompareTarget::Mod, CompareResult::Equal),
            "the load makes no other comparison"
        );
        let actual = self.0.get(&compare.key).map_or(0, |kv| kv.mod_revision);
        compare.target_union == Some(TargetUnion::ModRevision(actual))
    }

    fn record(
        &mut self,
        kind: EventType,
        kv: KeyValue,
        prev_kv: Option<KeyValue>,
        events: &mut Vec<Event>,
    ) {
        let event = Event {
            r#type: kind.into(),
            kv: Some(kv),
            prev_kv,
        };
        self.replay(&event);
        events.push(event);
    }

    /// Does what an event says.
    pub(crate) fn replay(&mut self, event: &Event) {
        let Some(kv) = &event.kv else { return };
        match event.r#type() {
            EventType::Put => self.0.insert(kv.key.clone(), kv.clone()),
            EventType::Delete => self.0.remove(&kv.key),
        };
    }
}

/// The requests of both branches of a transaction, or the request itself.
pub(crate) fn leaves(request: &Request) -> Vec<&Request> {
    match request {
        Request::RequestTxn(txn) => {
            let ops = txn.success.iter().chain(&txn.failure);
            let requests = ops.filter_map(|op| op.request.as_ref());
            requests.flat_map(leaves).collect()
        }
        request => vec![request],
    }
}

/// A response without its headers.
pub(crate) fn without_headers(response: &Response) -> Response {
    let mut response = response.clone();
    match &mut response {
        Response::ResponseRange(range) => range.header = None,
        Response::ResponsePut(put) => put.header = None,
        Response::ResponseDeleteRange(delete) => delete.header = None,
        Response::ResponseTxn(txn) => {
            txn.header = None;
            for op in &mut txn.responses {
                op.response = op.response.as_ref().map(without_headers);
            }
        }
    }
    response
}
