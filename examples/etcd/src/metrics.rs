//! What the server counts, and the text that Prometheus reads.
//!
//! A request adds to plain atomics. A scrape passes the numbers to the exporter, under etcd's names
//! where etcd counts the same, and those of the bus beside them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;
use metrics::{Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusRecorder};
use prost::Message as _;
use tokio::time;
use tonic::{Code, Status};

use crate::host;
use crate::machine::Machine;
use crate::maintenance::VERSION;
use crate::pages;
use crate::proto::etcdserverpb::{RangeRequest, RangeResponse};
use crate::proto::rangewatch::etcd::{ChangesRequest, ChangesResponse};
use crate::store::Writes;

/// The numbers of one server.
pub(crate) struct Metrics {
    pub(crate) n_puts: Count,
    /// Keys that were deleted.
    pub(crate) n_deletes: Count,
    /// Keys that are present.
    pub(crate) n_keys: Count,
    /// Events that were sent to watches.
    pub(crate) n_events: Count,
    pub(crate) n_unhealthy: Count,
    pub(crate) n_leases_granted: Count,
    pub(crate) n_leases_renewed: Count,
    pub(crate) n_leases_revoked: Count,
    pub(crate) n_leases_expired: Count,
    /// Each watch has a clone.
    pub(crate) watches: Arc<()>,
    /// Each stream of watches has a clone.
    pub(crate) watch_streams: Arc<()>,
    /// By the path of a request.
    methods: HashMap<String, Arc<Method>>,
    log_sync: Histogram,
    commit: Histogram,
    recorder: PrometheusRecorder,
}

/// A number that any thread changes.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

/// A method of a gRPC service, and its requests.
struct Method {
    service: &'static str,
    name: &'static str,
    kind: &'static str,
    n_started: Count,
    /// By the code of the status.
    n_handled: [Count; CODES.len()],
}

const LOG_SYNC: &str = "etcd_disk_wal_fsync_duration_seconds";
const COMMIT: &str = "etcd_disk_backend_commit_duration_seconds";

/// Source: `/metrics` of etcd 3.4.
const BUCKETS: [f64; 14] = [
    0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096,
    8.192,
];

/// The methods that are served.
const METHODS: [(&str, &str, &str); 15] = [
    ("etcdserverpb.KV", "Range", "unary"),
    ("etcdserverpb.KV", "Put", "unary"),
    ("etcdserverpb.KV", "DeleteRange", "unary"),
    ("etcdserverpb.KV", "Txn", "unary"),
    ("etcdserverpb.KV", "Compact", "unary"),
    ("etcdserverpb.Watch", "Watch", "bidi_stream"),
    ("etcdserverpb.Lease", "LeaseGrant", "unary"),
    ("etcdserverpb.Lease", "LeaseRevoke", "unary"),
    ("etcdserverpb.Lease", "LeaseKeepAlive", "bidi_stream"),
    ("etcdserverpb.Lease", "LeaseTimeToLive", "unary"),
    ("etcdserverpb.Lease", "LeaseLeases", "unary"),
    ("etcdserverpb.Maintenance", "Status", "unary"),
    ("etcdserverpb.Cluster", "MemberList", "unary"),
    ("grpc.health.v1.Health", "Check", "unary"),
    ("grpc.health.v1.Health", "Watch", "server_stream"),
];

/// The names of the codes, by their numbers. Source: the package `codes` of gRPC for Go.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

type Counter = (&'static str, &'static str, fn(&Metrics) -> &Count);

const COUNTERS: [Counter; 8] = [
    (
        "etcd_mvcc_put_total",
        "Puts, with those of transactions",
        |metrics| &metrics.n_puts,
    ),
    (
        "etcd_mvcc_delete_total",
        "Keys deleted, with those of transactions and leases",
        |metrics| &metrics.n_deletes,
    ),
    (
        "etcd_debugging_mvcc_events_total",
        "Events sent to watches",
        |metrics| &metrics.n_events,
    ),
    (
        "etcd_debugging_lease_granted_total",
        "Leases granted",
        |metrics| &metrics.n_leases_granted,
    ),
    (
        "etcd_debugging_lease_renewed_total",
        "Leases kept alive",
        |metrics| &metrics.n_leases_renewed,
    ),
    (
        "etcd_debugging_lease_revoked_total",
        "Leases revoked, with those that expired",
        |metrics| &metrics.n_leases_revoked,
    ),
    (
        "etcd_debugging_server_lease_expired_total",
        "Leases expired",
        |metrics| &metrics.n_leases_expired,
    ),
    (
        "etcd_server_health_failures",
        "Health checks that failed",
        |metrics| &metrics.n_unhealthy,
    ),
];

