//! How streams end.

use rangewatch_bus::Overflow;
use rangewatch_http::EventStreams;

use crate::client::{Client, app, bus_of, event, progress, watch};

#[tokio::test(start_paused = true)]
async fn a_closed_bus_ends_streams_after_what_they_have_to_send() {
    const CLOSED: &str = r#"{"closed":{"reason":"leader \"lost\""}}"#;
    let bus = bus_of(10);
    let app = app(&bus);
    let mut client = watch(&app, "all").await;
    bus.emit(1, ["k"]).unwrap();
    bus.close_with("leader \"lost\"");
    assert_eq!(client.event().await.id, "start");
    assert_eq!(client.value().await, 1);
    assert_eq!(client.event().await, event("closed", "1", CLOSED));
    assert_eq!(client.next().await, None);

    let mut late = watch(&app, "all&since=1").await;
    assert_eq!(late.event().await, event("closed", "", CLOSED));
    assert_eq!(late.parser.retry.as_deref(), Some("3000"));
    assert_eq!(late.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_parked_stream_that_the_floor_overtakes_ends_with_compacted() {
    let bus = bus_of(4);
    let streams = EventStreams::builder().build();
    let mut client = Client::of(streams.respond(bus.subscribe(..).events(2)));
    for value in 1..=20 {
        bus.emit(value, ["k"]).unwrap();
    }
    assert_eq!(client.event().await.id, "start");
    assert_eq!((client.value().await, client.value().await), (1, 2));
    let compacted = event("compacted", "16", r#"{"compacted":{"floor":17,"epoch":0}}"#);
    assert_eq!(client.event().await, compacted);
    assert_eq!(client.next().await, None);
    assert_eq!(bus.n_subscriptions(), 0);
    drop(client);
    assert_eq!(
        (streams.stats().n_compacted(), streams.stats().n_open()),
        (1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn each_miss_of_another_policy_is_an_event() {
    let bus = bus_of(100);
    let streams = EventStreams::builder().build();
    let open = |overflow| {
        let subscribed = bus.subscribe(..).overflow(overflow).events(2);
        Client::of(streams.respond(subscribed))
    };
    bus.emit(1, ["k"]).unwrap();
    let policies = [Overflow::Lagged, Overflow::Coalesce, Overflow::Disconnect];
    let [mut lagged, mut coalesced, mut disconnected] = policies.map(open);
    for value in 2..=9 {
        bus.emit(value, ["k"]).unwrap();
    }
    // Without an id of its own: a browser that reconnects resumes with what is missed.
    assert_eq!(lagged.event().await, event("lagged", "", r#"{"lagged":6}"#));
    assert_eq!(lagged.event().await, progress(1));
    assert_eq!((lagged.value().await, lagged.value().await), (8, 9));

    assert_eq!(coalesced.event().await, progress(1));
    assert_eq!((coalesced.value().await, coalesced.value().await), (2, 3));
    let gap = coalesced.event().await;
    assert_eq!((gap.name.as_str(), gap.id.as_str()), ("gap", "9"));
    assert!(
        gap.data
            .starts_with(r#"{"coalesced":{"first":4,"last":9,"count":6,"#),
        "{gap:?}"
    );

    assert_eq!(disconnected.event().await, progress(1));
    assert_eq!(
        (disconnected.value().await, disconnected.value().await),
        (2, 3)
    );
    let data = r#"{"disconnected":{"resume":4}}"#;
    assert_eq!(disconnected.event().await, event("disconnected", "3", data));
    assert_eq!(disconnected.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_dropped_drops_its_subscription() {
    let bus = bus_of(10);
    let streams = EventStreams::builder().build();
    let stream = streams.open(bus.subscribe(..).events(2).unwrap()).unwrap();
    assert_eq!((bus.n_subscriptions(), streams.stats().n_open()), (1, 1));
    drop(stream);
    assert_eq!((bus.n_subscriptions(), streams.stats().n_open()), (0, 0));
}
