//! A history that keeps every rule, and for each rule histories that break it.

use etcd_example::proto::etcdserverpb::compare::{CompareTarget, TargetUnion};
use etcd_example::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, RangeResponse, RequestOp,
    ResponseHeader, TxnRequest, WatchCreateRequest, WatchResponse,
};

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn put(key: &str, value: &str) -> Request {
    Request::RequestPut(PutRequest {
        key: key.into(),
        value: value.into(),
        ..PutRequest::default()
    })
}

fn delete(key: &str) -> Request {
    Request::RequestDeleteRange(DeleteRangeRequest {
        key: key.into(),
        ..DeleteRangeRequest::default()
    })
}

/// Puts two keys if `a` has the revision.
fn txn(revision: i64) -> Request {
    let compare = Compare {
        target: CompareTarget::Mod.into(),
        target_union: Some(TargetUnion::ModRevision(revision)),
        key: "a".into(),
        ..Compare::default()
    };
    let puts = [put("a", "a2"), put("b", "b1")];
    let success = puts.map(|put| RequestOp { request: Some(put) });
    Request::RequestTxn(TxnRequest {
        compare: vec![compare],
        success: success.to_vec(),
        failure: vec![],
    })
}

fn everything() -> RangeRequest {
    RangeRequest {
        key: vec![0],
        range_end: vec![0],
        ..RangeRequest::default()
    }
}

fn at(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        revision,
        ..ResponseHeader::default()
    })
}

fn with_header(mut response: Response, revision: i64) -> Response {
    *header_mut(&mut response) = at(revision);
    response
}

fn header_mut(response: &mut Response) -> &mut Option<ResponseHeader> {
    match response {
        Response::ResponseRange(range) => &mut range.header,
        Response::ResponsePut(put) => &mut put.header,
        Response::ResponseDeleteRange(delete) => &mut delete.header,
        Response::ResponseTxn(txn) => &mut txn.header,
    }
}

/// A history whose `n`th operation takes the `n`th second: 0 to 5 write revisions 2 to 7, 3 with an
/// unknown outcome, then a read, a delete of nothing, a refused and a lost put.
fn history() -> History {
    let requests = [
        put("a", "a1"),
        txn(2),
        put("c", "c1"),
        delete("a"),
        put("b", "b2"),
        put("a", "a3"),
        Request::RequestRange(everything()),
        delete("d"),
        put("a", "refused"),
        put("a", "lost"),
    ];
    let (mut state, mut revision) = (State::default(), 1);
    let (mut events, mut operations) = (Vec::new(), Vec::new());
    for (n, request) in (0..).zip(requests) {
        let mut outcome = match n {
            3 | 9 => Outcome::Unknown("lost".into()),
            _ => Outcome::Refused,
        };
        if n < 8 {
            let (made, response) = state.apply(&request, revision + 1);
            revision += i64::from(!made.is_empty());
            events.extend(made);
            if n != 3 {
                outcome = Outcome::Acknowledged(with_header(response, revision));
            }
        }
        operations.push(Operation {
            client: 0,
            call: ms(n * 1000),
            end: ms(n * 1000 + 500),
            request,
            outcome,
        });
    }
    let all = WatchCreateRequest {
        prev_kv: true,
        ..watch("\0", "\0", 1)
    };
    let changes = Watcher {
        sessions: vec![session(20_000, all.clone(), 7, &[&events])],
    };
    let resumed = WatchCreateRequest {
        start_revision: 5,
        ..all.clone()
    };
    let twice = Watcher {
        sessions: vec![
            session(100, all, 1, &[&events[..1], &events[1..4]]),
            session(10_000, resumed, 7, &[&events[4..], &[]]),
        ],
    };
    let of_b = events
        .iter()
        .filter(|event| revision_of(event) > 2 && key(event) == b"b");
    let of_b = of_b.cloned().map(|event| Event {
        prev_kv: None,
        ..event
    });
    let live = Watcher {
        sessions: vec![session(
            600,
            watch("b", "", 0),
            2,
            &[&of_b.collect::<Vec<_>>(), &[]],
        )],
    };
    History {
        operations,
        watchers: vec![twice, live],
        changes,
        end: RangeResponse {
            header: at(7),
            ..state.range(&everything())
        },
    }
}

