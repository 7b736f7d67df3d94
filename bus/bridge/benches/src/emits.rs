//! What is emitted, the same in every run.

use bytes::Bytes;
use rangewatch_bench_harness::Random;
use rangewatch_bridge::{FrameBuilder, LogItem, LogReader, Writer};

use crate::Result;
use crate::client::{BareReader, Client};

/// The key of the emit of a value: 29 bytes.
pub(crate) fn key(value: u64) -> String {
    let random = Random::new(value).next_u64();
    format!(
        "/registry/pods/ns-{:03}/pod-{:04}",
        random % 1000,
        random / 1000 % 10_000
    )
}

/// The value and the bytes of the frame of each of the emits of `values`, which begin with 1 and
/// have one key each.
pub(crate) fn frames(values: std::ops::Range<u64>, payload: &[u8]) -> Vec<(u64, Bytes)> {
    let frame = |value: u64| {
        let prev = value.checked_sub(1).filter(|prev| *prev > 0);
        let mut builder = FrameBuilder::new(prev, value);
        builder.push(key(value).as_bytes(), payload);
        (value, builder.finish().bytes().clone())
    };
    values.map(frame).collect()
}

/// How many emits are appended at once where that is not what a row is about.
pub(crate) const FILL_BATCH: usize = 1000;

/// Appends the emits of 1 to `n` by the bridge, so many at once.
pub(crate) async fn fill_log(client: &dyn Client, bus: &str, n: u64, n_batch: usize) -> Result<()> {
    let mut writer = Writer::open(client.log(bus, n_batch)?).await?;
    let mut values = 1..=n;
    loop {
        let emits = values.by_ref().take(n_batch);
        let emits: Vec<_> = emits.map(|value| (value, [key(value)])).collect();
        if emits.is_empty() {
            return Ok(());
        }
        writer.append_many(emits).await?;
    }
}

/// Appends the same by the bare client. `false` if there is none.
pub(crate) async fn fill_bare(client: &dyn Client, stream: &str, n: u64) -> Result<bool> {
    let Some(mut writer) = client.bare_writer(stream).await? else {
        return Ok(false);
    };
    let mut start = 1;
    while start <= n {
        let end = (start + FILL_BATCH as u64).min(n + 1);
        writer.append(&frames(start..end, b"")).await?;
        start = end;
    }
    Ok(true)
}

/// Reads frames from a log until there are `n`.
pub(crate) async fn read_log(
    reader: &mut dyn LogReader,
    n: usize,
    mut each: impl FnMut(u64, &Bytes),
) -> Result<()> {
    let mut n_read = 0;
    while n_read < n {
        for item in reader.next().await? {
            if let LogItem::Emit(frame) = item {
                each(frame.value(), frame.bytes());
                n_read += 1;
            }
        }
    }
    Ok(())
}

/// Reads entries by the bare client until there are `n`.
pub(crate) async fn read_bare(
    reader: &mut dyn BareReader,
    n: usize,
    mut each: impl FnMut(u64, &Bytes),
) -> Result<()> {
    let mut n_read = 0;
    while n_read < n {
        for (value, bytes) in reader.next().await? {
            each(value, &bytes);
            n_read += 1;
        }
    }
    Ok(())
}

/// Fails if the bridge and the bare client do not read the same `n` emits.
pub(crate) async fn check_same(client: &dyn Client, n: usize) -> Result<()> {
    let mut ours = Vec::with_capacity(n);
    let mut reader = client.log(BRIDGE, 256)?.reader().await?;
    let head = reader.head().await?;
    reader.seek(head.epoch, None).await?;
    read_log(&mut *reader, n, |value, bytes| {
        ours.push((value, bytes.clone()));
    })
    .await?;
    let Some(mut reader) = client.bare_reader(BARE, 256).await? else {
        return Ok(());
    };
    let mut theirs = Vec::with_capacity(n);
    read_bare(&mut *reader, n, |value, bytes| {
        theirs.push((value, bytes.clone()));
    })
    .await?;
    let differs = ours
        .iter()
        .zip(&theirs)
        .find(|(ours, theirs)| ours != theirs);
    match differs {
        Some((ours, theirs)) => {
            Err(format!("the bridge has read {ours:?}, the bare client {theirs:?}").into())
        }
        None => Ok(()),
    }
}

/// The bus whose log the bridge writes and reads.
pub(crate) const BRIDGE: &str = "bridge";
/// The stream that the bare client writes and reads.
pub(crate) const BARE: &str = "bare";
