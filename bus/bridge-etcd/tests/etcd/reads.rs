//! What is read, in which order, and how large it may be.

use etcd_client::{Client, DeleteOptions, PutOptions, Txn, TxnOp, WatchOptions};
use rangewatch_bridge::{Log, LogError, Start};
use rangewatch_bridge_etcd::EtcdSource;
use rangewatch_bus::{RecvError, Selector, SubscribeError};

use crate::history::{delivered, read_up_to, told};
use crate::server::{Server, block_on};
use crate::{reader, source};

/// Some changes of each kind, inside and outside of a prefix.
async fn change(client: &mut Client, prefix: &str) {
    let key = |name: &str| format!("{prefix}{name}");
    let prefixed = || Some(DeleteOptions::new().with_prefix());
    client.put(key("a"), "1", None).await.unwrap();
    client.put("other", "1", None).await.unwrap();
    client.put(key("a"), "2", None).await.unwrap();
    client.put(key("b"), "", None).await.unwrap();
    let transaction = Txn::new().and_then([
        TxnOp::put(key("a"), "3", None),
        TxnOp::put("other", "2", None),
        TxnOp::delete(key("b"), None),
        TxnOp::put(key("c/1"), [0, 255], None),
        TxnOp::put(key("c/2"), "x", None),
    ]);
    client.txn(transaction).await.unwrap();
    client.delete("nothing", None).await.unwrap();
    client.delete(key("c/"), prefixed()).await.unwrap();
    client.put(key("b"), "again", None).await.unwrap();
    // A lease that ends deletes its keys together.
    let lease = client.lease_grant(600, None).await.unwrap().id();
    let leased = Some(PutOptions::new().with_lease(lease));
    client.put(key("l/1"), "x", leased.clone()).await.unwrap();
    client.put(key("l/2"), "x", leased).await.unwrap();
    client.lease_revoke(lease).await.unwrap();
    client.delete(key(""), prefixed()).await.unwrap();
}

#[test]
fn g01_g04_every_change_arrives_once_and_in_order() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        change(&mut client, "p/").await;
        let source = source(&server.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let mut events = reader.bus().subscribe(..).since(0).events(1000).unwrap();
        let running = tokio::spawn(reader.run());
        // Some was there before, and some comes while it reads.
        for _ in 0..20 {
            change(&mut client, "p/").await;
        }
        let told = told(&mut client, "p/").await;
        let (last, _) = told.last().unwrap();
        assert!(told.len() > 200 && told.iter().any(|(_, keys)| keys.len() > 3));
        assert_eq!(delivered(&mut events, *last).await, told);
        running.abort();
    });
}

#[test]
fn g40_payloads_say_what_etcd_says() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        let lease = client.lease_grant(600, None).await.unwrap().id();
        let options = PutOptions::new().with_lease(lease);
        client.put("k", "1", None).await.unwrap();
        client.put("k", "2", Some(options)).await.unwrap();
        client.delete("k", None).await.unwrap();
        let source = EtcdSource::builder([server.url()]).keys(Selector::key("k"));
        let reader = reader(&source.build().unwrap()).open().await.unwrap();
        let mut events = reader.bus().subscribe(..).since(0).events(10).unwrap();
        let running = tokio::spawn(reader.run());
        let mut seen = Vec::new();
        for _ in 0..3 {
            let event = events.recv().await.unwrap();
            let (key, change) = event.entries().next().unwrap();
            assert_eq!(key, b"k");
            seen.push(change.clone());
        }
        assert_eq!(
            seen.iter().map(|change| change.lease).collect::<Vec<_>>(),
            [0, lease, 0]
        );
        assert_eq!(
            seen.iter().map(|change| change.version).collect::<Vec<_>>(),
            [1, 2, 0]
        );
        assert_eq!(seen[1].create_revision, seen[0].mod_revision);
        running.abort();
    });
}