impl Metrics {
    /// # Errors
    ///
    /// [`BUCKETS`] is empty.
    pub(crate) fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)?
            .build_recorder();
        let (log_sync, commit) = metrics::with_local_recorder(&recorder, || {
            describe_histogram!(LOG_SYNC, "Time of an append to the log and its sync");
            describe_histogram!(COMMIT, "Time of the commit of a group, with its log");
            (metrics::histogram!(LOG_SYNC), metrics::histogram!(COMMIT))
        });
        let methods = METHODS.map(|(service, name, kind)| {
            let method = Method {
                service,
                name,
                kind,
                n_started: Count::default(),
                n_handled: Default::default(),
            };
            (format!("/{service}/{name}"), Arc::new(method))
        });
        Ok(Self {
            n_puts: Count::default(),
            n_deletes: Count::default(),
            n_keys: Count::default(),
            n_events: Count::default(),
            n_unhealthy: Count::default(),
            n_leases_granted: Count::default(),
            n_leases_renewed: Count::default(),
            n_leases_revoked: Count::default(),
            n_leases_expired: Count::default(),
            watches: Arc::default(),
            watch_streams: Arc::default(),
            methods: methods.into(),
            log_sync,
            commit,
            recorder,
        })
    }

    /// Counts the keys that the store of a new server has.
    pub(crate) async fn count_keys(&self, machine: &Machine) -> Result<(), Status> {
        let request = RangeRequest {
            key: vec![0],
            range_end: vec![0],
            count_only: true,
            ..RangeRequest::default()
        };
        let response: RangeResponse = machine.read_message("range", &request).await?;
        self.n_keys.add(response.count.cast_unsigned());
        Ok(())
    }

    /// Counts what a group has changed, and the time of its commit. `synced`: the part of it that
    /// the log took.
    pub(crate) fn committed(&self, writes: &Writes, time: Duration, synced: Option<Duration>) {
        self.commit.record(time);
        if let Some(synced) = synced {
            self.log_sync.record(synced);
        }
        for change in changes(writes) {
            if change.is_delete {
                self.n_deletes.add(1);
                self.n_keys.subtract(1);
            } else {
                self.n_puts.add(1);
                let is_new = change.kv.is_some_and(|kv| kv.version == 1);
                self.n_keys.add(is_new.into());
            }
        }
    }

    pub(crate) fn n_watches(&self) -> usize {
        Arc::strong_count(&self.watches) - 1
    }

    /// The text format of Prometheus.
    pub(crate) async fn render(&self, machine: &Machine) -> Result<String, Status> {
        let compact_revision = compact_revision(machine).await?;
        let stored_bytes = machine.stored_bytes()?;
        metrics::with_local_recorder(&self.recorder, || {
            for (name, help, count) in COUNTERS {
                describe_counter!(name, help);
                counter!(name).absolute(count(self).get());
            }
            for method in self.methods.values() {
                method.record();
            }
            let set = |name: &'static str, help: &'static str, value: f64| {
                describe_gauge!(name, help);
                gauge!(name).set(value);
            };
            set(
                "etcd_debugging_mvcc_keys_total",
                "Keys that are present",
                self.n_keys.get() as f64,
            );
            set(
                "etcd_debugging_mvcc_watcher_total",
                "Watches of all streams",
                self.n_watches() as f64,
            );
            set(
                "etcd_debugging_mvcc_watch_stream_total",
                "Streams of watches",
                (Arc::strong_count(&self.watch_streams) - 1) as f64,
            );
            set(
                "etcd_debugging_mvcc_current_revision",
                "The revision of the store",
                machine.revision() as f64,
            );
            set(
                "etcd_debugging_mvcc_compact_revision",
                "The first revision that can be read; -1 before the first compaction",
                compact_revision as f64,
            );
            set(
                "etcd_mvcc_db_total_size_in_bytes",
                "Bytes of the files of the store",
                stored_bytes as f64,
            );
            set(
                "etcd_server_has_leader",
                "1: the only member is the leader",
                1.0,
            );
            let name = "etcd_server_version";
            describe_gauge!(name, "The version of etcd whose API this is");
            gauge!(name, "server_version" => VERSION).set(1.0);
            let name = "etcd_cluster_version";
            describe_gauge!(name, "The same, without the patch");
            let cluster = VERSION.rsplit_once('.').map_or(VERSION, |(minor, _)| minor);
            gauge!(name, "cluster_version" => cluster).set(1.0);
            machine.bus().record_metrics();
        });
        Ok(self.recorder.handle().render())
    }
}

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Sorts the times that were recorded into their buckets now and then, so that they take no memory
/// where nothing reads the metrics.
pub(crate) async fn upkeep(machine: Machine) {
    let mut ticks = time::interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        machine.metrics().recorder.handle().run_upkeep();
    }
}

