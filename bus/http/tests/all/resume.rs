//! Reconnecting.

use axum::http::StatusCode;

use rangewatch_http::{EventStreams, WatchRoute};

use crate::client::{app, bus_of, event, get, progress, refusal, resume, watch};

#[tokio::test(start_paused = true)]
async fn a_client_that_reconnects_after_any_event_has_no_gap_and_no_repeat() {
    let bus = bus_of(1_000);
    let app = app(&bus);
    let mut client = watch(&app, "prefix=a").await;
    let mut last_id = client.event().await.id;
    let mut received = Vec::new();
    let mut next = 0;
    for round in 0..50_u64 {
        for _ in 0..round % 4 {
            let key = if next % 3 == 0 { "b" } else { "a" };
            bus.emit(next, [key]).unwrap();
            next += 1;
        }
        // Some of what is waiting is received, and the rest is lost with the connection.
        client = resume(&app, "prefix=a", &last_id).await;
        for _ in 0..round % 3 {
            let event = client.event().await;
            if event.name.is_empty() {
                received.push(event.id.parse().unwrap());
            }
            last_id = event.id;
        }
    }
    client = resume(&app, "prefix=a", &last_id).await;
    bus.emit(next, ["a"]).unwrap();
    while received.last() != Some(&next) {
        let event = client.event().await;
        if event.name.is_empty() {
            received.push(event.id.parse().unwrap());
        }
    }
    let expected: Vec<u64> = (0..=next)
        .filter(|value| value % 3 != 0 || *value == next)
        .collect();
    assert_eq!(received, expected);
}

#[tokio::test(start_paused = true)]
async fn since_is_inclusive_and_last_event_id_is_exclusive_and_wins() {
    let bus = bus_of(100);
    let app = app(&bus);
    for value in 1..=9 {
        bus.emit(value, ["k"]).unwrap();
    }
    assert_eq!(watch(&app, "all&since=5").await.value().await, 5);
    assert_eq!(resume(&app, "all", "5").await.value().await, 6);
    assert_eq!(resume(&app, "all&since=2", "7").await.value().await, 8);
    assert_eq!(resume(&app, "all&since=3", "").await.value().await, 3);

    let mut at_the_head = resume(&app, "all", "9").await;
    bus.emit(10, ["k"]).unwrap();
    assert_eq!(at_the_head.value().await, 10);
}

#[tokio::test(start_paused = true)]
async fn an_id_above_the_head_is_of_a_process_before_or_of_another_replica() {
    let bus = bus_of(100);
    let app = app(&bus);
    for (head, compacted) in [
        (
            None,
            event(
                "compacted",
                "start",
                r#"{"compacted":{"floor":0,"epoch":0}}"#,
            ),
        ),
        (
            Some(7),
            event("compacted", "7", r#"{"compacted":{"floor":8,"epoch":0}}"#),
        ),
    ] {
        if let Some(head) = head {
            bus.emit(head, ["k"]).unwrap();
        }
        for id in ["8", "18446744073709551615"] {
            let mut client = resume(&app, "all", id).await;
            assert_eq!(client.event().await, compacted);
            assert_eq!(client.next().await, None);
        }
    }
    let streams = EventStreams::builder().build();
    let route = WatchRoute::public(&bus, &streams).unwrap().replicas();
    let app = route.router();
    let mut ahead = resume(&app, "all", "8").await;
    // Nothing follows the greatest value.
    let mut after_all = resume(&app, "all", "18446744073709551615").await;
    for value in 8..=9 {
        bus.emit(value, ["k"]).unwrap();
    }
    assert_eq!(ahead.value().await, 9);
    bus.close();
    assert_eq!(after_all.event().await.name, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_connects_before_the_first_emit_resumes_with_it() {
    let bus = bus_of(100);
    let app = app(&bus);
    let id = watch(&app, "all").await.event().await.id;
    bus.emit(0, ["k"]).unwrap();
    assert_eq!(resume(&app, "all", &id).await.value().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_matched_resumes_after_its_last_mark() {
    let bus = bus_of(2);
    let app = app(&bus);
    bus.emit(1, ["k"]).unwrap();
    let mut client = watch(&app, "key=a").await;
    assert_eq!(client.event().await, progress(1));
    for value in 2..=20 {
        bus.emit(value, ["k"]).unwrap();
    }
    let mark = loop {
        let mark = client.event().await;
        if mark == progress(20) {
            break mark;
        }
    };
    drop(client);
    bus.emit(21, ["a"]).unwrap();
    bus.emit(22, ["k"]).unwrap();
    // Without the mark it would resume after 1, which the history no longer has.
    assert_eq!(resume(&app, "key=a", &mark.id).await.value().await, 21);
}

#[tokio::test(start_paused = true)]
async fn compacted_says_the_floor_and_resumes_there() {
    let bus = bus_of(3);
    let app = app(&bus);
    for value in 1..=9 {
        bus.emit(value, ["k"]).unwrap();
    }
    for (query, last_id) in [
        ("all&since=6", None),
        ("all", Some("2")),
        ("all", Some("start")),
    ] {
        let mut client = crate::client::Client::of(get(&app, query, last_id).await);
        let compacted = client.event().await;
        assert_eq!(
            compacted,
            event("compacted", "6", r#"{"compacted":{"floor":7,"epoch":0}}"#)
        );
        assert_eq!(client.next().await, None);
        assert_eq!(client.parser.retry.as_deref(), Some("3000"));
        assert_eq!(resume(&app, query, &compacted.id).await.value().await, 7);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_never_sent_is_refused() {
    let app = app(&bus_of(3));
    for id in [
        "x",
        "-1",
        " 1 2",
        "1.5",
        "START",
        "18446744073709551616",
        "\u{e4}",
    ] {
        let (status, _, text) = refusal(get(&app, "all", Some(id)).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{id}");
        assert!(text.starts_with("Last-Event-ID is no id"), "{text}");
    }
}
