//! What was compacted under a reader.

use rangewatch_bridge::{Log, LogError, LogItem, LogReader};
use rangewatch_bus::RecvError;

use crate::history::{delivered, read_up_to, told};
use crate::relay::Relay;
use crate::server::{Server, block_on};
use crate::{reader, source};

#[test]
fn g07_compaction_under_a_disconnected_reader_ends_subscriptions() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        let relay = Relay::to(server.port()).await;
        let source = source(&relay.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let (bus, mut status) = (reader.bus().clone(), reader.status());
        let mut live = bus.subscribe(..).since(0).events(100).unwrap();
        let running = tokio::spawn(reader.run());
        client.put("p/a", "1", None).await.unwrap();
        assert_eq!(live.recv().await.unwrap().value(), 2);
        relay.cut();
        for n in 0..10 {
            client.put("p/a", format!("{n}"), None).await.unwrap();
        }
        client.compact(8, None).await.unwrap();
        relay.turn(server.port());
        let end = live.recv().await.unwrap_err();
        assert!(
            matches!(end, RecvError::Compacted { floor: 9, .. }),
            "{end}"
        );
        let mut rest = bus.subscribe(..).since(9).events(100).unwrap();
        let told = {
            let mut client = client.clone();
            let last = client.put("p/a", "last", None).await.unwrap();
            last.header().unwrap().revision() as u64
        };
        let rest: Vec<_> = delivered(&mut rest, told).await;
        let values = rest.iter().map(|(value, _)| *value);
        assert!(values.eq(9..=told), "{rest:?}");
        let status = status.until(|status| status.n_gaps == 1).await.unwrap();
        assert_eq!(status.n_epochs, 0);
        running.abort();
    });
}

#[test]
fn a_compaction_below_the_reader_does_not_concern_it() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        let relay = Relay::to(server.port()).await;
        let source = source(&relay.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let (bus, mut status) = (reader.bus().clone(), reader.status());
        let mut events = bus.subscribe(..).since(0).events(100).unwrap();
        let running = tokio::spawn(reader.run());
        for _ in 0..10 {
            client.put("p/a", "1", None).await.unwrap();
        }
        let before = told(&mut client, "p/").await;
        let (head, _) = *before.last().unwrap();
        read_up_to(&mut status, head).await;
        relay.cut();
        client.put("p/b", "1", None).await.unwrap();
        // The last revision that it has read, and not the next one.
        client.compact(head as i64, None).await.unwrap();
        relay.turn(server.port());
        let read = delivered(&mut events, head + 1).await;
        assert_eq!(read[..before.len()], before);
        assert_eq!(read.len(), before.len() + 1);
        assert_eq!(status.get().n_gaps, 0);
        running.abort();
    });
}

#[test]
fn g07_the_deletions_of_the_compacted_revision_are_not_lost_silently() {
    block_on(async {
        let Some(server) = Server::start(&[]).await else {
            return;
        };
        let mut client = server.client().await;
        client.put("p/a", "1", None).await.unwrap();
        client.put("p/b", "1", None).await.unwrap();
        let mut waiting = source(&server.url(), "p/")
            .build()
            .unwrap()
            .reader()
            .await
            .unwrap();
        let epoch = waiting.head().await.unwrap().epoch;
        let deleted = client.delete("p/a", None).await.unwrap();
        let deleted = deleted.header().unwrap().revision();
        client.put("p/c", "1", None).await.unwrap();
        client.compact(deleted, None).await.unwrap();
        // etcd accepts a watch that begins with this revision, and leaves the deletion out.
        let after = deleted as u64 - 1;
        let error = match waiting.seek(epoch, Some(after)).await {
            Ok(()) => next(&mut *waiting).await.unwrap_err(),
            Err(error) => error,
        };
        let floor = deleted as u64 + 1;
        assert!(
            matches!(error, LogError::Compacted { floor: told } if told == floor),
            "{error}"
        );
        let head = waiting.head().await.unwrap();
        assert_eq!((head.floor, head.value), (floor, Some(floor)));
        waiting.seek(epoch, Some(floor - 1)).await.unwrap();
        assert_eq!(
            next(&mut *waiting).await.unwrap(),
            [(Some(floor - 1), floor)]
        );
    });
}

/// Reads the next emits: the values before them and their own.
async fn next(reader: &mut dyn LogReader) -> Result<Vec<(Option<u64>, u64)>, LogError> {
    let mut emits = Vec::new();
    while emits.is_empty() {
        for item in reader.next().await? {
            if let LogItem::Emit(frame) = item {
                emits.push((frame.prev(), frame.value()));
            }
        }
    }
    Ok(emits)
}
