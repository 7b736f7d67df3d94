//! What clients asked for and received, with times.

use std::time::Duration;

use etcd_example::proto::etcdserverpb::request_op::Request;
use etcd_example::proto::etcdserverpb::response_op::Response;
use etcd_example::proto::etcdserverpb::{
    RangeResponse, ResponseHeader, WatchCreateRequest, WatchResponse,
};
use etcd_example::proto::mvccpb::Event;

/// A run. Times count from its beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// In any order.
    pub(crate) operations: Vec<Operation>,
    pub(crate) watchers: Vec<Watcher>,
    /// Every key from revision 1 on, with `prev_kv`, read when the load had ended.
    pub(crate) changes: Watcher,
    /// Every key, read at the end.
    pub(crate) end: RangeResponse,
}

/// A request and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) client: usize,
    pub(crate) call: Duration,
    pub(crate) end: Duration,
    pub(crate) request: Request,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Acknowledged(Response),
    /// The server has said why it does not do it.
    Refused,
    /// The connection was lost: it has taken effect or not. With the error of the client.
    Unknown(String),
}

/// A client that watches a range, and resumes when its connection is lost.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watcher {
    pub(crate) sessions: Vec<Session>,
}

/// A watch on one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) call: Duration,
    pub(crate) request: WatchCreateRequest,
    pub(crate) responses: Vec<(Duration, WatchResponse)>,
}

impl Operation {
    /// The response, unless there was none.
    pub(crate) const fn response(&self) -> Option<&Response> {
        match &self.outcome {
            Outcome::Acknowledged(response) => Some(response),
            Outcome::Refused | Outcome::Unknown(_) => None,
        }
    }

    /// The revision of the response, 0 without one.
    pub(crate) fn revision(&self) -> i64 {
        self.response()
            .and_then(header)
            .map_or(0, |header| header.revision)
    }
}

impl Session {
    /// The first revision that the watch covers; `None` if the server did not create it.
    pub(crate) fn start(&self) -> Option<i64> {
        let (_, created) = self
            .responses
            .iter()
            .find(|(_, response)| response.created)?;
        Some(match self.request.start_revision {
            0 => revision(created) + 1,
            start => start,
        })
    }

    /// The responses with fragments joined, without those that were cut off, and without the
    /// one that says that the watch is created.
    pub(crate) fn joined(&self) -> Vec<(Duration, WatchResponse)> {
        let mut joined = Vec::new();
        let mut events = Vec::<Event>::new();
        for (time, response) in self
            .responses
            .iter()
            .filter(|(_, response)| !response.created)
        {
            events.extend_from_slice(&response.events);
            if !response.fragment {
                let events = std::mem::take(&mut events);
                let response = WatchResponse {
                    events,
                    ..response.clone()
                };
                joined.push((*time, response));
            }
        }
        joined
    }

    /// The first revision that the client has not seen, from which it resumes. 0 if the server
    /// did not create the watch.
    pub(crate) fn next(&self) -> i64 {
        let Some(start) = self.start() else {
            return self.request.start_revision;
        };
        let seen = self
            .joined()
            .iter()
            .fold(0, |seen, (_, response)| seen.max(last_revision(response)));
        start.max(seen + 1)
    }
}

/// The revision up to which a client has seen everything once it has this response.
pub(crate) fn last_revision(response: &WatchResponse) -> i64 {
    match response.events.last() {
        Some(event) => event.kv.as_ref().map_or(0, |kv| kv.mod_revision),
        None => revision(response),
    }
}

/// The revision in the header.
pub(crate) fn revision(response: &WatchResponse) -> i64 {
    response.header.as_ref().map_or(0, |header| header.revision)
}

/// The header of a response.
pub(crate) const fn header(response: &Response) -> Option<&ResponseHeader> {
    match response {
        Response::ResponseRange(range) => range.header.as_ref(),
        Response::ResponsePut(put) => put.header.as_ref(),
        Response::ResponseDeleteRange(delete) => delete.header.as_ref(),
        Response::ResponseTxn(txn) => txn.header.as_ref(),
    }
}

/// Whether a range, as a request names it, has a key.
pub(crate) fn covers(key: &[u8], range_end: &[u8], candidate: &[u8]) -> bool {
    match range_end {
        [] => candidate == key,
        [0] => candidate >= key,
        end => candidate >= key && candidate < end,
    }
}
