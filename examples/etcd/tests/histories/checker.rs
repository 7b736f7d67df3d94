//! Checks a history: what was acknowledged is there, in the order of real time, reads are the state
//! at their revision and not stale, and watches receive each change of their range once.
//!
//! The changes that the server has at the end say which write has which revision. Every response
//! names a revision, so that this order is checked without a search.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use etcd_example::proto::etcdserverpb::RangeRequest;
use etcd_example::proto::etcdserverpb::request_op::Request;
use etcd_example::proto::etcdserverpb::response_op::Response;
use etcd_example::proto::mvccpb::Event;
use etcd_example::proto::mvccpb::event::EventType;

use crate::history::{
    History, Operation, Outcome, Session, Watcher, covers, header, last_revision, revision,
};
use crate::state::{State, leaves, without_headers};

/// What a history breaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    /// The revisions of the changes have no gap, and the changes follow from each other.
    Changes,
    /// The server ends with the state that the changes make.
    End,
    /// A write that was acknowledged is there, whole, at its revision.
    Lost,
    /// A write happens once, and a revision is of one write.
    Twice,
    /// A write that was refused does not happen.
    Refused,
    /// Nothing happens that no client asked for.
    Unasked,
    /// What begins after a revision was seen is not before it.
    Order,
    /// A response is what the state at its revision makes of the request.
    Response,
    /// A watch receives the events of its range, each once and in order, and says truly how far
    /// it is.
    Watch,
    /// A revision is in one response.
    Split,
    /// An event has the previous value if and only if the watch asked for it.
    PrevKv,
}

/// A rule and where it is broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

fn violation(rule: Rule, detail: impl Into<String>) -> Violation {
    let mut detail = detail.into();
    detail.truncate(4_000); // values may be large
    Violation { rule, detail }
}

/// What was checked.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) n_acknowledged: usize,
    pub(crate) n_reads: usize,
    pub(crate) n_refused: usize,
    /// Writes whose connection was lost.
    pub(crate) n_unknown: usize,
    /// Those of them that have taken effect.
    pub(crate) n_unknown_done: usize,
    /// Events that watchers have received.
    pub(crate) n_events: usize,
    pub(crate) n_sessions: usize,
    /// The writes that happened, by revision.
    pub(crate) writes: BTreeMap<i64, Request>,
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_revisions = self.writes.len();
        write!(
            f,
            "{n_revisions} revisions, {} acknowledged writes, {} of {} of unknown outcome done, {} \
             reads, {} refused, {} events in {} sessions of watches",
            self.n_acknowledged,
            self.n_unknown_done,
            self.n_unknown,
            self.n_reads,
            self.n_refused,
            self.n_events,
            self.n_sessions
        )
    }
}

/// Checks a history.
pub(crate) fn check(history: &History) -> Result<Checked, Violation> {
    let changes = Changes::new(&history.changes)?;
    let seen = Seen::new(history);
    let writes = Writes::new(history, &changes, &seen)?;
    replay(history, &changes, &writes)?;
    for operation in history
        .operations
        .iter()
        .filter(|operation| operation.response().is_some())
    {
        let (floor, revision) = (seen.before(operation.call), operation.revision());
        if revision < floor || is_write(operation) && revision == floor {
            let detail = format!("{operation:?} began when revision {floor} had been seen");
            return Err(violation(Rule::Order, detail));
        }
    }
    let mut n_events = 0;
    for watcher in history.watchers.iter().chain([&history.changes]) {
        n_events += changes.check_watcher(watcher, &seen)?;
    }
    let n = |of: fn(&Operation) -> bool| history.operations.iter().filter(|op| of(op)).count();
    Ok(Checked {
        n_acknowledged: n(is_write),
        n_reads: n(|operation| operation.response().is_some() && !is_write(operation)),
        n_refused: n(|operation| matches!(operation.outcome, Outcome::Refused)),
        n_unknown: n(may_have_written),
        n_unknown_done: writes
            .0
            .values()
            .filter(|write| may_have_written(write))
            .count(),
        n_events,
        n_sessions: history
            .watchers
            .iter()
            .map(|watcher| watcher.sessions.len())
            .sum(),
        writes: (writes.0.iter())
            .map(|(revision, write)| (*revision, write.request.clone()))
            .collect(),
    })
}

