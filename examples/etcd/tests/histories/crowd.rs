//! A thousand watches beside thousands of puts, and what is left when their clients have gone.

use std::net::SocketAddr;
use std::time::Instant;

use etcd_example::proto::etcdserverpb::request_op::Request;
use etcd_example::proto::etcdserverpb::watch_client::WatchClient;
use etcd_example::proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RequestOp, TxnRequest, WatchCreateRequest,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::checker::check;
use crate::client::{
    Client, Follower, changes, connect, everything, prefix, prefix_range, watch_stream,
};
use crate::history::{History, Operation};
use crate::process::{Process, RUNTIMES};
use crate::{DEADLINE, say, setting};

const N_STREAMS: usize = 20;

/// Clients that write.
const N_CLIENTS: usize = 64;

/// Puts, without `ETCD_PUTS`.
const N_PUTS: usize = 1_000;

/// The number of watches at a time.
const WATCHES: &str = "etcd_debugging_mvcc_watcher_total";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_watches_receive_each_event_once_and_leave_nothing() {
    for runtime in RUNTIMES {
        let began = Instant::now();
        let data = tempfile::tempdir().expect("a folder");
        let server = Process::start(runtime, data.path()).await;
        let n_puts = setting("ETCD_PUTS").unwrap_or(N_PUTS);
        let history = timeout(DEADLINE, run(server.address, began, n_puts)).await;
        let history = history.expect("every watch reaches the last revision");
        let seconds = began.elapsed().as_secs();
        let checked = check(&history).unwrap_or_else(|violation| panic!("{runtime}: {violation}"));
        say(&format!("{runtime}: {seconds} s, {checked}"));
        assert_eq!(checked.n_sessions, 1_000);

        let nothing_left = || watches_become(server.address, |n| n == 0);
        nothing_left().await;
        let mut unread = Vec::new();
        for _ in 0..N_STREAMS {
            let mut client = WatchClient::new(connect(server.address));
            let stream = watch_stream(&mut client, vec![prefix("", 1)]).await;
            unread.push(stream.expect("it listens"));
        }
        watches_become(server.address, |n| n == N_STREAMS).await;
        drop(unread);
        nothing_left().await;
    }
}

async fn run(address: SocketAddr, began: Instant, n_puts: usize) -> History {
    let (last, last_known) = watch::channel(None);
    let mut following = JoinSet::new();
    for stream in 0..N_STREAMS {
        let creates = watches().skip(stream).step_by(N_STREAMS).collect();
        following.spawn(Follower::new(address, began, creates).follow(last_known.clone()));
    }
    watches_become(address, |n| n == 1_000).await;
    let mut writing = JoinSet::new();
    for id in 0..N_CLIENTS {
        writing.spawn(write(Client::new(id, address, began), n_puts));
    }
    let operations = writing.join_all().await.concat();
    let end = everything(&mut Client::new(N_CLIENTS, address, began)).await;
    let head = end.header.as_ref().map(|header| header.revision);
    last.send_replace(head);
    History {
        operations,
        watchers: following.join_all().await.concat(),
        changes: changes(address, began, head).await,
        end,
    }
}

/// A watch of each tenth of the keys, of each hundredth, and of most thousandths. Every other one
/// begins at the first revision.
fn watches() -> impl Iterator<Item = WatchCreateRequest> {
    let tenths = (0..10).map(|n| format!("{n}"));
    let hundredths = (0..100).map(|n| format!("{n:02}"));
    let thousandths = (0..890).map(|n| format!("{n:03}"));
    let prefixes = tenths.chain(hundredths).chain(thousandths);
    prefixes.enumerate().map(|(n, key)| WatchCreateRequest {
        prev_kv: n % 3 == 0,
        ..prefix(&key, n as i64 % 2)
    })
}

/// The part of a client in the puts, and deletes and transactions between them.
async fn write(mut client: Client, n_puts: usize) -> Vec<Operation> {
    let mut random = ChaCha8Rng::seed_from_u64(client.id as u64);
    let mut key = || format!("{:03}/{}", random.next_u32() % 1_000, random.next_u32() % 2);
    let mut puts = (client.id..n_puts).step_by(N_CLIENTS).map(|n| PutRequest {
        key: key().into(),
        value: n.to_string().into(),
        ..PutRequest::default()
    });
    while let Some(put) = puts.next() {
        let request = match client.operations.len() % 20 {
            7 => {
                let puts = puts.by_ref().take(3).chain([put]);
                puts_of_a_txn(puts.collect())
            }
            _ => Request::RequestPut(put),
        };
        client.call(request).await;
        if client.operations.len() % 20 == 13 {
            let thousandth = format!("{:03}/", client.operations.len() * 7 % 1_000);
            let (key, range_end) = prefix_range(&thousandth);
            let delete = DeleteRangeRequest {
                key,
                range_end,
                ..DeleteRangeRequest::default()
            };
            client.call(Request::RequestDeleteRange(delete)).await;
        }
    }
    client.operations
}

/// A transaction may put a key once.
fn puts_of_a_txn(mut puts: Vec<PutRequest>) -> Request {
    puts.sort_by(|a, b| a.key.cmp(&b.key));
    puts.dedup_by(|a, b| a.key == b.key);
    let requests = puts.into_iter().map(|put| RequestOp {
        request: Some(Request::RequestPut(put)),
    });
    Request::RequestTxn(TxnRequest {
        success: requests.collect(),
        ..TxnRequest::default()
    })
}

/// Waits until the server says that it has so many watches.
async fn watches_become(address: SocketAddr, is_reached: impl Fn(usize) -> bool) {
    let mut n_watches = 0;
    let reached = async {
        loop {
            let metrics = metrics(address).await;
            let mut lines = metrics.lines();
            let count = lines.find_map(|line| line.strip_prefix(WATCHES)?.trim().parse().ok());
            n_watches = count.expect("the metric is there");
            if is_reached(n_watches) {
                return;
            }
        }
    };
    let in_time = timeout(DEADLINE, reached).await;
    assert!(in_time.is_ok(), "{n_watches} watches");
}

async fn metrics(address: SocketAddr) -> String {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut text = String::new();
    socket.read_to_string(&mut text).await.expect("it answers");
    text
}
