//! The serialized form of each type, and that what is deserialized keeps all bytes. Run with
//! `--features serde`.

#![cfg(feature = "serde")]

mod cases;

use proptest::collection::vec;
use proptest::prelude::*;
use rangewatch_bus::{
    BuildError, Closed, CompactError, ControlError, EmitError, FollowError, History, Item,
    KeyRange, MirrorStopped, Overflow, ProgressError, RangeWatchBus, RecvError, RestoreError,
    Selector, Selectors, Seq, SubscribeError, TryRecvError, TryWakeError,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// That `value` is serialized as `expected`, byte for byte.
#[track_caller]
fn is_json(value: impl Serialize, expected: &str) {
    assert_eq!(serde_json::to_string(&value).unwrap(), expected);
}

/// That `error` has this kind and these fields, and its own message.
#[track_caller]
fn is_error(error: impl Serialize + std::error::Error, kind: &str, fields: &str) {
    let message = serde_json::to_string(&error.to_string()).unwrap();
    is_json(
        error,
        &format!(r#"{{"kind":"{kind}",{fields}"message":{message}}}"#),
    );
}

/// That none of `inputs` is a `T`.
#[track_caller]
fn refuses<T: DeserializeOwned + std::fmt::Debug>(inputs: &[&str]) {
    for input in inputs {
        let parsed = serde_json::from_str::<T>(input);
        assert!(parsed.is_err(), "{input} is {parsed:?}");
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Put {
    #[serde(with = "rangewatch_bus::serde::key")]
    key: Vec<u8>,
}

#[test]
fn an_event_has_its_position_value_and_matching_keys() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe("b"..).events(8).unwrap();
    let keys = [&b"a"[..], b"b\"\0", b"\xff\xfe", "\u{e9}".as_bytes()];
    bus.emit(u64::MAX, keys).unwrap();
    let event = sub.try_recv().unwrap();
    is_json(
        event.keys(),
        "[\"b\\\"\\u0000\",{\"base64\":\"//4=\"},\"\u{e9}\"]",
    );
    is_json(
        &event,
        "{\"seq\":1,\"value\":18446744073709551615,\
          \"keys\":[\"b\\\"\\u0000\",{\"base64\":\"//4=\"},\"\u{e9}\"]}",
    );
}

#[test]
fn an_event_with_payloads_has_those_of_its_matching_keys_in_order() {
    /// Of no size, as `()`.
    #[derive(Serialize)]
    struct Deleted;

    let bus = RangeWatchBus::builder().payloads().build().unwrap();
    let mut sub = bus.subscribe("a".."m").events(8).unwrap();
    bus.emit_with(7, [("b", Some("x")), ("z", None), ("a", None)])
        .unwrap();
    is_json(
        sub.try_recv().unwrap(),
        r#"{"seq":1,"value":7,"keys":["b","a"],"payloads":["x",null]}"#,
    );

    let bus = RangeWatchBus::builder().payloads().build().unwrap();
    let mut sub = bus.subscribe(..).events(8).unwrap();
    bus.emit_with(7, [("a", Deleted)]).unwrap();
    is_json(
        sub.try_recv().unwrap(),
        r#"{"seq":1,"value":7,"keys":["a"],"payloads":[null]}"#,
    );
}

#[test]
fn an_event_can_be_flattened_into_a_larger_object() {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        event: &'a rangewatch_bus::Event,
        selector: &'a Selector,
    }

    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(8).unwrap();
    bus.emit(7, [b"\xff"]).unwrap();
    is_json(
        Line {
            event: &sub.try_recv().unwrap(),
            selector: &Selector::from_key([0]),
        },
        r#"{"seq":1,"value":7,"keys":[{"base64":"/w=="}],"selector":"from:\\x00"}"#,
    );
}

#[test]
fn an_item_is_an_object_with_one_field() {
    let bus = RangeWatchBus::builder()
        .history(History::events(8))
        .build()
        .unwrap();
    let mut sub = bus
        .subscribe(..)
        .overflow(Overflow::Coalesce)
        .events(1)
        .unwrap();
    for value in [3, 5, 7] {
        bus.emit(value, ["k"]).unwrap();
    }
    sub.request_progress().unwrap();
    let items: Vec<Item> = std::iter::from_fn(|| sub.try_recv_item().ok()).collect();
    is_json(
        items,
        "[{\"event\":{\"seq\":1,\"value\":3,\"keys\":[\"k\"]}},\
          {\"gap\":{\"first\":5,\"last\":7,\"count\":2,\"first_seq\":2,\"last_seq\":3,\
                    \"is_conservative\":false}},\
          {\"progress\":7}]",
    );
}

#[test]
fn a_span_has_all_its_fields() {
    let bus = RangeWatchBus::new();
    bus.emit(9, ["k"]).unwrap();
    let mut since = bus.subscribe(..).since(4).wake().unwrap();
    is_json(
        since.try_recv().unwrap(),
        "{\"first\":4,\"last\":9,\"count\":0,\"first_seq\":1,\"last_seq\":1,\
          \"is_conservative\":true}",
    );
}

#[test]
fn statistics_have_the_names_of_their_methods() {
    let bus = RangeWatchBus::builder()
        .history(History::events(8))
        .build()
        .unwrap();
    let mut sub = bus
        .subscribe(..)
        .overflow(Overflow::Lagged)
        .events(1)
        .unwrap();
    for value in 1..=4 {
        bus.emit(value, ["k"]).unwrap();
    }
    let _ = sub.try_recv();
    let deliveries = "{\"matched\":4,\"delivered\":0,\"coalesced\":0,\"dropped\":3,\
                       \"discarded\":0,\"pending\":1}";
    is_json(sub.stats(), deliveries);
    is_json(
        bus.stats(),
        &format!(
            "{{\"n_emits\":4,\"deliveries\":{deliveries},\"n_subscriptions\":1,\"n_parked\":0,\
               \"greatest_lag\":1,\"n_history_events\":4,\"history_bytes\":{}}}",
            bus.stats().history_bytes()
        ),
    );
}

#[test]
fn a_selector_is_its_textual_form() {
    for (selector, json) in [
        (Selector::key("a"), r#""key:a""#),
        (Selector::range("a", "m"), r#""range:a..m""#),
        (Selector::from_key([0xff]), r#""from:\\xff""#),
        (Selector::prefix("/registry/"), r#""prefix:/registry/""#),
        (Selector::all(), r#""all""#),
    ] {
        is_json(&selector, json);
        assert_eq!(serde_json::from_str::<Selector>(json).unwrap(), selector);
    }
    let selectors = Selectors::from([Selector::key("a"), Selector::all()]);
    is_json(&selectors, r#"["key:a","all"]"#);
    is_json(Selectors::new(), "[]");
}

#[test]
fn every_error_has_a_kind_its_fields_and_its_message() {
    let bus = RangeWatchBus::new();
    let mut sub = bus
        .subscribe(..)
        .overflow(Overflow::Coalesce)
        .events(1)
        .unwrap();
    for value in [1, 2, 3] {
        bus.emit(value, ["k"]).unwrap();
    }
    sub.try_recv().unwrap();
    let coalesced = sub.try_recv().unwrap_err();
    let gap = "\"gap\":{\"first\":2,\"last\":3,\"count\":2,\"first_seq\":2,\"last_seq\":3,\
               \"is_conservative\":false},";
    is_error(coalesced, "coalesced", gap);
    is_error(coalesced.recv_error().unwrap(), "coalesced", gap);
    let (lagged, resume, floor) = (
        r#""missed":3,"#,
        r#""resume":4,"#,
        r#""floor":5,"epoch":1,"#,
    );
    is_error(RecvError::Lagged(3), "lagged", lagged);
    is_error(TryRecvError::Lagged(3), "lagged", lagged);
    is_error(
        RecvError::Disconnected { resume: 4 },
        "disconnected",
        resume,
    );
    is_error(
        TryRecvError::Disconnected { resume: 4 },
        "disconnected",
        resume,
    );
    is_error(
        RecvError::Compacted { floor: 5, epoch: 1 },
        "compacted",
        floor,
    );
    is_error(
        TryRecvError::Compacted { floor: 5, epoch: 1 },
        "compacted",
        floor,
    );
    is_error(
        SubscribeError::Compacted { floor: 5, epoch: 1 },
        "compacted",
        floor,
    );
    is_error(RecvError::Closed, "closed", "");
    is_error(TryRecvError::Closed, "closed", "");
    is_error(TryRecvError::Empty, "empty", "");
    is_error(TryRecvError::CatchingUp, "catching_up", "");
    is_error(TryRecvError::NotStarted, "not_started", "");
    is_error(Closed, "closed", "");
    is_error(TryWakeError::Empty, "empty", "");
    is_error(TryWakeError::NotStarted, "not_started", "");
    is_error(TryWakeError::Closed, "closed", "");
    is_error(EmitError::Closed, "closed", "");
    let not_increasing = EmitError::NotIncreasing { value: 7, head: 8 };
    is_error(not_increasing, "not_increasing", r#""value":7,"head":8,"#);
    is_error(EmitError::LastValue, "last_value", "");
    is_error(EmitError::NoHistory, "no_history", "");
    let too_many = EmitError::TooManyMatched { max_matched: 9 };
    is_error(too_many, "too_many_matched", r#""max_matched":9,"#);
    let range = r#""from":{"base64":"/w=="},"to":"","#;
    let empty = KeyRange::new([0xff], "").unwrap_err();
    is_error(ControlError::from(empty.clone()), "empty_range", range);
    is_error(SubscribeError::from(empty.clone()), "empty_range", range);
    is_error(empty, "empty_range", range);
    let full = SubscribeError::TooManySubscriptions { max: 9 };
    is_error(RestoreError::NoHistory, "no_history", "");
    is_error(RestoreError::LastHead, "last_head", "");
    is_error(RestoreError::Closed, "closed", "");
    is_error(full, "too_many_subscriptions", r#""max":9,"#);
    is_error(SubscribeError::ZeroCapacity, "zero_capacity", "");
    is_error(SubscribeError::ZeroInterval, "zero_interval", "");
    is_error(SubscribeError::NoQueue, "no_queue", "");
    is_error(SubscribeError::SinceReserved, "since_reserved", "");
    is_error(SubscribeError::FollowReserved, "follow_reserved", "");
    is_error(SubscribeError::SinceMirror, "since_mirror", "");
    is_error(SubscribeError::NoHistory, "no_history", "");
    is_error(FollowError::Scan("gone"), "scan", r#""error":"gone","#);
    let closed = FollowError::<&str>::Subscribe(SubscribeError::Closed);
    let error = serde_json::to_string(&SubscribeError::Closed).unwrap();
    is_error(closed, "subscribe", &format!(r#""error":{error},"#));
    let too_slow = FollowError::<&str>::SnapshotTooSlow { n_snapshots: 3 };
    is_error(too_slow, "snapshot_too_slow", r#""n_snapshots":3,"#);
    let stopped = MirrorStopped { value: Some(7) };
    is_error(stopped, "mirror_stopped", r#""value":7,"#);
    is_error(SubscribeError::Closed, "closed", "");
    is_error(ControlError::NotOpen, "not_open", "");
    is_error(ControlError::AlreadyOpen, "already_open", "");
    is_error(ControlError::Ended, "ended", "");
    is_error(ControlError::Closed, "closed", "");
    for (text, kind) in [
        ("a", "unknown_form"),
        ("range:a", "missing_dots"),
        ("key:^", "bad_escape"),
    ] {
        let text = text.replace('^', "\\");
        let error = text.parse::<Selector>().unwrap_err();
        let quoted = serde_json::to_string(&text).unwrap();
        is_error(error, kind, &format!("\"text\":{quoted},"));
    }
    is_error(BuildError::EmptyHistory, "empty_history", "");
    is_error(BuildError::HeadWithoutHistory, "head_without_history", "");
    is_error(BuildError::EpochWithoutHistory, "epoch_without_history", "");
    is_error(BuildError::LastHead, "last_head", "");
    let above_head = |head| CompactError::AboveHead { value: 9, head };
    is_error(above_head(Some(7)), "above_head", r#""value":9,"head":7,"#);
    is_error(above_head(None), "above_head", r#""value":9,"head":null,"#);
    is_error(CompactError::NoHistory, "no_history", "");
    is_error(ProgressError::NoHistory, "no_history", "");
    let full = bus.batch(8).stage(1, ["a"]).unwrap_err();
    is_error(full, "batch_full", r#""max_bytes":8,"#);
}

#[test]
fn input_of_another_form_is_an_error() {
    refuses::<Selector>(&[
        "1",
        "null",
        "[]",
        "{}",
        r#""""#,
        r#""a""#,
        r#""range:a""#,
        r#""key:\\x0""#,
        r#"{"Key":"a"}"#,
        r#"["all"]"#,
    ]);
    refuses::<Selectors>(&["null", r#""all""#, r#"["all",1]"#, r#"["all""#]);
    refuses::<Seq>(&["0", "-1", "1.5", r#""1""#, "18446744073709551616"]);
    refuses::<Put>(&[
        r#"{"key":null}"#,
        r#"{"key":1}"#,
        r#"{"key":[97]}"#,
        r#"{"key":{}}"#,
        r#"{"key":{"base64":1}}"#,
        r#"{"key":{"base64":"/w"}}"#,
        r#"{"key":{"base64":"/x=="}}"#,
        r#"{"key":{"base64":"_w=="}}"#,
        r#"{"key":{"base64":"/w==","base64":"/w=="}}"#,
        r#"{"key":{"base64":"/w==","text":"a"}}"#,
    ]);
    let error = serde_json::from_str::<Selector>(r#""range:a""#).unwrap_err();
    assert!(error.to_string().contains("write range:A..B"), "{error}");
    // The length that the input claims reserves no memory.
    let huge = postcard::to_allocvec(&u64::MAX).unwrap();
    postcard::from_bytes::<Selectors>(&huge).unwrap_err();
}

#[test]
fn binary_formats_have_keys_as_bytes_and_every_length_first() {
    let bus = RangeWatchBus::builder().payloads().build().unwrap();
    let mut sub = bus.subscribe("b"..).events(8).unwrap();
    let emits = [(&b"a"[..], 1_u8), (b"b", 2), (b"\xff", 3)];
    bus.emit_with(7, emits).unwrap();
    let bytes = postcard::to_allocvec(&sub.try_recv().unwrap()).unwrap();
    // The position, the value, two keys, each after its length, and two payloads.
    assert_eq!(bytes, [1, 7, 2, 1, b'b', 1, 0xff, 2, 2, 3]);
}

proptest! {
    #![proptest_config(cases::config())]

    #[test]
    fn a_selector_of_any_bytes_is_deserialized_to_an_equal_one(
        few in vec(cases::selector(), 0..4),
        [a, b] in [vec(any::<u8>(), 0..12), vec(any::<u8>(), 0..12)],
    ) {
        let mut selectors = Selectors::from(few);
        selectors.extend([Selector::key(&a), Selector::prefix(&a), Selector::from_key(&b)]);
        // Also ranges that hold no key: they are refused by a subscription, not here.
        selectors.extend([Selector::range(&a, &b)]);
        let json = serde_json::to_vec(&selectors).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Selectors>(&json).unwrap(), &selectors);
        let value = serde_json::to_value(&selectors).unwrap();
        prop_assert_eq!(&serde_json::from_value::<Selectors>(value).unwrap(), &selectors);
        let bytes = postcard::to_allocvec(&selectors).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Selectors>(&bytes).unwrap(), selectors);
    }

    #[test]
    fn a_key_of_any_bytes_is_deserialized_to_the_same_bytes(key in vec(any::<u8>(), 0..12)) {
        let put = Put { key };
        let json = serde_json::to_vec(&put).unwrap();
        prop_assert_eq!(&serde_json::from_slice::<Put>(&json).unwrap(), &put);
        let bytes = postcard::to_allocvec(&put).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Put>(&bytes).unwrap(), put);
    }

    #[test]
    fn arbitrary_input_is_an_error_or_a_value_and_never_a_panic(
        text in ".{0,20}",
        bytes in vec(any::<u8>(), 0..20),
    ) {
        let quoted = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(
            serde_json::from_str::<Selector>(&quoted).ok(),
            text.parse().ok()
        );
        let _ = serde_json::from_slice::<Selectors>(&bytes);
        let _ = postcard::from_bytes::<Selectors>(&bytes);
        let _ = postcard::from_bytes::<Put>(&bytes);
    }
}
