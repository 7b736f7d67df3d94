//! Tests of the merging of responses, with responses of any form.

use bytes::Bytes;
use etcd_client::proto::{PbEvent, PbKeyValue, PbResponseHeader, PbWatchResponse};
use rangewatch_bridge::{Codec, LogError, LogItem};

use super::{Responses, Stop};
use crate::{EtcdEvents, EventKind};

const CLUSTER: u64 = 77;

fn event(key: &str, revision: i64) -> PbEvent {
    PbEvent {
        kv: Some(PbKeyValue {
            key: key.into(),
            value: format!("{key}@{revision}").into(),
            create_revision: 1,
            mod_revision: revision,
            version: 2,
            lease: 3,
        }),
        ..PbEvent::default()
    }
}

fn response(revision: i64, events: &[(&str, i64)]) -> PbWatchResponse {
    let events = events.iter().map(|(key, revision)| event(key, *revision));
    PbWatchResponse {
        header: Some(PbResponseHeader {
            cluster_id: CLUSTER,
            revision,
            ..PbResponseHeader::default()
        }),
        events: events.collect(),
        ..PbWatchResponse::default()
    }
}

fn fragment(revision: i64, events: &[(&str, i64)]) -> PbWatchResponse {
    PbWatchResponse {
        fragment: true,
        ..response(revision, events)
    }
}

/// A watch that has begun after a value.
fn begun(after: Option<u64>) -> Responses {
    let mut responses = Responses::new(CLUSTER, after, 1 << 20);
    let created = PbWatchResponse {
        created: true,
        ..response(100, &[])
    };
    responses.begin(&created).unwrap();
    responses
}

/// What it says, in words: `12<-10: a b` is an emit, `=12` is progress.
fn take(responses: &mut Responses, response: PbWatchResponse) -> Vec<String> {
    let mut items = Vec::new();
    responses.take(response, &mut items).unwrap();
    words(items)
}

fn words(items: Vec<LogItem>) -> Vec<String> {
    let word = |item| match item {
        LogItem::Emit(frame) => {
            let keys = frame.keys().map(|key| format!(" {}", key.escape_ascii()));
            let prev = frame
                .prev()
                .map_or_else(|| "-".to_owned(), |prev| prev.to_string());
            format!("{}<-{prev}:{}", frame.value(), keys.collect::<String>())
        }
        LogItem::Progress(value) => format!("={value}"),
        item => format!("{item:?}"),
    };
    items.into_iter().map(word).collect()
}

fn stop(responses: &mut Responses, response: PbWatchResponse) -> (Vec<String>, Stop) {
    let mut items = Vec::new();
    let stop = responses.take(response, &mut items).unwrap_err();
    (words(items), stop)
}

#[test]
fn g04_the_events_of_a_revision_are_one_frame() {
    let mut responses = begun(Some(4));
    let read = take(
        &mut responses,
        response(9, &[("a", 5), ("b", 5), ("a", 7), ("c", 9)]),
    );
    assert_eq!(read, ["5<-4: a b", "7<-5: a", "9<-7: c"]);
    assert_eq!(
        take(&mut responses, response(10, &[("a", 10)])),
        ["10<-9: a"]
    );
}

#[test]
fn g04_fragments_are_merged() {
    let mut responses = begun(None);
    assert_eq!(
        take(&mut responses, fragment(5, &[("a", 5), ("b", 5)])),
        [""; 0]
    );
    assert_eq!(
        take(&mut responses, fragment(6, &[("c", 5), ("a", 6)])),
        ["5<--: a b c"]
    );
    assert_eq!(
        take(&mut responses, response(6, &[("b", 6)])),
        ["6<-5: a b"]
    );
}

#[test]
fn g09_progress_between_fragments_says_nothing() {
    let mut responses = begun(Some(4));
    take(&mut responses, fragment(5, &[("a", 5)]));
    for empty in [response(9, &[]), fragment(9, &[])] {
        assert_eq!(take(&mut responses, empty), [""; 0]);
    }
    assert_eq!(
        take(&mut responses, response(5, &[("b", 5)])),
        ["5<-4: a b"]
    );
    assert_eq!(take(&mut responses, response(9, &[])), ["=9"]);
}

#[test]
fn g09_emits_follow_progress() {
    let mut responses = begun(Some(4));
    assert_eq!(take(&mut responses, response(9, &[])), ["=9"]);
    assert_eq!(
        take(&mut responses, response(12, &[("a", 12)])),
        ["12<-9: a"]
    );
    // A member that lags reports less, and so does a watch of the future.
    for revision in [9, 12] {
        assert_eq!(take(&mut responses, response(revision, &[])), [""; 0]);
    }
    assert_eq!(take(&mut responses, response(13, &[])), ["=13"]);
}

#[test]
fn what_was_not_asked_for_is_left_out() {
    let mut responses = begun(Some(5));
    let read = take(
        &mut responses,
        response(6, &[("a", 4), ("a", 5), ("b", 5), ("a", 6)]),
    );
    assert_eq!(read, ["6<-5: a"]);
}

