//! The service as its clients see it. Time is paused: it passes when everything waits.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{Request, StatusCode};
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use crate::Service;

/// Sends a request. Returns the status and the body.
async fn send(app: &Router, method: &str, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// An open watch.
struct Watch {
    body: BodyDataStream,
    text: String,
}

impl Watch {
    async fn open(app: &Router, query: &str) -> Self {
        let request = Request::builder().uri(format!("/watch?{query}"));
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// The data of the next event; `None` at the end. Waits for a minute of paused time at most.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                let data = data.map(str::to_owned);
                self.text = rest.to_owned();
                if data.is_some() {
                    return data;
                }
                continue;
            }
            let piece = timeout(Duration::from_secs(60), self.body.next()).await;
            let piece = piece.expect("an event comes")?.unwrap();
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

fn app() -> (Service, Router) {
    app_after(0)
}

fn app_after(head: u64) -> (Service, Router) {
    let service = Service::new(head).unwrap();
    let app = service.clone().router().unwrap();
    (service, app)
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_the_past_shows_what_happened_then() {
    let (_service, app) = app();
    for (method, key, value, revision) in [
        ("PUT", "a", "1", "1"),
        ("PUT", "a", "2", "2"),
        ("PUT", "b", "3", "3"),
        ("DELETE", "a", "", "4"),
    ] {
        let changed = send(&app, method, &format!("/keys/{key}"), value).await;
        assert_eq!(changed, (StatusCode::OK, revision.to_owned()));
    }
    let mut watch = Watch::open(&app, "prefix=a&since=1").await;
    for event in [
        r#"{"seq":1,"value":1,"keys":["a"],"payloads":["1"]}"#,
        r#"{"seq":2,"value":2,"keys":["a"],"payloads":["2"]}"#,
        r#"{"seq":4,"value":4,"keys":["a"],"payloads":[null]}"#,
        r#"{"progress":4}"#,
    ] {
        assert_eq!(watch.next().await.as_deref(), Some(event));
    }
    assert!(watch.next().now_or_never().is_none());
    send(&app, "PUT", "/keys/a", "5").await;
    let event = r#"{"seq":5,"value":5,"keys":["a"],"payloads":["5"]}"#;
    assert_eq!(watch.next().await.as_deref(), Some(event));
}

#[tokio::test(start_paused = true)]
async fn a_client_of_the_process_before_lists_again() {
    let (_service, app) = app_after(1_000);
    let mut watch = Watch::open(&app, "prefix=a&since=8").await;
    let first = watch.next().now_or_never().flatten();
    assert_eq!(
        first.as_deref(),
        Some(r#"{"compacted":{"floor":1001,"epoch":0}}"#)
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_matches_nothing_has_heartbeats_and_ends_at_a_shutdown() {
    let (service, app) = app();
    let mut watch = Watch::open(&app, "prefix=other").await;
    watch.next().await;
    send(&app, "PUT", "/keys/a", "1").await;
    let begin = Instant::now();
    assert_eq!(watch.next().await.as_deref(), Some(r#"{"progress":1}"#));
    assert!((5..20).contains(&begin.elapsed().as_secs()));

    let metrics = send(&app, "GET", "/metrics", "").await.1;
    assert!(
        metrics.contains("rangewatch_subscriptions{bus=\"store\"} 1"),
        "{metrics}"
    );
    service.streams.shutdown();
    assert_eq!(watch.next().await.as_deref(), Some(r#"{"shutdown":{}}"#));
    assert_eq!(watch.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn keys_are_put_listed_and_deleted() {
    let (_service, app) = app();
    let ok = |body: &str| (StatusCode::OK, body.to_owned());
    let missing = (StatusCode::NOT_FOUND, String::new());
    assert_eq!(send(&app, "GET", "/keys", "").await, ok("[0,[]]"));
    assert_eq!(send(&app, "DELETE", "/keys/a/1", "").await, missing);
    for key in ["a/2", "a/1", "b"] {
        send(&app, "PUT", &format!("/keys/{key}"), "x").await;
    }
    let list = send(&app, "GET", "/keys?prefix=a/", "").await;
    assert_eq!(list, ok(r#"[3,[["a/1","x"],["a/2","x"]]]"#));
    assert_eq!(send(&app, "GET", "/keys/a/1", "").await, ok("x"));
    assert_eq!(send(&app, "DELETE", "/keys/a/1", "").await, ok("4"));
    assert_eq!(send(&app, "GET", "/keys/a/1", "").await, missing);
    let page = send(&app, "GET", "/", "").await;
    assert!(page.0 == StatusCode::OK && page.1.contains("EventSource"));
}
