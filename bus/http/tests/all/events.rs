//! What is sent.

use std::time::Duration;

use rangewatch_bus::{History, RangeWatchBus, Selector};
use rangewatch_http::EventStreams;
use serde_json::value::RawValue;

use crate::client::{Client, app, app_of, bus_of, event, progress, watch};

#[tokio::test(start_paused = true)]
async fn an_event_has_its_value_as_id_and_the_watched_keys_as_json() {
    let bus = bus_of(10);
    bus.emit(6, ["before"]).unwrap();
    let mut client = watch(&app(&bus), "prefix=a&key=%FF").await;
    assert_eq!(client.event().await, progress(6));
    assert_eq!(client.parser.retry.as_deref(), Some("3000"));

    bus.emit_slices(7, &[b"a\"\n", b"b", b"\xff", "aä".as_bytes()])
        .unwrap();
    bus.emit(8, ["b"]).unwrap();
    bus.emit(9, ["a"]).unwrap();

    let data = r#"{"seq":2,"value":7,"keys":["a\"\n",{"base64":"/w=="},"aä"]}"#;
    assert_eq!(client.event().await, event("", "7", data));
    let data = r#"{"seq":4,"value":9,"keys":["a"]}"#;
    assert_eq!(client.event().await, event("", "9", data));

    // The same text as everywhere else.
    let selectors = [Selector::prefix("a"), Selector::key([255])];
    let mut same = bus.subscribe(selectors).since(7).events(8).unwrap();
    let mut again = watch(&app(&bus), "prefix=a&key=%FF&since=7").await;
    for _ in 0..2 {
        let data = serde_json::to_string(&same.try_recv().unwrap()).unwrap();
        assert_eq!(again.event().await.data, data);
    }
}

#[tokio::test(start_paused = true)]
async fn payloads_are_written_by_the_service_for_the_watched_keys() {
    let history = History::events(10);
    let bus = RangeWatchBus::builder()
        .payloads::<f64>()
        .history(history)
        .build()
        .unwrap();
    let streams = EventStreams::builder()
        .payloads(|key, payload: &f64, json| match key {
            b"a/none" => Ok(()),
            _ => json.write(&(key.len(), payload)),
        })
        .build();
    let mut client = watch(&app_of(&bus, &streams), "prefix=a&since=0").await;
    bus.emit_with(7, [("a", 0.5), ("x", 1.5), ("a/none", 2.5)])
        .unwrap();

    assert_eq!(client.event().await.name, "progress");
    let data = r#"{"seq":1,"value":7,"keys":["a","a/none"],"payloads":[[1,0.5],null]}"#;
    assert_eq!(client.event().await, event("", "7", data));

    let plain = EventStreams::builder().without_payloads::<f64>().build();
    let mut client = watch(&app_of(&bus, &plain), "prefix=a&since=7").await;
    let data = r#"{"seq":1,"value":7,"keys":["a","a/none"]}"#;
    assert_eq!(client.event().await, event("", "7", data));
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_cannot_be_written_is_reported_in_place_of_its_event() {
    let history = History::events(10);
    let bus = RangeWatchBus::builder()
        .payloads::<bool>()
        .history(history)
        .build()
        .unwrap();
    let streams = EventStreams::builder()
        .payloads(|_key, is_good: &bool, json| {
            if *is_good {
                json.write("good")
            } else {
                json.write(&std::collections::HashMap::from([(
                    (),
                    "not a map of strings",
                )]))
            }
        })
        .build();
    bus.emit_with(7, [("a", true), ("b", false)]).unwrap();
    bus.emit_with(8, [("a", true)]).unwrap();
    let mut client = watch(&app_of(&bus, &streams), "all&since=7").await;

    let failed = client.event().await;
    assert_eq!((failed.name.as_str(), failed.id.as_str()), ("failed", "7"));
    assert!(
        failed.data.starts_with(r#"{"failed":{"value":7,"error":"#),
        "{}",
        failed.data
    );
    assert_eq!(client.value().await, 8);
}

#[tokio::test(start_paused = true)]
async fn raw_json_with_line_breaks_is_one_line() {
    let history = History::events(10);
    let bus = RangeWatchBus::builder()
        .payloads::<String>()
        .history(history)
        .build()
        .unwrap();
    let streams = EventStreams::builder()
        .payloads(|_key, text: &String, json| json.write(&RawValue::from_string(text.clone())?))
        .build();
    let pretty = "{\r\n\n\"a\":\n\"id: 9\\n\"}".to_owned();
    bus.emit_with(7, [("k", pretty)]).unwrap();
    let mut client = watch(&app_of(&bus, &streams), "all&since=7").await;

    let data = r#"{"seq":1,"value":7,"keys":["k"],"payloads":[{   "a": "id: 9\n"}]}"#;
    assert_eq!(client.event().await, event("", "7", data));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_marks_with_ids_also_if_nothing_ever_matches() {
    let bus = bus_of(10);
    bus.emit(1, ["k"]).unwrap();
    let streams = EventStreams::builder()
        .heartbeat(Duration::from_secs(60))
        .build();
    let mut client = watch(&app_of(&bus, &streams), "key=never").await;
    assert_eq!(client.event().await, progress(1));

    let start = tokio::time::Instant::now();
    bus.emit(5, ["k"]).unwrap();
    assert_eq!(client.event().await, progress(5));
    let first = start.elapsed();
    assert!((30..=61).contains(&first.as_secs()), "{first:?}");
    for value in 6..9 {
        bus.emit(value, ["k"]).unwrap();
        assert_eq!(client.event().await, progress(value));
    }
    let interval = (start.elapsed() - first) / 3;
    assert!((60..=61).contains(&interval.as_secs()), "{interval:?}");
}

#[tokio::test(start_paused = true)]
async fn heartbeats_are_comments_before_there_is_anything_to_mark() {
    let bus = bus_of(10);
    let mut client = watch(&app(&bus), "all").await;
    let started = client.event().await;
    assert_eq!(started, event("progress", "start", r#"{"progress":null}"#));

    let emitter = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        bus.emit(1, ["k"]).unwrap();
    };
    let (value, ()) = tokio::join!(client.value(), emitter);
    assert_eq!(value, 1);
    assert!(
        (5..=7).contains(&client.parser.n_comments),
        "{}",
        client.parser.n_comments
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_larger_than_a_frame_arrives_whole() {
    let bus = bus_of(10);
    let mut client = watch(&app(&bus), "all").await;
    let keys: Vec<String> = (0..3_000)
        .map(|i| format!("key-{i:010}-{}", "x".repeat(40)))
        .collect();
    bus.emit(1, &keys).unwrap();
    bus.emit(2, ["k"]).unwrap();

    assert_eq!(client.event().await.id, "start");
    let parsed: serde_json::Value = serde_json::from_str(&client.event().await.data).unwrap();
    assert_eq!(parsed["keys"], serde_json::json!(keys));
    assert_eq!(client.value().await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_of_a_bus_without_history_has_no_ids() {
    let bus = RangeWatchBus::new();
    let streams = EventStreams::builder().build();
    let subscribed = bus.subscribe(..).events(2);
    let mut client = Client::of(streams.respond(subscribed));
    for value in 1..=5 {
        bus.emit(value, ["k"]).unwrap();
    }
    assert_eq!(client.event().await, event("lagged", "", r#"{"lagged":3}"#));
    let data = r#"{"seq":4,"value":4,"keys":["k"]}"#;
    assert_eq!(client.event().await, event("", "", data));
}