fn key(event: &Event) -> &[u8] {
    event.kv.as_ref().map_or(&[], |kv| &kv.key)
}

fn watch(key: &str, range_end: &str, start_revision: i64) -> WatchCreateRequest {
    WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision,
        ..WatchCreateRequest::default()
    }
}

/// A session whose responses come when all writes have ended. One without events is progress.
fn session(
    call: u64,
    request: WatchCreateRequest,
    created_at: i64,
    responses: &[&[Event]],
) -> Session {
    let created = WatchResponse {
        header: at(created_at),
        created: true,
        ..WatchResponse::default()
    };
    let responses = responses.iter().map(|events| {
        let response = WatchResponse {
            header: at(7),
            events: events.to_vec(),
            ..WatchResponse::default()
        };
        (ms(30_000), response)
    });
    Session {
        call: ms(call),
        request,
        responses: [(ms(call), created)].into_iter().chain(responses).collect(),
    }
}

fn rule(change: impl FnOnce(&mut History)) -> Option<Rule> {
    let mut history = history();
    change(&mut history);
    check(&history).err().map(|violation| violation.rule)
}

/// The response to the `n`th operation.
fn response(history: &mut History, n: usize) -> &mut Response {
    match &mut history.operations[n].outcome {
        Outcome::Acknowledged(response) => response,
        outcome => panic!("{outcome:?}"),
    }
}

fn set_revision(history: &mut History, n: usize, revision: i64) {
    *header_mut(response(history, n)) = at(revision);
}

/// The `n`th response of a session of the watcher that resumes, after `created`.
fn events(history: &mut History, session: usize, n: usize) -> &mut Vec<Event> {
    &mut history.watchers[0].sessions[session].responses[n + 1]
        .1
        .events
}

fn all_events(history: &mut History) -> &mut Vec<Event> {
    &mut history.changes.sessions[0].responses[1].1.events
}

fn kv(event: &mut Event) -> &mut etcd_example::proto::mvccpb::KeyValue {
    event.kv.as_mut().expect("a key")
}

#[test]
fn a_history_that_keeps_the_rules_is_counted() {
    let checked = check(&history()).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(
        (
            checked.writes.len(),
            checked.n_acknowledged,
            checked.n_reads
        ),
        (6, 5, 2)
    );
    assert_eq!(
        (checked.n_unknown, checked.n_unknown_done, checked.n_refused),
        (2, 1, 1)
    );
    assert_eq!((checked.n_sessions, checked.n_events), (3, 7 + 2 + 7));
}

#[test]
fn changes_have_every_revision_and_follow_from_each_other() {
    let gap = |history: &mut History| all_events(history).retain(|event| revision_of(event) != 4);
    assert_eq!(rule(gap), Some(Rule::Changes));
    let version = |history: &mut History| kv(&mut all_events(history)[4]).version = 7;
    assert_eq!(rule(version), Some(Rule::Lost));
}

#[test]
fn the_end_is_the_state_of_the_changes() {
    assert_eq!(rule(|history| history.end.header = at(6)), Some(Rule::End));
    assert_eq!(
        rule(|history| history.end.kvs[0].value.clear()),
        Some(Rule::End)
    );
}

#[test]
fn an_acknowledged_write_that_is_not_there_is_lost() {
    let cut_off = |history: &mut History| drop(all_events(history).pop());
    assert_eq!(rule(cut_off), Some(Rule::Lost));
    let half = |history: &mut History| drop(all_events(history).remove(2));
    assert_eq!(rule(half), Some(Rule::Lost));
    let other_value = |history: &mut History| kv(&mut all_events(history)[0]).value.clear();
    assert_eq!(rule(other_value), Some(Rule::Lost));
    assert_eq!(
        rule(|history| set_revision(history, 6, 8)),
        Some(Rule::Lost),
        "a read"
    );
}

