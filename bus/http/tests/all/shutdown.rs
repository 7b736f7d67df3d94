//! Shutting the streams down without closing the bus.

use rangewatch_http::EventStreams;

use crate::client::{app_of, bus_of, event, watch};

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_open_and_later_streams_and_leaves_the_bus_open() {
    let bus = bus_of(10);
    let streams = EventStreams::builder().build();
    let app = app_of(&bus, &streams);
    let mut client = watch(&app, "all").await;
    assert_eq!(client.event().await.id, "start");

    let shutdown = async { streams.shutdown() };
    let (ended, ()) = tokio::join!(client.event(), shutdown);
    assert_eq!(ended, event("shutdown", "start", r#"{"shutdown":{}}"#));
    assert_eq!(client.next().await, None);
    assert_eq!(bus.n_subscriptions(), 0);

    let mut late = watch(&app, "all").await;
    while late
        .next()
        .await
        .is_some_and(|event| event.name != "shutdown")
    {}
    assert_eq!(late.next().await, None);
    assert!(!bus.is_closed());
}
