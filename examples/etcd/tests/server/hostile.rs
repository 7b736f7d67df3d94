//! Clients that do not read, or ask for much.

use super::*;

/// Any of the runtimes: what is tested here does not depend on it.
fn runtime() -> Box<dyn Runtime> {
    runtimes().swap_remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stops_although_a_client_neither_sends_nor_reads_the_rest() {
    let server = Running::start(&*runtime(), Store::open(None).expect("in memory")).await;
    let mut watches = server.watch().await;
    watches.create(prefix("a/", 0)).await;
    let value = "large".repeat(100_000);
    for _ in 0..30 {
        server.put("a/1", &value).await;
    }
    let mut half = TcpStream::connect(server.address)
        .await
        .expect("it listens");
    half.write_all(b"GET /status HTTP/1.1\r\n")
        .await
        .expect("it reads");
    server.stop().await;
    drop((watches, half));
}

/// As much as the requests of many clients, put in as few.
async fn put_many(server: &Running, puts: impl Iterator<Item = PutRequest>) {
    let mut puts = puts.peekable();
    while puts.peek().is_some() {
        let ops = puts.by_ref().take(80).map(|put| RequestOp {
            request: Some(Op::RequestPut(put)),
        });
        let txn = TxnRequest {
            success: ops.collect(),
            ..TxnRequest::default()
        };
        server.kv().txn(txn).await.expect("they are put");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_with_many_long_keys_ends() {
    let server = Running::start(&*runtime(), Store::open(None).expect("in memory")).await;
    let mut leases = LeaseClient::new(server.channel.clone());
    let grant = LeaseGrantRequest { ttl: 1_000, id: 7 };
    leases.lease_grant(grant).await.expect("it is granted");
    let puts = (0..1_060).map(|n| PutRequest {
        key: format!("{n:016000}").into(),
        lease: 7,
        ..PutRequest::default()
    });
    put_many(&server, puts).await;
    let revoke = LeaseRevokeRequest { id: 7 };
    leases.lease_revoke(revoke).await.expect("it ends");
    let keys = RangeRequest {
        key: "0".into(),
        range_end: "1".into(),
        count_only: true,
        ..RangeRequest::default()
    };
    let left = server.kv().range(keys).await.expect("it is read");
    assert_eq!(left.into_inner().count, 0);
    drop(leases);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_may_have_more_than_a_hundred_mebibytes() {
    let server = Running::start(&*runtime(), Store::open(None).expect("in memory")).await;
    let value = vec![b'v'; 1 << 20];
    for n in 0..120 {
        let put = PutRequest {
            key: format!("k{n}").into(),
            value: value.clone(),
            ..PutRequest::default()
        };
        server.kv().put(put).await.expect("it is put");
    }
    let range = RangeRequest {
        key: "k".into(),
        range_end: "l".into(),
        ..RangeRequest::default()
    };
    let mut client = server.kv().max_decoding_message_size(usize::MAX);
    let range = client.range(range).await.expect("it is read").into_inner();
    assert_eq!(range.kvs.len(), 120);
    assert!(range.kvs.iter().all(|kv| kv.value == value));
    drop(client);
    server.stop().await;
}

/// Whether a timer of the kernel runs for each connection that a server has accepted.
#[cfg(target_os = "linux")]
fn has_timers(address: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the connections");
    let local = format!(":{:04X}", address.port());
    let timers: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[1].ends_with(&local) && fields[3] == "01")
        .map(|fields| fields[5].starts_with("02:"))
        .collect();
    !timers.is_empty() && timers.into_iter().all(|runs| runs)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_asks_a_silent_client_whether_it_is_there() {
    let server = Running::start(&*runtime(), Store::open(None).expect("in memory")).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !has_timers(server.address) {
        assert!(Instant::now() < deadline, "nothing asks");
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_what_is_past_keep_no_guest_from_the_others() {
    let server = Running::start(&*runtime(), Store::open(None).expect("in memory")).await;
    let value = "large".repeat(100_000);
    for _ in 0..10 {
        server.put("a/1", &value).await;
    }
    let mut stalled = Vec::new();
    for _ in 0..8 {
        // A connection of its own, whose flow control is no other's.
        let uri = format!("http://{}", server.address);
        let channel = Channel::from_shared(uri).expect("an address");
        let channel = channel.connect().await.expect("it listens");
        let (requests, stream) = mpsc::channel(16);
        let mut client = WatchClient::new(channel);
        let responses = client.watch(ReceiverStream::new(stream)).await;
        let watches = Watches {
            requests,
            responses: responses.expect("a stream").into_inner(),
        };
        for _ in 0..8 {
            let create = RequestUnion::CreateRequest(prefix("a/", 1));
            watches.send(create).await;
        }
        stalled.push(watches);
    }
    for _ in 0..100 {
        let get = tokio::time::timeout(Duration::from_secs(60), server.get("a/1"));
        get.await.expect("a guest is free");
    }
    drop(stalled);
    server.stop().await;
}
