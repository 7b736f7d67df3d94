//! The page for a browser, and what it reads; health checks and metrics. All of it is on the
//! address of the gRPC services.

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use rangewatch::bus::KeyRange;
use rangewatch_http::{EventStreams, WatchRoute};
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::BoxError;
use crate::host::Recorded;
use crate::machine::Machine;
use crate::maintenance::VERSION;
use crate::proto::mvccpb::Event;
use crate::proto::mvccpb::event::EventType;
use crate::proto::rangewatch::etcd::{ChangesRequest, ChangesResponse};

/// Pages that watch at a time, so that clients cannot take all memory by opening streams.
const MAX_STREAMS: usize = 100;

/// Bytes of the changes of one response, before values are cut.
const MAX_BYTES: i64 = 256 << 10;

/// Bytes of a value that a page shows.
const MAX_SHOWN: usize = 256;

#[derive(Clone)]
struct Pages {
    machine: Machine,
    runtime: &'static str,
}

/// The streams of pages, which end when the server stops.
pub(crate) fn streams() -> EventStreams<Recorded> {
    EventStreams::builder()
        .without_payloads()
        .max_streams(MAX_STREAMS)
        .retry(Duration::from_secs(1))
        .build()
}

pub(crate) fn router(
    machine: Machine,
    runtime: &'static str,
    streams: &EventStreams<Recorded>,
) -> Result<Router, BoxError> {
    let watch = WatchRoute::public(machine.bus(), streams)?; // GET /watch
    Ok(Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/status", get(status))
        .route("/changes", get(changes))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(Pages { machine, runtime })
        .merge(watch.router()))
}

/// What the page shows of the server.
#[derive(Serialize)]
struct Summary {
    /// Of this program.
    version: &'static str,
    /// Of the etcd whose API it serves.
    etcd_version: &'static str,
    runtime: &'static str,
    revision: i64,
    n_keys: u64,
    n_watches: usize,
    /// Since the server started.
    n_changes: u64,
    /// Events that were sent to watches since the server started.
    n_events: u64,
}

async fn status(State(pages): State<Pages>) -> Json<Summary> {
    let metrics = pages.machine.metrics();
    Json(Summary {
        version: env!("CARGO_PKG_VERSION"),
        etcd_version: VERSION,
        runtime: pages.runtime,
        revision: pages.machine.revision(),
        n_keys: metrics.n_keys.get(),
        n_watches: metrics.n_watches(),
        n_changes: metrics.n_puts.get() + metrics.n_deletes.get(),
        n_events: metrics.n_events.get(),
    })
}

/// The changes to read: those of keys with a prefix, from one revision to another, inclusive.
#[derive(Deserialize)]
struct ChangesQuery {
    prefix: String,
    from: i64,
    to: i64,
}

#[derive(Serialize)]
struct Changes {
    changes: Vec<Change>,
    /// The first revision that is missing here: `to + 1` at the end.
    next: i64,
    /// Above 0 if `from` is below it: those changes are compacted, and there are none here.
    compact_revision: i64,
}

#[derive(Serialize)]
struct Change {
    revision: i64,
    is_delete: bool,
    key: String,
    /// As much of it as a page shows.
    value: String,
    n_value_bytes: usize,
}

/// The bus tells a page that something has changed, and the guest what.
async fn changes(
    State(pages): State<Pages>,
    Query(query): Query<ChangesQuery>,
) -> Result<Json<Changes>, Response> {
    let range = KeyRange::prefix(&query.prefix);
    // In etcd's terms, in which a zero byte is the first key, and no end.
    let or_zero = |bound: &[u8]| match bound {
        [] => vec![0],
        bound => bound.to_vec(),
    };
    let request = ChangesRequest {
        key: or_zero(range.start()),
        range_end: or_zero(range.end().unwrap_or_default()),
        from: query.from,
        to: query.to,
        max_bytes: MAX_BYTES,
        ..ChangesRequest::default()
    };
    let changes = pages.machine.read_message("changes", &request).await;
    let changes: ChangesResponse = changes.map_err(failed)?;
    Ok(Json(Changes {
        changes: changes.events.into_iter().map(change).collect(),
        next: changes.next,
        compact_revision: changes.compact_revision,
    }))
}

fn change(event: Event) -> Change {
    let is_delete = event.r#type() == EventType::Delete;
    let kv = event.kv.unwrap_or_default();
    let mut value = text(&kv.value);
    value.truncate(value.floor_char_boundary(MAX_SHOWN));
    Change {
        revision: kv.mod_revision,
        is_delete,
        key: text(&kv.key),
        value,
        n_value_bytes: kv.value.len(),
    }
}

/// Bytes as a page shows them.
fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

fn failed(error: Status) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, error.message().to_owned()).into_response()
}

/// The response to a request for a path that is neither a method nor a page.
pub(crate) fn not_served(request: &Request) -> Response {
    let path = request.uri().path();
    let content_type = request.headers().get(CONTENT_TYPE);
    if content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return Status::unimplemented(format!("etcdserver: no method {path}")).into_http();
    }
    let text =
        format!("no page {path}: there are /, /health and /metrics, and etcd's v3 API by gRPC\n");
    (StatusCode::NOT_FOUND, text).into_response()
}

/// As etcd answers.
async fn health(State(pages): State<Pages>) -> impl IntoResponse {
    let is_healthy = pages.machine.is_healthy().await;
    let status = match is_healthy {
        true => StatusCode::OK,
        false => {
            pages.machine.metrics().n_unhealthy.add(1);
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let body = format!("{{\"health\":\"{is_healthy}\"}}");
    (status, [(CONTENT_TYPE, "application/json")], body)
}

async fn metrics(State(pages): State<Pages>) -> Result<impl IntoResponse, Response> {
    let text = pages.machine.metrics().render(&pages.machine).await;
    let text = text.map_err(failed)?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}
