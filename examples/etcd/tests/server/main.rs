//! The server through its clients, on each runtime.

mod hostile;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use etcd_example::proto::etcdserverpb::kv_client::KvClient;
use etcd_example::proto::etcdserverpb::lease_client::LeaseClient;
use etcd_example::proto::etcdserverpb::request_op::Request as Op;
use etcd_example::proto::etcdserverpb::watch_client::WatchClient;
use etcd_example::proto::etcdserverpb::watch_request::RequestUnion;
use etcd_example::proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, WatchCancelRequest,
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use etcd_example::{Config, Recorded, Server, Store};
use rangewatch::{RangeWatchBus, Runtime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};
use tonic_prost::ProstCodec;

fn runtimes() -> Vec<Box<dyn Runtime>> {
    vec![
        #[cfg(feature = "wasmtime")]
        Box::new(rangewatch::Wasmtime::new()),
        #[cfg(feature = "wasmi")]
        Box::new(rangewatch::Wasmi::new()),
    ]
}

/// A server that runs, and a connection to it.
struct Running {
    address: SocketAddr,
    channel: Channel,
    bus: RangeWatchBus<Recorded>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(runtime: &dyn Runtime, store: Store) -> Self {
        let config = Config::new("127.0.0.1:0".parse().expect("an address"));
        let server = Server::start(runtime, store, config)
            .await
            .expect("it starts");
        let bus = server.machine().bus().clone();
        let address = server.address();
        let uri = format!("http://{address}");
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.serve(stopped).await.expect("it serves");
        });
        let channel = Channel::from_shared(uri)
            .expect("an address")
            .connect()
            .await;
        Self {
            address,
            channel: channel.expect("it listens"),
            bus,
            stop,
            served,
        }
    }

    async fn stop(self) {
        drop(self.channel);
        self.stop.send(()).expect("it runs");
        let served = tokio::time::timeout(Duration::from_secs(60), self.served);
        served.await.expect("it ends in time").expect("it ends");
    }

    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone())
    }

    async fn put(&self, key: &str, value: &str) -> i64 {
        let request = PutRequest {
            key: key.into(),
            value: value.into(),
            ..PutRequest::default()
        };
        let put = self.kv().put(request).await.expect("it is put");
        put.into_inner().header.expect("a header").revision
    }

    async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let request = RangeRequest {
            key: key.into(),
            ..RangeRequest::default()
        };
        let range = self.kv().range(request).await.expect("it is read");
        range.into_inner().kvs.pop().map(|kv| kv.value)
    }

    /// A connection on which a request over HTTP/1 was sent.
    async fn request(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        stream
    }

    /// Waits until the metrics have these lines.
    async fn expect_metrics(&self, lines: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut metrics = String::new();
            let mut stream = self.request("/metrics").await;
            stream.read_to_string(&mut metrics).await.expect("text");
            let is_missing = |line: &&&str| metrics.lines().all(|found| found != **line);
            let Some(missing) = lines.iter().find(is_missing) else {
                return;
            };
            assert!(Instant::now() < deadline, "{missing} is not in\n{metrics}");
        }
    }

    async fn watch(&self) -> Watches {
        let (requests, stream) = mpsc::channel(16);
        let client = WatchClient::new(self.channel.clone());
        let mut client = client.max_decoding_message_size(usize::MAX);
        let responses = client
            .watch(ReceiverStream::new(stream))
            .await
            .expect("a stream");
        Watches {
            requests,
            responses: responses.into_inner(),
        }
    }
}