/// Whether a request was acknowledged and has changed something.
fn is_write(operation: &Operation) -> bool {
    fn has_written(response: &Response) -> bool {
        match response {
            Response::ResponseRange(_) => false,
            Response::ResponsePut(_) => true,
            Response::ResponseDeleteRange(delete) => delete.deleted > 0,
            Response::ResponseTxn(txn) => {
                let responses = txn.responses.iter().filter_map(|op| op.response.as_ref());
                responses.into_iter().any(has_written)
            }
        }
    }
    operation.response().is_some_and(has_written)
}

/// Whether nobody knows if a write has taken effect.
fn may_have_written(operation: &Operation) -> bool {
    matches!(operation.outcome, Outcome::Unknown(_))
        && leaves(&operation.request)
            .into_iter()
            .any(|leaf| !matches!(leaf, Request::RequestRange(_)))
}

/// The values that a request puts if it takes effect.
fn values(request: &Request) -> impl Iterator<Item = &[u8]> {
    leaves(request).into_iter().filter_map(|leaf| match leaf {
        Request::RequestPut(put) => Some(&put.value[..]),
        _ => None,
    })
}

/// The revisions that somebody had seen by a time.
struct Seen(Vec<(Duration, i64)>);

impl Seen {
    fn new(history: &History) -> Self {
        let responses = history
            .operations
            .iter()
            .filter(|operation| operation.response().is_some());
        let responses = responses.map(|operation| (operation.end, operation.revision()));
        let sessions = history
            .watchers
            .iter()
            .flat_map(|watcher| &watcher.sessions);
        let watched = sessions.flat_map(|session| &session.responses);
        let watched = watched.map(|(time, response)| (*time, revision(response)));
        let mut seen = responses.chain(watched).collect::<Vec<_>>();
        seen.sort_unstable();
        let mut max = 0;
        for (_, revision) in &mut seen {
            max = max.max(*revision);
            *revision = max;
        }
        Self(seen)
    }

    /// The highest revision that somebody had seen before this time.
    fn before(&self, time: Duration) -> i64 {
        match self.0.partition_point(|(at, _)| *at < time) {
            0 => 0,
            n => self.0[n - 1].1,
        }
    }
}

/// Which write has which revision.
struct Writes<'a>(BTreeMap<i64, &'a Operation>);

impl<'a> Writes<'a> {
    fn new(history: &'a History, changes: &Changes, seen: &Seen) -> Result<Self, Violation> {
        let mut writes = BTreeMap::new();
        for operation in history
            .operations
            .iter()
            .filter(|operation| is_write(operation))
        {
            let revision = operation.revision();
            if !changes.0.contains_key(&revision) {
                let detail = format!("no change has the revision of {operation:?}");
                return Err(violation(Rule::Lost, detail));
            }
            if let Some(other) = writes.insert(revision, operation) {
                let detail = format!("{operation:?} has the revision of {other:?}");
                return Err(violation(Rule::Twice, detail));
            }
        }
        let acknowledged = writes.values().flat_map(|write| values(&write.request));
        let acknowledged = acknowledged.collect::<HashSet<_>>();
        let of = |outcome: fn(&Operation) -> bool| {
            let operations = history
                .operations
                .iter()
                .filter(move |operation| outcome(operation));
            operations.flat_map(|operation| {
                values(&operation.request).map(move |value| (value, operation))
            })
        };
        let refused = of(|operation| matches!(operation.outcome, Outcome::Refused));
        let refused = refused.collect::<HashMap<_, _>>();
        let mut unknown = of(may_have_written).collect::<HashMap<_, _>>();
        let mut deletes = UnknownDeletes::new(history);
        let mut done = HashSet::new();
        for (&revision, events) in &changes.0 {
            if writes.contains_key(&revision) {
                continue;
            }
            let value = events.iter().find(|event| event.r#type() == EventType::Put);
            let write = match value
                .and_then(|event| event.kv.as_ref())
                .map(|kv| &kv.value[..])
            {
                None => deletes.take(events, revision, seen),
                Some(value) if done.contains(value) || acknowledged.contains(value) => {
                    let detail = format!("{events:?} was written before or after, too");
                    return Err(violation(Rule::Twice, detail));
                }
                Some(value) => match refused.get(value) {
                    Some(refused) => {
                        let detail = format!("{refused:?} has happened at {revision}");
                        return Err(violation(Rule::Refused, detail));
                    }
                    None => unknown.remove(value),
                },
            };
            let Some(write) = write else {
                let detail = format!("no request explains {events:?}");
                return Err(violation(Rule::Unasked, detail));
            };
            if seen.before(write.call) >= revision {
                let detail = format!("{write:?} has happened before it began, at {revision}");
                return Err(violation(Rule::Order, detail));
            }
            done.extend(values(&write.request));
            writes.insert(revision, write);
        }
        Ok(Self(writes))
    }
}

/// The deletes of one key whose connection was lost. They have no value that tells them apart: as
/// many of a key may have happened as were asked for before.
struct UnknownDeletes<'a>(HashMap<&'a [u8], Vec<&'a Operation>>);

impl<'a> UnknownDeletes<'a> {
    fn new(history: &'a History) -> Self {
        let mut deletes = HashMap::<_, Vec<_>>::new();
        for operation in history
            .operations
            .iter()
            .filter(|operation| may_have_written(operation))
        {
            if let Request::RequestDeleteRange(delete) = &operation.request {
                deletes.entry(&delete.key[..]).or_default().push(operation);
            }
        }
        for deletes in deletes.values_mut() {
            deletes.sort_by_key(|delete| std::cmp::Reverse(delete.call));
        }
        Self(deletes)
    }