#[test]
fn a_write_happens_once() {
    let same_revision = |history: &mut History| set_revision(history, 5, 6);
    assert_eq!(rule(same_revision), Some(Rule::Twice));
    let again = |history: &mut History, value: &str, revision| {
        let mut event = all_events(history)[0].clone();
        *kv(&mut event) = etcd_example::proto::mvccpb::KeyValue {
            mod_revision: revision,
            value: value.into(),
            ..kv(&mut event).clone()
        };
        all_events(history).push(event);
    };
    assert_eq!(rule(|history| again(history, "a3", 8)), Some(Rule::Twice));
    let twice = |history: &mut History| {
        again(history, "lost", 8);
        again(history, "lost", 9);
    };
    assert_eq!(rule(twice), Some(Rule::Twice));
    assert_eq!(
        rule(|history| again(history, "refused", 8)),
        Some(Rule::Refused)
    );
    assert_eq!(
        rule(|history| again(history, "of nobody", 8)),
        Some(Rule::Unasked)
    );
}

#[test]
fn a_delete_of_unknown_outcome_happens_at_most_once() {
    let not_asked = |history: &mut History| history.operations[3].request = delete("b");
    assert_eq!(rule(not_asked), Some(Rule::Unasked));
    let before_it_began = |history: &mut History| history.operations[3].call = ms(5_800);
    assert_eq!(rule(before_it_began), Some(Rule::Unasked));
    let put_before = |history: &mut History| {
        history.operations[4].outcome = Outcome::Unknown(String::new());
        history.operations[4].call = ms(9_000);
    };
    assert_eq!(rule(put_before), Some(Rule::Order));
}

#[test]
fn real_time_is_kept() {
    let stale_read = |history: &mut History| {
        history.operations[6].call = ms(900);
        let empty = Response::ResponseRange(RangeResponse::default());
        *response(history, 6) = with_header(empty, 1);
    };
    assert_eq!(
        rule(stale_read),
        Some(Rule::Order),
        "revision 2 was acknowledged at 500 ms"
    );
    let write_was_read_before = |history: &mut History| {
        history.operations[6].call = ms(4_900);
        history.operations[6].end = ms(4_950);
    };
    assert_eq!(rule(write_was_read_before), Some(Rule::Order));
    let swapped = |history: &mut History| {
        for (n, second) in [(0, 1), (1, 0)] {
            history.operations[n].call = ms(second * 1000);
            history.operations[n].end = ms(second * 1000 + 500);
        }
    };
    assert_eq!(rule(swapped), Some(Rule::Order));
    let watched_before = |history: &mut History| {
        history.watchers[0].sessions[0].responses[2].0 = ms(4_900);
    };
    assert_eq!(rule(watched_before), Some(Rule::Order));
    let head_goes_back = |history: &mut History| {
        history.watchers[0].sessions[1].responses[0].1.header = at(6);
    };
    assert_eq!(rule(head_goes_back), Some(Rule::Order));
}

#[test]
fn a_response_is_what_the_state_makes_of_the_request() {
    let old_value = |history: &mut History| match response(history, 6) {
        Response::ResponseRange(range) => range.kvs[0].value = "a1".into(),
        other => panic!("{other:?}"),
    };
    assert_eq!(rule(old_value), Some(Rule::Response));
    let compared_wrongly = |history: &mut History| history.operations[1].request = txn(1);
    assert_eq!(rule(compared_wrongly), Some(Rule::Lost));
    let nothing_deleted = |history: &mut History| {
        history.operations[7].request = delete("b");
    };
    assert_eq!(rule(nothing_deleted), Some(Rule::Response));
    let revision = |history: &mut History| {
        history.operations[6].request = Request::RequestRange(RangeRequest {
            revision: 2,
            ..everything()
        });
    };
    assert_eq!(rule(revision), Some(Rule::Response));
    let deleted_more = |history: &mut History| {
        history.operations[3].outcome = Outcome::Acknowledged(with_header(
            Response::ResponseDeleteRange(DeleteRangeResponse {
                deleted: 2,
                ..DeleteRangeResponse::default()
            }),
            5,
        ));
    };
    assert_eq!(rule(deleted_more), Some(Rule::Response));
}

