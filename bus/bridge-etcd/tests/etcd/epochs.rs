//! Other clusters at the same address, and clusters that have gone back.

use std::path::Path;
use std::process::Command;

use etcd_client::Client;
use rangewatch_bridge::{Log, LogError};
use rangewatch_bus::{RecvError, SubscribeError};

use crate::history::{changes, delivered, read_up_to};
use crate::relay::Relay;
use crate::server::{Server, block_on};
use crate::{reader, source};

async fn put(client: &mut Client, value: &str) -> u64 {
    let put = client.put("p/a", value, None).await.unwrap();
    put.header().unwrap().revision() as u64
}

async fn cluster_id(server: &Server) -> u64 {
    let answer = server.client().await.get("x", None).await.unwrap();
    answer.header().unwrap().cluster_id()
}

#[test]
fn g07_another_cluster_at_the_same_address_is_another_epoch() {
    block_on(async {
        let Some(first) = Server::start(&[]).await else {
            return;
        };
        let Some(second) = Server::start(&[]).await else {
            return;
        };
        let (mut one, mut two) = (first.client().await, second.client().await);
        let relay = Relay::to(first.port()).await;
        let source = source(&relay.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let (bus, mut status) = (reader.bus().clone(), reader.status());
        let epoch = bus.epoch().unwrap();
        assert_eq!(epoch, cluster_id(&first).await);
        let mut live = bus.subscribe(..).since(0).events(100).unwrap();
        let running = tokio::spawn(reader.run());
        for n in 0..3 {
            put(&mut one, "one").await;
            assert_eq!(live.recv().await.unwrap().value(), n + 2);
        }
        // Its revisions go further, so that only the id of the cluster tells.
        let mut last = 0;
        for _ in 0..10 {
            last = put(&mut two, "two").await;
        }
        let other = cluster_id(&second).await;
        relay.turn(second.port());
        let end = live.recv().await.unwrap_err();
        assert_eq!(
            end,
            RecvError::Compacted {
                floor: 0,
                epoch: other
            }
        );
        assert_eq!(bus.epoch(), Some(other));
        let mut all = bus.subscribe(..).since(0).events(100).unwrap();
        let read = delivered(&mut all, last).await;
        assert!(
            read.iter()
                .all(|(_, keys)| keys[&b"p/a"[..]] == Some(b"two".to_vec()))
        );
        assert_eq!(read.len(), 10);
        let old = bus
            .subscribe(..)
            .epoch(epoch)
            .since(3)
            .events(10)
            .unwrap_err();
        assert!(matches!(old, SubscribeError::Compacted { .. }), "{old}");
        // And back: the epoch is that of before, and the subscriptions end again.
        relay.turn(first.port());
        let end = all.recv().await.unwrap_err();
        assert_eq!(end, RecvError::Compacted { floor: 0, epoch });
        let status = status.until(|status| status.n_epochs == 2).await.unwrap();
        assert_eq!(status.epoch, Some(epoch));
        running.abort();
    });
}

#[test]
fn a_connection_tells_another_cluster_when_a_position_is_sought() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let source = source(&server.url(), "p/").build().unwrap();
        let mut reader = source.reader().await.unwrap();
        let epoch = reader.head().await.unwrap().epoch;
        let error = reader.seek(epoch + 1, Some(1)).await.unwrap_err();
        assert!(matches!(error, LogError::EpochChanged { epoch: told } if told == epoch));
        reader.seek(epoch, Some(1)).await.unwrap();
    });
}

#[test]
fn g07_older_data_under_the_same_cluster_is_another_epoch() {
    block_on(async {
        let Some(mut server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        for _ in 0..5 {
            put(&mut client, "kept").await;
        }
        server.kill();
        let backup = server.folder().join("backup");
        copy(&server.data(), &backup);
        server.restart().await;
        let source = source(&server.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let (bus, mut status) = (reader.bus().clone(), reader.status());
        let mut live = bus.subscribe(..).since(0).events(100).unwrap();
        let running = tokio::spawn(reader.run());
        let mut client = server.client().await;
        let mut last = 0;
        for _ in 0..5 {
            last = put(&mut client, "lost").await;
        }
        read_up_to(&mut status, last).await;
        let (epoch, id) = (bus.epoch().unwrap(), cluster_id(&server).await);
        server.kill();
        std::fs::remove_dir_all(server.data()).unwrap();
        copy(&backup, &server.data());
        server.restart().await;
        assert_eq!(cluster_id(&server).await, id, "the id does not tell");
        for _ in 0..10 {
            live.recv().await.unwrap();
        }
        let end = live.recv().await.unwrap_err();
        let next = bus.epoch().unwrap();
        assert_ne!(next, epoch);
        assert_eq!(
            end,
            RecvError::Compacted {
                floor: 0,
                epoch: next
            }
        );
        let last = put(&mut server.client().await, "new").await;
        assert_eq!(last, 7);
        let mut all = bus.subscribe(..).since(0).events(100).unwrap();
        for value in 2..=7 {
            let event = all.recv().await.unwrap();
            assert_eq!(event.value(), value);
            let expected = if value == 7 { "new" } else { "kept" };
            assert_eq!(changes(&event)[&b"p/a"[..]], Some(expected.into()));
        }
        running.abort();
    });
}

#[test]
fn g07_a_restored_snapshot_is_another_epoch() {
    block_on(async {
        let Some(mut server) = Server::start(&[]).await else {
            return;
        };
        if Command::new("etcdctl").arg("version").output().is_err() {
            println!("etcdctl is not installed: nothing was tested");
            return;
        }
        let mut client = server.client().await;
        for _ in 0..5 {
            put(&mut client, "kept").await;
        }
        let snapshot = server.folder().join("snapshot");
        let mut save = Command::new("etcdctl");
        save.env("ETCDCTL_API", "3")
            .args(["snapshot", "save"])
            .arg(&snapshot);
        save.args(["--endpoints", &server.url()]);
        assert!(save.output().unwrap().status.success());
        let source = source(&server.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let (bus, mut status) = (reader.bus().clone(), reader.status());
        let mut live = bus.subscribe(..).events(100).unwrap();
        let running = tokio::spawn(reader.run());
        read_up_to(&mut status, 6).await;
        let lost = put(&mut client, "lost").await;
        read_up_to(&mut status, lost).await;
        let (epoch, id) = (bus.epoch().unwrap(), cluster_id(&server).await);
        server.kill();
        std::fs::remove_dir_all(server.data()).unwrap();
        server.restore(&snapshot);
        server.restart().await;
        // With the same names, addresses and token, a restored cluster has the same id.
        assert_eq!(cluster_id(&server).await, id);
        while live.recv().await.is_ok() {}
        let next = bus.epoch().unwrap();
        assert_ne!(next, epoch);
        let last = put(&mut server.client().await, "new").await;
        let mut all = bus.subscribe(..).since(last).events(100).unwrap();
        let event = all.recv().await.unwrap();
        assert_eq!(changes(&event)[&b"p/a"[..]], Some("new".into()));
        running.abort();
    });
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}
