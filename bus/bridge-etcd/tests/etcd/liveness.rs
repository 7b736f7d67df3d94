//! Servers that are there and do not serve.

use std::time::{Duration, Instant};

use rangewatch_bridge::{Backoff, Log, LogError, Phase, Start};
use tokio::net::TcpListener;

use crate::server::{Server, block_on};
use crate::{reader, source};

#[test]
fn a_server_that_stands_still_is_noticed() {
    block_on(async {
        let Some(server) = Server::start(&["--grpc-keepalive-min-time=100ms"]).await else {
            return;
        };
        let source = source(&server.url(), "p/")
            .keep_alive(Duration::from_millis(400))
            .timeout(Duration::from_secs(1));
        let reader = reader(&source.build().unwrap());
        let reader = reader.backoff(Backoff::new(
            Duration::from_millis(10),
            Duration::from_millis(50),
        ));
        let reader = reader.open().await.unwrap();
        let mut status = reader.status();
        let mut events = reader.bus().subscribe(..).since(0).events(10).unwrap();
        let running = tokio::spawn(reader.run());
        let mut client = server.client().await;
        client.put("p/a", "1", None).await.unwrap();
        assert_eq!(events.recv().await.unwrap().value(), 2);
        server.signal("STOP");
        let stopped = Instant::now();
        let away = |status: &rangewatch_bridge::Status| status.phase == Phase::Disconnected;
        status.until(away).await.unwrap();
        let noticed = stopped.elapsed();
        // It does not answer new connections either, and is tried again.
        status.until(|status| status.n_failed >= 2).await.unwrap();
        server.signal("CONT");
        client.put("p/b", "1", None).await.unwrap();
        assert_eq!(events.recv().await.unwrap().value(), 3);
        assert!(noticed < Duration::from_secs(10), "{noticed:?}");
        assert_eq!(status.get().n_gaps, 0);
        running.abort();
    });
}

#[test]
fn a_cluster_without_a_leader_is_unavailable() {
    block_on(async {
        let Some(mut servers) = Server::cluster(3, &[]).await else {
            return;
        };
        let source = source(&servers[0].url(), "p/").timeout(Duration::from_secs(1));
        let source = source.build().unwrap();
        let mut waiting = source.reader().await.unwrap();
        let head = waiting.head().await.unwrap();
        waiting.seek(head.epoch, head.value).await.unwrap();
        let reader = reader(&source).start(Start::Head).open().await.unwrap();
        let mut status = reader.status();
        let mut events = reader.bus().subscribe(..).events(10).unwrap();
        let running = tokio::spawn(reader.run());
        status.until_live().await.unwrap();
        servers[1].kill();
        servers[2].kill();
        let error = loop {
            if let Err(error) = waiting.next().await {
                break error;
            }
        };
        assert!(matches!(error, LogError::Unavailable(_)), "{error}");
        let away = |status: &rangewatch_bridge::Status| status.phase == Phase::Disconnected;
        status.until(away).await.unwrap();
        servers[1].restart().await;
        let mut client = servers[0].client().await;
        let put = client.put("p/a", "1", None).await.unwrap();
        let revision = put.header().unwrap().revision() as u64;
        assert_eq!(events.recv().await.unwrap().value(), revision);
        running.abort();
    });
}

#[test]
fn a_server_that_accepts_and_is_silent_is_unavailable() {
    block_on(async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let source = source(&url, "p/").timeout(Duration::from_millis(200));
        let source = source.build().unwrap();
        let error = match source.reader().await {
            Ok(mut reader) => reader.head().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, LogError::Unavailable(_)), "{error}");
    });
}