#[test]
fn a_watch_receives_each_event_once_and_in_order() {
    let missed = |history: &mut History| drop(events(history, 0, 0).pop());
    assert_eq!(rule(missed), Some(Rule::Watch));
    let repeated = |history: &mut History| {
        let first = events(history, 0, 0)[0].clone();
        events(history, 0, 1).insert(0, first);
    };
    assert_eq!(rule(repeated), Some(Rule::Watch));
    assert_eq!(
        rule(|history| events(history, 1, 0).swap(0, 1)),
        Some(Rule::Watch)
    );
    let other_key = |history: &mut History| {
        let other = all_events(history)[3].clone();
        history.watchers[1].sessions[0].responses[1]
            .1
            .events
            .push(other);
    };
    assert_eq!(rule(other_key), Some(Rule::Watch));
    let resumed_late = |history: &mut History| {
        history.watchers[0].sessions[1].request.start_revision = 6;
        events(history, 1, 0).remove(0);
    };
    assert_eq!(rule(resumed_late), Some(Rule::Watch));
    let ended_early = |history: &mut History| {
        let responses = &mut history.watchers[0].sessions[1].responses;
        responses.pop();
        responses.pop();
    };
    assert_eq!(rule(ended_early), Some(Rule::Watch));
    let progress_too_early = |history: &mut History| {
        history.watchers[1].sessions[0].responses.swap(1, 2);
    };
    assert_eq!(rule(progress_too_early), Some(Rule::Watch));
    let never_created = |history: &mut History| history.watchers[1].sessions[0].responses.clear();
    assert_eq!(rule(never_created), Some(Rule::Watch));
    let canceled = |history: &mut History| {
        history.watchers[1].sessions[0].responses[2].1.canceled = true;
    };
    assert_eq!(rule(canceled), Some(Rule::Watch));
}

#[test]
fn a_revision_is_split_between_fragments_only() {
    let split = |history: &mut History, fragment| {
        let responses = &mut history.watchers[0].sessions[0].responses;
        let (time, mut first) = responses[2].clone();
        first.events.truncate(1);
        first.fragment = fragment;
        responses[2].1.events.remove(0);
        responses.insert(2, (time, first));
    };
    assert_eq!(rule(|history| split(history, false)), Some(Rule::Split));
    assert_eq!(rule(|history| split(history, true)), None);
    let last_fragment_lost = |history: &mut History| {
        let sessions = &mut history.watchers[0].sessions;
        let (time, mut fragment) = sessions[1].responses[1].clone();
        fragment.events.truncate(1);
        fragment.fragment = true;
        let mut lost = sessions[1].clone();
        lost.responses.truncate(1);
        lost.responses.push((time, fragment));
        sessions.insert(1, lost);
    };
    assert_eq!(rule(last_fragment_lost), None);
}

#[test]
fn previous_values_are_there_where_they_were_asked_for() {
    let missing = |history: &mut History| events(history, 0, 1)[0].prev_kv = None;
    assert_eq!(rule(missing), Some(Rule::PrevKv));
    let unasked = |history: &mut History| {
        let before = all_events(history)[1].prev_kv.clone();
        history.watchers[1].sessions[0].responses[1].1.events[0].prev_kv = before;
    };
    assert_eq!(rule(unasked), Some(Rule::PrevKv));
}