    /// The one of a revision. The earliest will do: a later one can explain a later revision.
    fn take(&mut self, events: &[Event], revision: i64, seen: &Seen) -> Option<&'a Operation> {
        let [Event { kv: Some(kv), .. }] = events else {
            return None;
        };
        let deletes = self.0.get_mut(&kv.key[..])?;
        (seen.before(deletes.last()?.call) < revision).then(|| deletes.pop())?
    }
}

/// Makes every change again, from the requests, and compares the changes, and every response with
/// the state at its revision.
fn replay(history: &History, changes: &Changes, writes: &Writes<'_>) -> Result<(), Violation> {
    let mut reads = BTreeMap::<i64, Vec<(&Request, &Operation)>>::new();
    for operation in &history.operations {
        if operation.response().is_none() || is_write(operation) {
            continue;
        }
        let at = match &operation.request {
            Request::RequestRange(RangeRequest {
                revision: at @ 1.., ..
            }) => *at,
            _ => operation.revision(),
        };
        reads
            .entry(at)
            .or_default()
            .push((&operation.request, operation));
    }
    let mut state = State::default();
    for at in 1..=changes.head() {
        if let (Some(events), Some(write)) = (changes.0.get(&at), writes.0.get(&at)) {
            let (expected, response) = state.apply(&write.request, at);
            if &expected != events {
                let detail = format!("{write:?} became {events:?}, expected {expected:?}");
                return Err(violation(Rule::Lost, detail));
            }
            check_response(write, &response)?;
        }
        for (request, read) in reads.remove(&at).unwrap_or_default() {
            let (events, response) = state.clone().apply(request, at + 1);
            if !events.is_empty() {
                let detail = format!("{read:?} should have written {events:?}");
                return Err(violation(Rule::Response, detail));
            }
            check_response(read, &response)?;
        }
    }
    if let Some((_, ahead)) = reads.into_values().flatten().next() {
        let detail = format!("{ahead:?} is of a revision that is not there");
        return Err(violation(Rule::Lost, detail));
    }
    let everything = RangeRequest {
        key: vec![0],
        range_end: vec![0],
        ..RangeRequest::default()
    };
    let expected = Response::ResponseRange(state.range(&everything));
    let end = Response::ResponseRange(history.end.clone());
    if header(&end).is_none_or(|header| header.revision != changes.head())
        || without_headers(&end) != expected
    {
        return Err(violation(
            Rule::End,
            format!("{end:?}, expected {expected:?}"),
        ));
    }
    Ok(())
}

fn check_response(operation: &Operation, expected: &Response) -> Result<(), Violation> {
    match operation.response().map(without_headers) {
        Some(response) if response != *expected => {
            let detail = format!("expected {expected:?} of {operation:?}");
            Err(violation(Rule::Response, detail))
        }
        _ => Ok(()),
    }
}

/// The events of every revision, which the server has at the end.
struct Changes(BTreeMap<i64, Vec<Event>>);