// ---- Changes

/// The part of a record of a change that is counted: the record is an `Event` of `kv.proto`, and
/// nothing is copied of the fields that are missing here.
#[derive(Clone, PartialEq, prost::Message)]
struct Change {
    #[prost(bool, tag = "1")]
    is_delete: bool,
    #[prost(message, optional, tag = "2")]
    kv: Option<ChangedKey>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ChangedKey {
    #[prost(int64, tag = "4")]
    version: i64,
}

fn changes(writes: &Writes) -> impl Iterator<Item = Change> {
    host::events(writes).filter_map(|event| Change::decode(&event[..]).ok())
}

async fn compact_revision(machine: &Machine) -> Result<i64, Status> {
    let request = ChangesRequest {
        key: vec![0],
        range_end: vec![0],
        // Less than any compact revision, so the response has it.
        from: i64::MIN,
        ..ChangesRequest::default()
    };
    let changes: ChangesResponse = machine.read_message("changes", &request).await?;
    Ok(changes.compact_revision)
}

// ---- Requests

impl Method {
    fn record(&self) {
        let Self {
            service,
            name,
            kind,
            ..
        } = *self;
        let started = "grpc_server_started_total";
        describe_counter!(started, "Requests started");
        counter!(
            started,
            "grpc_method" => name, "grpc_service" => service, "grpc_type" => kind
        )
        .absolute(self.n_started.get());
        let handled = "grpc_server_handled_total";
        describe_counter!(handled, "Requests completed, by the code of their status");
        for (code, count) in CODES.into_iter().zip(&self.n_handled) {
            let count = count.get();
            if count > 0 {
                counter!(
                    handled,
                    "grpc_code" => code, "grpc_method" => name, "grpc_service" => service,
                    "grpc_type" => kind
                )
                .absolute(count);
            }
        }
    }
}

/// A request until its response has been sent. It is canceled if it is dropped before its status is
/// known.
struct Call {
    method: Arc<Method>,
    code: Code,
}

impl Call {
    fn start(method: &Arc<Method>) -> Self {
        method.n_started.add(1);
        Self {
            method: Arc::clone(method),
            code: Code::Cancelled,
        }
    }

    /// Takes the code from headers or trailers that have one.
    fn note(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.code = Code::from_bytes(code.as_bytes());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.method.n_handled[self.code as usize].add(1);
    }
}

/// The middleware of the gRPC services, which counts their requests. A request for another path
/// ends here.
pub(crate) async fn count_calls(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(method) = metrics.methods.get(request.uri().path()) else {
        return pages::not_served(&request);
    };
    let mut call = Call::start(method);
    let response = next.run(request).await;
    // An error without a message has its status here, everything else in its trailers.
    call.note(response.headers());
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if let Some(trailers) = frame.trailers_ref() {
                call.note(trailers);
            }
            frame
        }))
    })
}
