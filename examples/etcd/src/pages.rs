//! The pages for health checks and for Prometheus, beside gRPC on the same address.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::machine::Machine;
use crate::maintenance::VERSION;

#[derive(Clone)]
struct Pages {
    machine: Machine,
    /// Health checks that found the guest failing.
    n_unhealthy: Arc<AtomicI64>,
}

pub(crate) fn router(machine: Machine) -> Router {
    let n_unhealthy = Arc::default();
    let pages = Pages {
        machine,
        n_unhealthy,
    };
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(pages)
}

/// As etcd answers: whether a request would be served.
async fn health(State(pages): State<Pages>) -> impl IntoResponse {
    let is_healthy = pages.machine.read("head", Vec::new()).await.is_ok();
    let status = match is_healthy {
        true => StatusCode::OK,
        false => {
            pages.n_unhealthy.fetch_add(1, Ordering::Relaxed);
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let body = format!("{{\"health\":\"{is_healthy}\"}}");
    (status, [(CONTENT_TYPE, "application/json")], body)
}

/// The text format of Prometheus, under etcd's names.
async fn metrics(State(pages): State<Pages>) -> impl IntoResponse {
    let machine = pages.machine;
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, labels: &str, value: i64, help: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}"
        );
    };
    let n_watchers = i64::try_from(machine.bus().n_subscriptions()).unwrap_or(i64::MAX);
    let version = format!("{{server_version=\"{VERSION}\"}}");
    metric(
        "etcd_server_version",
        "gauge",
        &version,
        1,
        "The version of the API.",
    );
    let n_unhealthy = pages.n_unhealthy.load(Ordering::Relaxed);
    metric(
        "etcd_server_health_failures",
        "counter",
        "",
        n_unhealthy,
        "Failed health checks.",
    );
    metric(
        "etcd_debugging_mvcc_watcher_total",
        "gauge",
        "",
        n_watchers,
        "Watches of all streams.",
    );
    metric(
        "etcd_debugging_mvcc_current_revision",
        "gauge",
        "",
        machine.revision(),
        "The revision of the store.",
    );
    if let Ok(n_bytes) = machine.stored_bytes() {
        metric(
            "etcd_mvcc_db_total_size_in_bytes",
            "gauge",
            "",
            n_bytes,
            "Bytes of the files of the store.",
        );
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