#[test]
fn g02_what_is_repeated_is_marked() {
    let mut responses = begun(Some(4));
    take(&mut responses, response(7, &[("a", 5), ("a", 7)]));
    let read = take(&mut responses, response(8, &[("a", 5), ("a", 7), ("a", 8)]));
    assert_eq!(read, ["5<--: a", "7<--: a", "8<-7: a"]);
}

#[test]
fn g09_an_event_below_the_progress_is_a_contradiction() {
    for revision in [6, 9] {
        let mut responses = begun(Some(4));
        take(&mut responses, response(5, &[("a", 5)]));
        take(&mut responses, response(9, &[]));
        let (items, stop) = stop(&mut responses, response(revision, &[("a", revision)]));
        assert!(items.is_empty());
        assert!(matches!(stop, Stop::Contradiction), "{stop:?}");
    }
}

#[test]
fn g07_a_compaction_is_reported_after_the_revision_itself() {
    let compacted = PbWatchResponse {
        canceled: true,
        compact_revision: 9,
        ..response(0, &[])
    };
    let (_, stop) = stop(&mut begun(Some(4)), compacted);
    assert!(
        matches!(stop, Stop::Log(LogError::Compacted { floor: 10 })),
        "{stop:?}"
    );
}

#[test]
fn g07_an_emit_that_is_too_large_is_reported() {
    let large = "k".repeat(1000);
    let mut responses = Responses::new(CLUSTER, Some(4), 1500);
    let events = [
        ("a", 5),
        (&*large, 6),
        ("x", 6),
        (&*large, 6),
        ("y", 6),
        ("a", 7),
    ];
    let (items, stop) = stop(&mut responses, response(7, &events));
    assert_eq!(items, ["5<-4: a"]);
    assert!(
        matches!(stop, Stop::Log(LogError::Compacted { floor: 7 })),
        "{stop:?}"
    );
}

#[test]
fn g07_an_event_of_an_unknown_kind_is_named_and_its_revision_reported() {
    let mut unknown = response(6, &[("a", 5), ("a", 6), ("b", 6)]);
    unknown.events[1].r#type = 2;
    let (items, stop) = stop(&mut begun(Some(4)), unknown);
    assert_eq!(items[0], "5<-4: a");
    assert!(items[1].contains("its kind, 2, is not known"), "{items:?}");
    assert!(
        matches!(stop, Stop::Log(LogError::Compacted { floor: 7 })),
        "{stop:?}"
    );
}

#[test]
fn events_without_a_revision_end_the_connection() {
    for revision in [0, -1, i64::MIN] {
        let (_, stop) = stop(&mut begun(None), response(5, &[("a", revision)]));
        assert!(
            matches!(stop, Stop::Log(LogError::Unavailable(_))),
            "{stop:?}"
        );
    }
    let mut empty = response(5, &[("a", 5)]);
    empty.events[0].kv = None;
    let (_, stop) = stop(&mut begun(None), empty);
    assert!(
        matches!(stop, Stop::Log(LogError::Unavailable(_))),
        "{stop:?}"
    );
}

#[test]
fn the_greatest_revision_is_a_value() {
    let mut responses = begun(None);
    let read = take(&mut responses, response(i64::MAX, &[("a", i64::MAX)]));
    assert_eq!(read, [format!("{}<--: a", i64::MAX)]);
}

#[test]
fn another_cluster_is_noticed_in_any_response() {
    let mut other = response(5, &[("a", 5)]);
    other.header.as_mut().unwrap().cluster_id = 78;
    let (_, stop) = stop(&mut begun(None), other.clone());
    assert!(matches!(stop, Stop::Cluster(78)), "{stop:?}");
    other.created = true;
    let stop = Responses::new(CLUSTER, None, 100)
        .begin(&other)
        .unwrap_err();
    assert!(matches!(stop, Stop::Cluster(78)), "{stop:?}");
}

#[test]
fn g40_payloads_are_the_events() {
    let mut deleted = response(9, &[("a", 9), ("b", 9)]);
    deleted.events[1] = PbEvent {
        r#type: 1,
        kv: Some(PbKeyValue {
            key: b"b".to_vec(),
            mod_revision: 9,
            ..PbKeyValue::default()
        }),
        ..PbEvent::default()
    };
    let mut items = Vec::new();
    begun(None).take(deleted, &mut items).unwrap();
    let [LogItem::Emit(frame)] = &items[..] else {
        panic!("{items:?}");
    };
    let events = frame
        .entries()
        .map(|(key, bytes)| EtcdEvents.decode(key, bytes).unwrap());
    let [a, b] = <[_; 2]>::try_from(events.collect::<Vec<_>>()).unwrap();
    assert_eq!((a.kind, a.value), (EventKind::Put, Bytes::from("a@9")));
    assert_eq!((a.create_revision, a.mod_revision), (1, 9));
    assert_eq!((a.version, a.lease), (2, 3));
    assert_eq!((b.kind, b.value), (EventKind::Delete, Bytes::new()));
    assert_eq!((b.create_revision, b.mod_revision), (0, 9));
    assert_eq!((b.version, b.lease), (0, 0));
}
