//! A mirror of a prefix, against a Range.

use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::{Client, GetOptions};
use futures::StreamExt;
use rangewatch_bridge::Backoff;
use rangewatch_bridge_etcd::{EtcdEvent, EtcdSource};
use rangewatch_bus::{FollowError, Mirror, RangeWatchBus, Selector, Selectors};

use crate::history::{Keys, range};
use crate::relay::Relay;
use crate::restarts::write;
use crate::server::{Server, block_on};
use crate::{reader, source};

/// A mirror of what a source reads.
fn mirror(source: EtcdSource, bus: &RangeWatchBus<EtcdEvent>) -> Mirror<EtcdEvent> {
    let change = |_: &[u8], event: &EtcdEvent| event.is_put().then(|| event.clone());
    let scan = move |selectors| source.scan(selectors);
    let (mirror, mut driver) = bus.subscribe(..).mirror(64, scan, change).unwrap();
    tokio::spawn(async move {
        while let Err(FollowError::Scan(_)) = driver.run().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    mirror
}

async fn put(client: &mut Client, key: String) -> u64 {
    let put = client.put(key, "x", None).await.unwrap();
    put.header().unwrap().revision() as u64
}

fn copied(mirror: &Mirror<EtcdEvent>) -> Keys {
    let entries = mirror.range(Selector::all()).unwrap().into_iter();
    entries
        .map(|(key, event)| (key.to_vec(), event.value.to_vec()))
        .collect()
}

#[test]
fn g41_a_mirror_equals_a_range_after_kills_and_compactions() {
    block_on(async {
        let options = ["--experimental-watch-progress-notify-interval=100ms"];
        let Some(mut server) = Server::start(&options).await else {
            return;
        };
        let relay = Relay::to(server.port()).await;
        let source = source(&relay.url(), "p/").page_keys(7).build().unwrap();
        let reader = reader(&source).backoff(Backoff::new(
            Duration::from_millis(5),
            Duration::from_millis(50),
        ));
        let reader = reader.open().await.unwrap();
        let mut status = reader.status();
        let mirror = mirror(source, reader.bus());
        let running = tokio::spawn(reader.run());
        let mut client = server.client().await;
        let mut random = fastrand::Rng::with_seed(7);
        let (stop, writing) = write(client.clone(), 3);
        for round in 0..12 {
            // While the writer goes on.
            let value = mirror.value().unwrap_or(0);
            mirror.wait_until(value + 50).await.unwrap();
            let is_cut = random.bool();
            if is_cut {
                relay.cut();
            }
            let mut revision = 0;
            while revision < value + 100 {
                (revision, _) = range(&client, "p/").await;
            }
            if random.bool() {
                client.compact(revision as i64, None).await.unwrap();
            }
            if round % 4 == 3 {
                server.kill();
                server.restart().await;
            }
            relay.turn(server.port());
        }
        stop.store(true, Ordering::Relaxed);
        writing.await.unwrap();
        let (revision, keys) = range(&client, "p/").await;
        mirror.wait_until(revision).await.unwrap();
        assert_eq!(copied(&mirror), keys);
        assert!(keys.len() > 10);
        // It was cut off for longer than its history, at least once.
        let status = status.until(|status| status.n_gaps > 0).await.unwrap();
        assert_eq!(status.n_epochs, 0);
        running.abort();
    });
}

#[test]
fn g41_a_mirror_rescans_by_itself_after_a_compaction() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        for n in 0..20 {
            put(&mut client, format!("p/{n}")).await;
        }
        let relay = Relay::to(server.port()).await;
        let source = source(&relay.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let status = reader.status();
        let mirror = mirror(source, reader.bus());
        let running = tokio::spawn(reader.run());
        mirror.wait_until(21).await.unwrap();
        assert_eq!(mirror.len(), 20);
        relay.cut();
        let all = etcd_client::DeleteOptions::new().with_prefix();
        client.delete("p/1", Some(all)).await.unwrap();
        let last = put(&mut client, "p/new".to_owned()).await;
        client.compact(last as i64, None).await.unwrap();
        relay.turn(server.port());
        mirror.wait_until(last).await.unwrap();
        assert_eq!(copied(&mirror), range(&client, "p/").await.1);
        assert_eq!(mirror.len(), 10);
        assert_eq!(status.get().n_gaps, 1);
        running.abort();
    });
}

#[test]
fn a_scan_is_of_one_revision_and_in_order() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        for n in 0..60 {
            put(&mut client, format!("p/{n:02}")).await;
        }
        put(&mut client, "q".to_owned()).await;
        let source = source(&server.url(), "p/").page_keys(7).build().unwrap();
        let selectors = [Selector::all(), Selector::range("p/10", "p/30")];
        let (revision, mut scan) = source.scan(Selectors::from(selectors)).await.unwrap();
        let mut keys = vec![scan.next().await.unwrap().unwrap()];
        // What is written from now on is not in it.
        let all = etcd_client::DeleteOptions::new().with_prefix();
        client.delete("p/", Some(all)).await.unwrap();
        put(&mut client, "p/99".to_owned()).await;
        while let Some(entry) = scan.next().await {
            keys.push(entry.unwrap());
        }
        assert_eq!((revision, keys.len()), (62, 60));
        for (n, (key, changed, event)) in keys.iter().enumerate() {
            assert_eq!(key, format!("p/{n:02}").as_bytes());
            assert_eq!((*changed, event.mod_revision), (n as u64 + 2, n as u64 + 2));
        }
        // Some ranges, and none.
        let some = Selectors::from([Selector::key("p/99"), Selector::key("q")]);
        let (_, scan) = source.scan(some).await.unwrap();
        assert_eq!(scan.count().await, 1);
        let (revision, scan) = source.scan(Selectors::new()).await.unwrap();
        assert_eq!((revision, scan.count().await), (64, 0));
    });
}

#[test]
fn a_scan_that_is_compacted_under_it_says_so() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        for n in 0..60 {
            put(&mut client, format!("p/{n:02}")).await;
        }
        let source = source(&server.url(), "p/").page_keys(7).build().unwrap();
        let (_, mut scan) = source
            .scan(Selectors::from([Selector::all()]))
            .await
            .unwrap();
        scan.next().await.unwrap().unwrap();
        let last = put(&mut client, "p/00".to_owned()).await;
        client.compact(last as i64, None).await.unwrap();
        let error = loop {
            if let Err(error) = scan.next().await.unwrap() {
                break error;
            }
        };
        assert!(
            matches!(error, rangewatch_bridge::LogError::Compacted { .. }),
            "{error}"
        );
    });
}

#[test]
fn a_scan_reads_values_that_do_not_fit_a_page() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        for n in 0..70 {
            client
                .put(format!("p/{n}"), vec![n; 1_200_000], None)
                .await
                .unwrap();
        }
        let source = source(&server.url(), "p/").build().unwrap();
        let (_, scan) = source
            .scan(Selectors::from([Selector::all()]))
            .await
            .unwrap();
        let n_bytes = scan.fold(0, async |n, entry| n + entry.unwrap().2.value.len());
        assert_eq!(n_bytes.await, 70 * 1_200_000);
        let count = GetOptions::new().with_prefix().with_count_only();
        assert_eq!(client.get("p/", Some(count)).await.unwrap().count(), 70);
    });
}