/// A stream of watches.
struct Watches {
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Watches {
    async fn send(&self, union: RequestUnion) {
        let request = WatchRequest {
            request_union: Some(union),
        };
        self.requests.send(request).await.expect("the server reads");
    }

    async fn create(&mut self, create: WatchCreateRequest) -> WatchResponse {
        self.send(RequestUnion::CreateRequest(create)).await;
        let response = self.next().await;
        assert!(response.created, "{response:?}");
        response
    }

    async fn next(&mut self) -> WatchResponse {
        let response = tokio::time::timeout(Duration::from_secs(60), self.responses.message());
        let response = response.await.expect("it answers in time");
        response
            .expect("the stream goes on")
            .expect("it has not ended")
    }

    /// The kind, the key and the revision of each event of the next response.
    async fn events(&mut self) -> Vec<(i32, String, i64)> {
        let events = self.next().await.events.into_iter().map(|event| {
            let kv = event.kv.expect("a key");
            let key = String::from_utf8(kv.key).expect("text");
            (event.r#type, key, kv.mod_revision)
        });
        events.collect()
    }
}

fn prefix(key: &str, start_revision: i64) -> WatchCreateRequest {
    let mut range_end = key.as_bytes().to_vec();
    if let Some(last) = range_end.last_mut() {
        *last += 1;
    }
    WatchCreateRequest {
        key: key.into(),
        range_end,
        start_revision,
        ..WatchCreateRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_receive_each_change_of_their_range_in_order() {
    for runtime in runtimes() {
        let server = Running::start(&*runtime, Store::open(None).expect("in memory")).await;
        assert_eq!(server.put("a/1", "one").await, 2);
        let mut watches = server.watch().await;
        let live = watches.create(prefix("a/", 0)).await;
        assert_eq!(live.header.expect("a header").revision, 2);
        assert_eq!(server.put("b/1", "other").await, 3);
        assert_eq!(server.put("a/2", "two").await, 4);
        let delete = DeleteRangeRequest {
            key: "a/".into(),
            range_end: "a0".into(),
            ..DeleteRangeRequest::default()
        };
        let deleted = server
            .kv()
            .delete_range(delete)
            .await
            .expect("it is deleted");
        assert_eq!(deleted.into_inner().deleted, 2);
        let mut received = Vec::new();
        while received.len() < 3 {
            received.extend(watches.events().await);
        }
        let expected = [(0, "a/2", 4), (1, "a/1", 5), (1, "a/2", 5)];
        let expected = expected.map(|(kind, key, revision)| (kind, key.to_owned(), revision));
        assert_eq!(received, expected);

        let past = watches.create(prefix("a/", 1)).await;
        assert_eq!(past.watch_id, 1);
        let first = [(0, "a/1".to_owned(), 2)];
        let received = watches.events().await;
        assert_eq!(received, [&first[..], &expected].concat());

        let cancel = WatchCancelRequest { watch_id: 1 };
        watches.send(RequestUnion::CancelRequest(cancel)).await;
        assert!(watches.next().await.canceled);
        watches
            .send(RequestUnion::ProgressRequest(WatchProgressRequest {}))
            .await;
        let progress = watches.next().await;
        assert_eq!(progress.watch_id, -1);
        assert_eq!(progress.header.expect("a header").revision, 5);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_late_receives_all_in_order() {
    for runtime in runtimes() {
        let server = Running::start(&*runtime, Store::open(None).expect("in memory")).await;
        let mut watches = server.watch().await;
        for key in ["a/", "a/1"] {
            watches.create(prefix(key, 0)).await;
        }
        // More than the queue of a stream has room for.
        let value = "large".repeat(100_000);
        for _ in 0..30 {
            server.put("a/1", &value).await;
            server.put("a/2", &value).await;
        }
        let n_dropped = server.bus.stats().deliveries().dropped();
        assert!(n_dropped > 0, "the queue of the stream is full");
        let create = RequestUnion::CreateRequest(prefix("a/2", 0));
        watches.send(create).await;
        let mut received = [const { Vec::new() }; 3];
        while received[2].is_empty() || received.iter().map(Vec::len).sum::<usize>() < 92 {
            let response = watches.next().await;
            if response.created {
                server.put("a/2", "last").await;
            }
            let revisions = response
                .events
                .into_iter()
                .map(|event| event.kv.expect("a key").mod_revision);
            received[response.watch_id as usize].extend(revisions);
        }
        assert_eq!(
            received,
            [(2..=62).collect(), (2..=61).step_by(2).collect(), vec![62]]
        );
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_leaves_nothing_behind() {
    for runtime in runtimes() {
        let server = Running::start(&*runtime, Store::open(None).expect("in memory")).await;
        let mut watches = server.watch().await;
        for _ in 0..100 {
            watches.create(prefix("a/", 0)).await;
        }
        assert_eq!(server.bus.n_subscriptions(), 1, "one for each stream");
        // These events are in no response yet when the client goes.
        for _ in 0..20 {
            server.put("a/1", &"large".repeat(10_000)).await;
        }
        let mut behind = server.watch().await;
        behind.create(prefix("a/", 1)).await;
        drop((watches, behind));
        while server.bus.n_subscriptions() > 0 {
            tokio::task::yield_now().await;
        }
        let stats = server.bus.stats();
        assert_eq!((stats.n_subscriptions(), stats.n_parked()), (0, 0));
        assert_eq!((stats.deliveries().pending(), stats.greatest_lag()), (0, 0));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_what_is_compacted_is_canceled() {
    for runtime in runtimes() {
        let server = Running::start(&*runtime, Store::open(None).expect("in memory")).await;
        for value in ["1", "2", "3"] {
            server.put("a", value).await;
        }
        let compact = |revision| CompactionRequest {
            revision,
            ..CompactionRequest::default()
        };
        server
            .kv()
            .compact(compact(3))
            .await
            .expect("it is compacted");
        let again = server
            .kv()
            .compact(compact(3))
            .await
            .expect_err("it was compacted");
        assert_eq!(again.code(), Code::OutOfRange);
        let mut watches = server.watch().await;
        watches.create(prefix("a", 2)).await;
        let canceled = watches.next().await;
        assert!(canceled.canceled);
        assert_eq!(canceled.compact_revision, 3);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_and_leases_survive_a_restart() {
    for runtime in runtimes() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Store::open(Some(folder.path())).expect("it opens");
        let server = Running::start(&*runtime, open()).await;
        let grant = LeaseGrantRequest { ttl: 100, id: 7 };
        let mut leases = LeaseClient::new(server.channel.clone());
        leases.lease_grant(grant).await.expect("it is granted");
        let put = PutRequest {
            key: "k".into(),
            value: "leased".into(),
            lease: 7,
            ..PutRequest::default()
        };
        server.kv().put(put).await.expect("it is put");
        drop(leases);
        server.stop().await;

        let server = Running::start(&*runtime, open()).await;
        assert_eq!(server.get("k").await.as_deref(), Some(&b"leased"[..]));
        let request = LeaseTimeToLiveRequest { id: 7, keys: true };
        let mut leases = LeaseClient::new(server.channel.clone());
        let lease = leases
            .lease_time_to_live(request)
            .await
            .expect("it is there");
        let lease = lease.into_inner();
        assert_eq!((lease.granted_ttl, lease.keys), (100, vec![b"k".to_vec()]));
        assert_eq!(server.put("k", "later").await, 3);
        drop(leases);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ends_deletes_its_keys_as_one_revision() {
    for runtime in runtimes() {
        let server = Running::start(&*runtime, Store::open(None).expect("in memory")).await;
        let mut watches = server.watch().await;
        watches.create(prefix("k", 0)).await;
        let mut leases = LeaseClient::new(server.channel.clone());
        let grant = LeaseGrantRequest { ttl: 1, id: 0 };
        let lease = leases
            .lease_grant(grant)
            .await
            .expect("it is granted")
            .into_inner();
        for key in ["k1", "k2"] {
            let put = PutRequest {
                key: key.into(),
                lease: lease.id,
                ..PutRequest::default()
            };
            server.kv().put(put).await.expect("it is put");
        }
        let mut received = Vec::new();
        while received.len() < 4 {
            received.extend(watches.events().await);
        }
        let ended = [(1, "k1".to_owned(), 4), (1, "k2".to_owned(), 4)];
        assert_eq!(received[2..], ended);
        drop((watches, leases));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_count_changes_requests_and_watches() {
    for runtime in runtimes() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Store::open(Some(folder.path())).expect("it opens");
        let server = Running::start(&*runtime, open()).await;
        let mut watches = server.watch().await;
        let every_key = WatchCreateRequest {
            key: vec![0],
            range_end: vec![0],
            ..WatchCreateRequest::default()
        };
        watches.create(every_key).await;
        for key in ["a", "b", "a"] {
            server.put(key, "1").await;
        }
        let put = |key: &str| {
            Op::RequestPut(PutRequest {
                key: key.into(),
                ..PutRequest::default()
            })
        };
        let delete = |key: &str| {
            Op::RequestDeleteRange(DeleteRangeRequest {
                key: key.into(),
                ..DeleteRangeRequest::default()
            })
        };
        let ops = [put("b"), put("c"), delete("a"), delete("none")];
        let txn = TxnRequest {
            success: ops.map(|op| RequestOp { request: Some(op) }).into(),
            ..TxnRequest::default()
        };
        server.kv().txn(txn).await.expect("it is done");
        let empty = server.kv().put(PutRequest::default()).await;
        assert_eq!(empty.expect_err("no key").code(), Code::InvalidArgument);
        while watches.events().await.last().expect("an event").2 < 5 {}
        let handled = |code, method, service, kind| {
            format!(
                "grpc_server_handled_total{{grpc_code=\"{code}\",grpc_method=\"{method}\",\
                 grpc_service=\"etcdserverpb.{service}\",grpc_type=\"{kind}\"}} 1"
            )
        };
        server
            .expect_metrics(&[
                "etcd_mvcc_put_total 5",
                "etcd_mvcc_delete_total 1",
                "etcd_debugging_mvcc_keys_total 2",
                "etcd_debugging_mvcc_events_total 6",
                "etcd_debugging_mvcc_watcher_total 1",
                "etcd_debugging_mvcc_watch_stream_total 1",
                "etcd_debugging_mvcc_current_revision 5",
                "etcd_debugging_mvcc_compact_revision -1",
                "etcd_disk_wal_fsync_duration_seconds_count 4",
                "rangewatch_emits_total{bus=\"etcd\"} 4",
                &handled("OK", "Txn", "KV", "unary"),
                &handled("InvalidArgument", "Put", "KV", "unary"),
            ])
            .await;
        drop(watches);
        server
            .expect_metrics(&[
                "etcd_debugging_mvcc_watcher_total 0",
                "etcd_debugging_mvcc_watch_stream_total 0",
                &handled("Canceled", "Watch", "Watch", "bidi_stream"),
            ])
            .await;
        server.stop().await;
        let server = Running::start(&*runtime, open()).await;
        server
            .expect_metrics(&["etcd_debugging_mvcc_keys_total 2", "etcd_mvcc_put_total 0"])
            .await;
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_no_watch_of_etcd_and_its_stream_ends_with_the_server() {
    for runtime in runtimes() {
        let server = Running::start(&*runtime, Store::open(None).expect("in memory")).await;
        let mut page = server.request("/watch?prefix=").await;
        let lines = [
            "etcd_debugging_mvcc_watcher_total 0",
            "rangewatch_subscriptions{bus=\"etcd\"} 1",
        ];
        server.expect_metrics(&lines).await;
        server.stop().await;
        let mut stream = String::new();
        page.read_to_string(&mut stream).await.expect("text");
        assert!(stream.contains("event: shutdown"), "{stream}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_names_the_method_or_the_page_that_is_not_served() {
    for runtime in runtimes() {
        let server = Running::start(&*runtime, Store::open(None).expect("in memory")).await;
        for method in [
            "/etcdserverpb.Maintenance/Defragment",
            "/etcdserverpb.Auth/UserList",
        ] {
            let mut client = Grpc::new(server.channel.clone());
            client.ready().await.expect("it is connected");
            let path = PathAndQuery::from_static(method);
            let codec = ProstCodec::<(), ()>::default();
            let response = client.unary(Request::new(()), path, codec).await;
            let status = response.expect_err("it is not served");
            assert_eq!(status.code(), Code::Unimplemented);
            assert!(status.message().contains(method), "{status}");
        }
        let mut page = String::new();
        let mut stream = server.request("/v2/keys").await;
        stream.read_to_string(&mut page).await.expect("text");
        assert!(page.starts_with("HTTP/1.0 404"), "{page}");
        assert!(page.contains("no page /v2/keys"), "{page}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_serve_does_not_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let in_use = Config::new(taken.local_addr().expect("an address"));
    let mut no_certificate = Config::new("127.0.0.1:0".parse().expect("an address"));
    no_certificate.tls = Some((b"none".to_vec(), b"none".to_vec()));
    for runtime in runtimes() {
        for (config, reason) in [
            (&in_use, format!("cannot listen on {}", in_use.listen)),
            (&no_certificate, "certificate".to_owned()),
        ] {
            let store = Store::open(None).expect("in memory");
            let started = Server::start(&*runtime, store, config.clone()).await;
            let error = started.expect_err(&reason).to_string();
            assert!(error.contains(&reason), "{error}");
        }
    }
}
