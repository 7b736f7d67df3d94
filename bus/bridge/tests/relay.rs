//! A relay: a reader of one log and an appender of its bus to another log.

use rangewatch_bridge::{Appender, BoxError, MemoryLog, Reader, Writer};
use rangewatch_bus::RecvError;

/// Starts a reader of `from`, and an appender of its bus to `to`.
async fn relay(from: MemoryLog, to: MemoryLog) -> Result<(), BoxError> {
    let reader = Reader::builder(from).open().await?;
    let appender = Appender::builder(to, reader.bus()).begin_epochs().build()?;
    tokio::spawn(reader.run());
    tokio::spawn(appender.run());
    Ok(())
}

#[tokio::test]
async fn relays_pass_on_every_emit_and_end_subscriptions_at_a_new_epoch() -> Result<(), BoxError> {
    let [source, middle, far] = [(); 3].map(|()| MemoryLog::new());
    let mut writer = Writer::open(source.clone()).await?;
    writer.append(1, ["key/1"]).await?;
    relay(source, middle.clone()).await?;
    relay(middle, far.clone()).await?;

    let reader = Reader::builder(far).open().await?;
    let mut all = reader.bus().subscribe("key/".."key0").since(1).events(16)?;
    tokio::spawn(reader.run());
    for value in 2..=500 {
        writer.append(value, [format!("key/{value}")]).await?;
    }
    for value in 1..=500 {
        assert_eq!(all.recv().await?.value(), value);
    }

    // The store that emits was rolled back.
    writer.begin_epoch(Some(400)).await?;
    assert!(matches!(all.recv().await, Err(RecvError::Compacted { .. })));
    writer.append(401, ["key/401"]).await?;
    Ok(())
}
