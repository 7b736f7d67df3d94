//! A service that stores keys and streams their changes. README.md shows how to use it.

mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::{Router, routing::get};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use rangewatch_http::{EventStreams, WatchRoute};
use store::{Change, Store};
use tokio::net::TcpListener;

type Params = HashMap<String, String>;
#[derive(Clone)]
struct Service {
    store: Arc<Store>,
    streams: EventStreams<Change>,
    recorder: Arc<PrometheusRecorder>,
}

impl Service {
    fn new(head: u64) -> Result<Self, Box<dyn std::error::Error>> {
        let streams = EventStreams::builder()
            .payloads(|_key, change: &Change, json| json.write(&change.as_deref()));
        Ok(Self {
            store: Arc::new(Store::new(head)?),
            streams: streams.build(),
            recorder: Arc::new(PrometheusBuilder::new().build_recorder()),
        })
    }

    fn router(self) -> Result<Router, Box<dyn std::error::Error>> {
        let watch = WatchRoute::public(&self.store.bus, &self.streams)?; // GET /watch
        Ok(Router::new()
            .route("/", get(Html(include_str!("page.html"))))
            .route("/keys", get(list))
            .route("/keys/{*key}", get(value).put(change).delete(change))
            .route("/metrics", get(metrics))
            .with_state(self)
            .merge(watch.router()))
    }
}

/// The revision, and the keys that begin with `prefix`: watch since the revision after it.
async fn list(State(service): State<Service>, Query(query): Query<Params>) -> impl IntoResponse {
    let prefix = query.get("prefix").map_or("", String::as_str);
    let keys = service.store.keys.lock();
    let matching = keys.range(prefix.to_owned()..);
    let matching = matching.take_while(|(key, _)| key.starts_with(prefix));
    let matching = matching.map(|(key, value)| (key.clone(), value.to_string()));
    // Under the lock of the store its revision does not change.
    Json((service.store.bus.head(), matching.collect::<Vec<_>>()))
}

async fn value(State(service): State<Service>, Path(key): Path<String>) -> impl IntoResponse {
    let keys = service.store.keys.lock();
    keys.get(&key)
        .map(|value| value.to_string())
        .ok_or(StatusCode::NOT_FOUND)
}

/// A put of the body, or a delete. Responds with the revision.
async fn change(
    State(service): State<Service>,
    Path(key): Path<String>,
    method: Method,
    body: String,
) -> Response {
    let change = (method == Method::PUT).then(|| body.into());
    match service.store.change(key, change) {
        Ok(Some(revision)) => Json(revision).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(closed) => (StatusCode::SERVICE_UNAVAILABLE, closed.to_string()).into_response(),
    }
}

async fn metrics(State(service): State<Service>) -> String {
    metrics::with_local_recorder(&*service.recorder, || service.store.bus.record_metrics());
    service.recorder.handle().render()
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a program that says where it is")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:3000")).await?;
    println!("http://{} (Ctrl-C ends)", listener.local_addr()?);
    // Above the revisions of the process before, whose changes are lost: its clients list again.
    let head = SystemTime::UNIX_EPOCH.elapsed()?.as_micros().try_into()?;
    let service = Service::new(head)?;
    axum::serve(listener, service.clone().router()?)
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            service.streams.shutdown(); // they have no end of their own: the server would wait
        })
        .await?;
    Ok(())
}
