//! A mirror of a prefix of etcd's keys: prints it when it has changed. README.md says how to run
//! it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]

use std::env::args;
use std::error::Error;
use std::time::Duration;

use rangewatch_bridge::Reader;
use rangewatch_bridge_etcd::{EtcdEvent, EtcdEvents, EtcdSource};
use rangewatch_bus::{FollowError, Selector};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = args()
        .nth(1)
        .unwrap_or_else(|| "http://127.0.0.1:2379".to_owned());
    let prefix = args().nth(2).unwrap_or_default();

    let source = EtcdSource::builder([endpoint])
        .keys(Selector::prefix(prefix))
        .build()?;
    let reader = Reader::builder(source.clone())
        .payloads(EtcdEvents)
        .payload_bytes(EtcdEvent::n_bytes);
    let reader = reader.open().await?;

    let mut changes = reader.bus().subscribe(..).wake()?;
    let (mirror, mut driver) = reader.bus().subscribe(..).mirror(
        256,
        move |selectors| source.scan(selectors),
        |_key, event: &EtcdEvent| event.is_put().then(|| event.clone()),
    )?;
    let mut status = reader.status();
    tokio::spawn(reader.run());
    tokio::spawn(async move {
        while let Err(FollowError::Scan(error)) = driver.run().await {
            eprintln!("the scan failed, and is tried again: {error}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    tokio::spawn(async move {
        let mut phase = status.get().phase;
        while let Some(status) = status.until(|status| status.phase != phase).await {
            phase = status.phase;
            eprintln!("the reader is {}", phase.name());
        }
    });

    mirror.wait_until(0).await?;
    loop {
        let entries = mirror.range(..)?;
        println!(
            "revision {}: {} keys",
            mirror.value().unwrap_or(0),
            entries.len()
        );
        for (key, event) in entries {
            println!("  {} = {}", key.escape_ascii(), event.value.escape_ascii());
        }
        mirror.wait_until(changes.recv().await?.last()).await?;
    }
}