#[test]
fn g04_a_revision_whose_response_is_fragmented_is_one_event() {
    block_on(async {
        let Some(mut server) = Server::start(&["--max-request-bytes=4000000"]).await else {
            return;
        };
        let mut client = server.client().await;
        // Values of 2 MB together, and keys of 2 MB that are deleted together.
        let values = (0..40).map(|n| TxnOp::put(format!("p/v{n}"), vec![n; 50_000], None));
        client
            .txn(Txn::new().and_then(values.collect::<Vec<_>>()))
            .await
            .unwrap();
        let long = "k".repeat(2000);
        for n in 0..10 {
            let keys = (0..100).map(|m| TxnOp::put(format!("p/k{n}/{m}/{long}"), "", None));
            client
                .txn(Txn::new().and_then(keys.collect::<Vec<_>>()))
                .await
                .unwrap();
        }
        let all = DeleteOptions::new().with_prefix();
        let deleted = client.delete("p/k", Some(all)).await.unwrap();
        assert_eq!(deleted.deleted(), 1000);
        let told = told(&mut client, "p/").await;
        // It splits responses at this size.
        server.kill();
        server.restart_with(&["--max-request-bytes=100000"]).await;
        // etcd adds 512 KiB to the limit.
        assert!(fragments(&server).await >= 9);

        let source = source(&server.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let mut events = reader.bus().subscribe(..).since(0).events(100).unwrap();
        let running = tokio::spawn(reader.run());
        let (last, _) = told.last().unwrap();
        assert_eq!(delivered(&mut events, *last).await, told);
        assert_eq!(
            told.iter().filter(|(_, keys)| keys.len() == 1000).count(),
            1
        );
        running.abort();
    });
}

/// The number of responses to a watch of the past, before the last change.
async fn fragments(server: &Server) -> usize {
    let options = WatchOptions::new()
        .with_prefix()
        .with_start_revision(1)
        .with_fragment();
    let client = server.client().await;
    let mut stream = client
        .watch_client()
        .watch("p/", Some(options))
        .await
        .unwrap();
    let mut n = 0;
    loop {
        let response = stream.message().await.unwrap().unwrap();
        n += 1;
        let last = |event: &etcd_client::Event| event.kv().unwrap().key() == b"p/~last";
        if response.events().iter().any(last) {
            return n;
        }
    }
}

#[test]
fn g07_a_revision_that_is_too_large_is_reported_and_scanned() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        let source = source(&server.url(), "p/")
            .max_emit_bytes(10_000)
            .build()
            .unwrap();
        let reader = reader(&source).open().await.unwrap();
        let bus = reader.bus().clone();
        let mut status = reader.status();
        let mut events = bus.subscribe(..).since(0).events(100).unwrap();
        let (mirror, mut driver) = bus
            .subscribe(..)
            .mirror(
                100,
                move |selectors| source.scan(selectors),
                |_, event: &rangewatch_bridge_etcd::EtcdEvent| {
                    event.is_put().then(|| event.clone())
                },
            )
            .unwrap();
        let running = tokio::spawn(reader.run());
        tokio::spawn(async move { driver.run().await });
        mirror.wait_until(0).await.unwrap();
        client.put("p/a", "small", None).await.unwrap();
        let large = client.put("p/b", vec![7; 20_000], None).await.unwrap();
        let large = large.header().unwrap().revision() as u64;
        assert!(events.recv().await.unwrap().keys().eq([b"p/a"]));
        let end = events.recv().await.unwrap_err();
        assert!(
            matches!(end, RecvError::Compacted { floor, .. } if floor == large + 1),
            "{end}"
        );
        mirror.wait_until(large).await.unwrap();
        assert_eq!(mirror.get("p/b").unwrap().value.len(), 20_000);
        let after = client.put("p/c", "small", None).await.unwrap();
        mirror
            .wait_until(after.header().unwrap().revision() as u64)
            .await
            .unwrap();
        assert!(mirror.contains_key("p/c"));
        let status = status.until(|status| status.n_gaps == 1).await.unwrap();
        assert_eq!(status.n_connects, 1);
        running.abort();
    });
}

#[test]
fn g10_only_the_keys_of_the_source_are_read() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        let keys: [&[u8]; 8] = [
            b"\0",
            b"a",
            b"a\0",
            b"b",
            b"b/1",
            b"c",
            &[0xff],
            &[0xff, 0xff],
        ];
        for key in keys {
            client.put(key, "x", None).await.unwrap();
        }
        let end = client
            .put("b/~", "x", None)
            .await
            .unwrap()
            .header()
            .unwrap()
            .revision() as u64;
        for selector in [
            Selector::key("a"),
            Selector::prefix("b"),
            Selector::range("a", "b/1"),
            Selector::from_key("b"),
            Selector::prefix([0xff]),
            Selector::range("", "b"),
            Selector::all(),
        ] {
            let source = EtcdSource::builder([server.url()]).keys(selector.clone());
            let source = source.build().unwrap();
            let mut reader = source.reader().await.unwrap();
            let epoch = reader.head().await.unwrap().epoch;
            reader.seek(epoch, Some(1)).await.unwrap();
            let expected = (2_u64..).zip(keys.into_iter().chain([&b"b/~"[..]]));
            let expected = expected.filter(|(_, key)| selector.matches(key));
            let expected: Vec<_> = expected
                .map(|(revision, key)| (revision, key.to_vec()))
                .collect();
            let mut found = Vec::new();
            while found.len() < expected.len() {
                for item in reader.next().await.unwrap() {
                    if let rangewatch_bridge::LogItem::Emit(frame) = item {
                        let keys = frame.keys().map(|key| (frame.value(), key.to_vec()));
                        found.extend(keys);
                    }
                }
            }
            assert_eq!(found, expected, "{selector}");
            assert!(found.iter().all(|(revision, _)| *revision <= end));
        }
    });
}

#[test]
fn a_reader_begins_where_it_is_reported() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        for n in 0..20 {
            client.put(format!("p/{n}"), "x", None).await.unwrap();
        }
        client.compact(10, None).await.unwrap();
        let source = source(&server.url(), "p/").build().unwrap();
        // The revisions are 2 to 21.
        for (start, floor) in [
            (Start::Floor, 11),
            (Start::BeforeHead(5), 17),
            (Start::Head, 22),
        ] {
            let reader = reader(&source).start(start).open().await.unwrap();
            let bus = reader.bus().clone();
            assert_eq!(bus.floor(), Some(floor), "{start:?}");
            let below = bus.subscribe(..).since(floor - 1).events(10).unwrap_err();
            assert!(matches!(below, SubscribeError::Compacted { .. }), "{below}");
            let mut status = reader.status();
            let mut events = bus.subscribe(..).since(floor).events(100).unwrap();
            let running = tokio::spawn(reader.run());
            read_up_to(&mut status, 21).await;
            for revision in floor..=21 {
                assert_eq!(events.recv().await.unwrap().value(), revision);
            }
            assert_eq!(status.get().n_gaps, 0);
            running.abort();
        }
    });
}

#[test]
fn a_source_can_only_be_read() {
    block_on(async {
        let source = EtcdSource::builder(["http://127.0.0.1:1"]).build().unwrap();
        let writer = source.writer().await;
        assert!(matches!(writer.err(), Some(LogError::ReadOnly)));
    });
}
