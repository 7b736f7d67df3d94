//! A client of the route: it reads the body of a response as server-sent events.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use futures::StreamExt;
use rangewatch_bus::{History, RangeWatchBus};
use rangewatch_http::{EventStreams, WatchRoute};
use tower::ServiceExt;

/// An event as a browser dispatches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) data: String,
}

/// An event with these parts.
pub(crate) fn event(name: &str, id: &str, data: &str) -> Event {
    Event {
        name: name.to_owned(),
        id: id.to_owned(),
        data: data.to_owned(),
    }
}

/// A mark at `value`.
pub(crate) fn progress(value: u64) -> Event {
    event(
        "progress",
        &value.to_string(),
        &format!("{{\"progress\":{value}}}"),
    )
}

/// Collects bytes and dispatches events, as a browser does.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    text: Vec<u8>,
    last_id: String,
    pub(crate) n_comments: usize,
    pub(crate) retry: Option<String>,
}

impl Parser {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
    }

    /// The next whole event. Its id is the last that was sent, by it or by an earlier event.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.text.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            let mut parsed = Event::default();
            for line in std::str::from_utf8(&block).unwrap().lines() {
                match line.split_once(": ").unwrap_or((line, "")) {
                    ("event", name) => parsed.name = name.to_owned(),
                    ("id", id) => self.last_id = id.to_owned(),
                    ("data", data) if parsed.data.is_empty() => parsed.data = data.to_owned(),
                    ("retry", retry) => self.retry = Some(retry.to_owned()),
                    (":", "") => self.n_comments += 1,
                    ("", "") => {}
                    other => panic!("{other:?} is no line of an event of one line of data"),
                }
            }
            if !parsed.data.is_empty() {
                parsed.id.clone_from(&self.last_id);
                return Some(parsed);
            }
        }
    }
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Client {
    body: BodyDataStream,
    pub(crate) parser: Parser,
}

impl Client {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            body: response.into_body().into_data_stream(),
            parser: Parser::default(),
        }
    }

    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        in_time(async {
            loop {
                if let Some(event) = self.parser.next() {
                    return Some(event);
                }
                match self.body.next().await {
                    Some(frame) => self.parser.push(&frame.unwrap()),
                    None => return None,
                }
            }
        })
        .await
    }

    /// The next event, which must exist.
    pub(crate) async fn event(&mut self) -> Event {
        self.next().await.expect("the stream has not ended")
    }

    /// The value of the next event, which is that of an emit.
    pub(crate) async fn value(&mut self) -> u64 {
        let event = self.event().await;
        assert_eq!(event.name, "", "{event:?}");
        event.id.parse().unwrap()
    }
}

/// Fails the test if `future` takes ten minutes of the clock of the runtime, which is paused in
/// most tests: then nothing will make it ready.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    let deadline = Duration::from_secs(600);
    tokio::time::timeout(deadline, future)
        .await
        .expect("it is ready in time")
}

/// A bus with a history of `n_events`.
pub(crate) fn bus_of(n_events: usize) -> RangeWatchBus {
    let history = History::events(n_events);
    RangeWatchBus::builder().history(history).build().unwrap()
}

/// The route of `bus` with defaults.
pub(crate) fn app(bus: &RangeWatchBus) -> Router {
    app_of(bus, &EventStreams::builder().build())
}

pub(crate) fn app_of<P: Send + Sync + 'static>(
    bus: &RangeWatchBus<P>,
    streams: &EventStreams<P>,
) -> Router {
    WatchRoute::public(bus, streams).unwrap().router()
}

/// The response to `GET /watch?query`, with a `Last-Event-ID` if there is one.
pub(crate) async fn get(app: &Router, query: &str, last_id: Option<&str>) -> Response {
    let mut request = Request::get(format!("/watch?{query}"));
    if let Some(id) = last_id {
        request = request.header("Last-Event-ID", id);
    }
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

/// A stream of what `query` selects.
pub(crate) async fn watch(app: &Router, query: &str) -> Client {
    Client::of(get(app, query, None).await)
}

/// The stream of a client that reconnects.
pub(crate) async fn resume(app: &Router, query: &str, last_id: &str) -> Client {
    Client::of(get(app, query, Some(last_id)).await)
}

/// The status, the headers and the text of a response that is no stream.
pub(crate) async fn refusal(response: Response) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    (parts.status, parts.headers, text)
}