impl Changes {
    fn new(watcher: &Watcher) -> Result<Self, Violation> {
        let mut changes = BTreeMap::<i64, Vec<Event>>::new();
        let responses = watcher.sessions.iter().flat_map(Session::joined);
        for event in responses.flat_map(|(_, response)| response.events) {
            changes.entry(revision_of(&event)).or_default().push(event);
        }
        let gap = (2..)
            .zip(changes.keys())
            .find(|(expected, revision)| expected != *revision);
        match gap {
            Some((expected, revision)) => {
                let detail = format!("{revision} comes where {expected} is expected");
                Err(violation(Rule::Changes, detail))
            }
            None => Ok(Self(changes)),
        }
    }

    /// The last revision. The first of an empty server is 1.
    fn head(&self) -> i64 {
        self.0.last_key_value().map_or(1, |(revision, _)| *revision)
    }

    /// Checks that the sessions of a watcher, one after the other, received each event of its range
    /// from the first start to the end. Returns how many.
    fn check_watcher(&self, watcher: &Watcher, seen: &Seen) -> Result<usize, Violation> {
        let mut started = watcher
            .sessions
            .iter()
            .filter(|session| session.start().is_some());
        let Some(first) = started.clone().next() else {
            return Err(violation(Rule::Watch, "a watch was never created"));
        };
        let expected = self.events(first);
        let mut next = first.start();
        let mut n_events = 0;
        started.try_for_each(|session| {
            let (name, start) = (name(session), session.start());
            if start != next {
                let detail = format!("{name} goes on at {start:?}, not at {next:?}");
                return Err(violation(Rule::Watch, detail));
            }
            n_events += check_session(session, &expected, seen)?;
            next = Some(session.next());
            Ok(())
        })?;
        if next <= Some(self.head()) {
            let detail = format!("{} ended before {next:?}", name(first));
            return Err(violation(Rule::Watch, detail));
        }
        Ok(n_events)
    }

    /// What a watch has to receive.
    fn events(&self, session: &Session) -> Vec<Event> {
        let request = &session.request;
        let revisions = self.0.range(session.start().unwrap_or(0)..);
        let events = revisions.flat_map(|(_, events)| events).filter(|event| {
            let key = event.kv.as_ref().map_or(&[][..], |kv| &kv.key);
            covers(&request.key, &request.range_end, key)
        });
        let events = events.cloned().map(|event| Event {
            prev_kv: event.prev_kv.filter(|_| request.prev_kv),
            ..event
        });
        events.collect()
    }
}

/// Checks what one session has received, which may end anywhere. Returns the number of its events.
fn check_session(session: &Session, expected: &[Event], seen: &Seen) -> Result<usize, Violation> {
    let start = session.start().unwrap_or(0);
    let mut rest = &expected[expected.partition_point(|event| revision_of(event) < start)..];
    let broken = |rule, time: Duration, detail: String| {
        let detail = format!("{} at {time:?}: {detail}", name(session));
        Err(violation(rule, detail))
    };
    let mut head = seen.before(session.call);
    for (time, response) in &session.responses {
        if revision(response) < head {
            return broken(
                Rule::Order,
                *time,
                format!("{head} was seen before {response:?}"),
            );
        }
        head = revision(response);
    }
    let mut n_events = 0;
    for (time, response) in session.joined() {
        let received = &response.events[..];
        let (due, others) = rest.split_at(received.len().min(rest.len()));
        let is_same = |(a, b): (&Event, &Event)| a.kv == b.kv && a.r#type == b.r#type;
        if due.len() < received.len() || !received.iter().zip(due).all(is_same) {
            return broken(
                Rule::Watch,
                time,
                format!("received {received:?}, expected {due:?}"),
            );
        }
        if received != due {
            return broken(
                Rule::PrevKv,
                time,
                format!("received {received:?}, expected {due:?}"),
            );
        }
        let seen = last_revision(&response);
        if response.canceled || revision(&response) < seen {
            return broken(Rule::Watch, time, format!("received {response:?}"));
        }
        if let Some(missing) = others
            .first()
            .filter(|missing| revision_of(missing) <= seen)
        {
            let rule = match received {
                [] => Rule::Watch,
                _ => Rule::Split,
            };
            return broken(
                rule,
                time,
                format!("received {response:?} without {missing:?}"),
            );
        }
        n_events += received.len();
        rest = others;
    }
    Ok(n_events)
}

fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

fn name(session: &Session) -> String {
    let request = &session.request;
    let [key, end] = [&request.key, &request.range_end].map(|key| key.escape_ascii());
    format!(
        "the watch of [{key}, {end}) from {}",
        request.start_revision
    )
}
