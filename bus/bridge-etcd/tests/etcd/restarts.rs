//! Kills and restarts, while a writer goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_client::{Client, DeleteOptions, Txn, TxnOp};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::history::{delivered, read_up_to, told};
use crate::server::{Server, block_on};
use crate::{reader, source};

/// Changes keys of `p/` and others until it is stopped, also while the server is away.
pub(crate) fn write(client: Client, seed: u64) -> (Arc<AtomicBool>, JoinHandle<()>) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let writing = tokio::spawn(async move {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut client = client;
        while !stopped.load(Ordering::Relaxed) {
            // Whether a write has failed that the server has not answered is not known, and does
            // not matter.
            let written = timeout(Duration::from_secs(2), change(&mut client, &mut random));
            if !matches!(written.await, Ok(Ok(()))) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    (stop, writing)
}

async fn change(client: &mut Client, random: &mut fastrand::Rng) -> Result<(), etcd_client::Error> {
    let key = format!("p/{}", random.u8(..50));
    let value = random.u64(..).to_string();
    match random.u8(..10) {
        0 => client.delete(key, None).await.map(drop),
        1 => {
            let some = DeleteOptions::new().with_prefix();
            client
                .delete(format!("p/{}", random.u8(..5)), Some(some))
                .await
                .map(drop)
        }
        2 => {
            let mut keys: Vec<_> = (0..50).collect();
            random.shuffle(&mut keys);
            let puts = keys[..random.usize(1..10)].iter();
            let puts = puts.map(|n| TxnOp::put(format!("p/{n}"), value.clone(), None));
            client
                .txn(Txn::new().and_then(puts.collect::<Vec<_>>()))
                .await
                .map(drop)
        }
        3 => client
            .put(format!("other/{}", random.u8(..5)), value, None)
            .await
            .map(drop),
        _ => client.put(key, value, None).await.map(drop),
    }
}

#[test]
fn g03_a_reader_misses_and_repeats_nothing_across_kills() {
    block_on(async {
        let Some(mut server) = Server::start(&[]).await else {
            return;
        };
        let source = source(&server.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let mut status = reader.status();
        let mut events = reader.bus().subscribe(..).since(0).events(64).unwrap();
        let running = tokio::spawn(reader.run());
        let (stop, writing) = write(server.client().await, 1);
        for _ in 0..5 {
            let position = status.get().position.unwrap_or(0);
            read_up_to(&mut status, position + 200).await;
            server.kill();
            server.restart().await;
        }
        stop.store(true, Ordering::Relaxed);
        writing.await.unwrap();
        let told = told(&mut server.client().await, "p/").await;
        let (last, _) = told.last().unwrap();
        assert_eq!(delivered(&mut events, *last).await, told);
        let status = status.get();
        assert!(status.n_connects >= 6, "{status:?}");
        assert_eq!(
            (status.n_gaps, status.n_epochs, status.n_repeated),
            (0, 0, 0),
            "{status:?}"
        );
        running.abort();
    });
}

#[test]
fn g03_a_reader_changes_to_another_member() {
    block_on(async {
        let Some(mut servers) = Server::cluster(3, &[]).await else {
            return;
        };
        let urls = servers.iter().map(Server::url).collect::<Vec<_>>();
        let source = rangewatch_bridge_etcd::EtcdSource::builder(urls.clone());
        let source = source
            .keys(rangewatch_bus::Selector::prefix("p/"))
            .build()
            .unwrap();
        let reader = reader(&source).open().await.unwrap();
        let mut status = reader.status();
        let mut events = reader.bus().subscribe(..).since(0).events(64).unwrap();
        let running = tokio::spawn(reader.run());
        let client = Client::connect(urls, None).await.unwrap();
        let (stop, writing) = write(client.clone(), 2);
        for server in &mut servers {
            let position = status.get().position.unwrap_or(0);
            read_up_to(&mut status, position + 100).await;
            server.kill();
            read_up_to(&mut status, position + 200).await;
            server.restart().await;
        }
        stop.store(true, Ordering::Relaxed);
        writing.await.unwrap();
        let told = told(&mut servers[0].client().await, "p/").await;
        let (last, _) = told.last().unwrap();
        assert_eq!(delivered(&mut events, *last).await, told);
        let status = status.get();
        assert_eq!(
            (status.n_gaps, status.n_epochs, status.n_repeated),
            (0, 0, 0),
            "{status:?}"
        );
        running.abort();
    });
}
