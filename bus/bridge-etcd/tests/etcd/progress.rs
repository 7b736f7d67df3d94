//! Progress without matching changes.

use std::time::Duration;

use etcd_client::Client;
use rangewatch_bridge::Start;
use rangewatch_bridge_etcd::EtcdEvent;
use rangewatch_bus::{Item, Selector};

use crate::history::read_up_to;
use crate::server::{Server, block_on};
use crate::{reader, source};

async fn put(client: &mut Client, key: &str) -> u64 {
    let put = client.put(key, "x", None).await.unwrap();
    put.header().unwrap().revision() as u64
}

#[test]
fn g09_progress_advances_the_bus_when_nothing_matches() {
    block_on(async {
        let options = ["--experimental-watch-progress-notify-interval=100ms"];
        let Some(server) = Server::start(&options).await else {
            return;
        };
        let mut client = server.client().await;
        put(&mut client, "other").await;
        let source = source(&server.url(), "p/").build().unwrap();
        let reader = reader(&source).start(Start::Head).open().await.unwrap();
        let (bus, mut status) = (reader.bus().clone(), reader.status());
        let mut idle = bus.subscribe(Selector::key("p/none")).events(100).unwrap();
        let (mirror, mut driver) = bus
            .subscribe(..)
            .mirror(
                100,
                move |selectors| source.scan(selectors),
                |_, event: &EtcdEvent| event.is_put().then(|| event.clone()),
            )
            .unwrap();
        let running = tokio::spawn(reader.run());
        tokio::spawn(async move { driver.run().await });
        for n in 0..30 {
            let mut last = put(&mut client, "other").await;
            if n % 3 == 0 {
                last = put(&mut client, "p/a").await;
            }
            if n % 10 == 9 {
                read_up_to(&mut status, last).await;
                assert_eq!(bus.head(), Some(last));
                mirror.wait_until(last).await.unwrap();
                idle.request_progress().unwrap();
                let Ok(Item::Progress(mark)) = idle.recv_item().await else {
                    panic!("an event");
                };
                assert_eq!(mark, last);
            }
        }
        assert_eq!(status.get().n_emits, 10);
        running.abort();
    });
}

#[test]
fn g09_no_progress_overtakes_an_emit() {
    block_on(async {
        let options = ["--experimental-watch-progress-notify-interval=100ms"];
        let Some(server) = Server::start(&options).await else {
            return;
        };
        let mut client = server.client().await;
        let source = source(&server.url(), "p/").build().unwrap();
        let reader = reader(&source).open().await.unwrap();
        let mut status = reader.status();
        let mut items = reader
            .bus()
            .subscribe(..)
            .progress_every(Duration::from_millis(2))
            .since(0)
            .events(4096)
            .unwrap();
        let running = tokio::spawn(reader.run());
        let mut expected = Vec::new();
        for n in 0..1500 {
            let key = ["p/a", "other"][usize::from(n % 4 == 0)];
            let revision = put(&mut client, key).await;
            if key == "p/a" {
                expected.push(revision);
            }
        }
        let (mut last, mut values) = (0, Vec::new());
        while values.len() < expected.len() {
            match items.recv_item().await.unwrap() {
                Item::Event(event) => {
                    assert!(event.value() > last);
                    last = event.value();
                    values.push(last);
                }
                Item::Progress(mark) => last = last.max(mark),
                item => panic!("{item:?}"),
            }
        }
        assert_eq!(values, expected);
        let status = status.until(|status| status.n_emits == 1125).await.unwrap();
        assert_eq!(
            (status.n_gaps, status.n_epochs, status.n_repeated),
            (0, 0, 0)
        );
        running.abort();
    });
}
