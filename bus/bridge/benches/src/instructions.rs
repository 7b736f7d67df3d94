//! Counts of instructions, which do not depend on the load of the machine.

use std::hint::black_box;
use std::process::ExitCode;

use bytes::Bytes;
use rangewatch_bench_harness::{Counts, Report, Use, count, instrumented};
use rangewatch_bridge::{Frame, FrameBuilder, MemoryLog, Reader, Writer};
use rangewatch_bus::History;

use crate::Result;
use crate::emits::key;
use crate::process::runtime;

/// The emits that are counted.
const N_EMITS: u64 = 1000;
/// The emits of a batch.
const N_BATCH: usize = 100;

/// Runs the functions that are counted.
pub(crate) fn run_loop() -> Result<()> {
    let keys: Vec<_> = (1..=N_EMITS).map(|value| (value, key(value))).collect();
    let frames = instrumented(|| counted_encode(&keys));
    let bytes: Vec<_> = frames.iter().map(|frame| frame.bytes().clone()).collect();
    let decoded = instrumented(|| counted_decode(bytes));
    if decoded != frames {
        return Err("a frame has changed".into());
    }
    runtime()?.block_on(async {
        let log = MemoryLog::new();
        let mut writer = Writer::open(log.clone()).await?;
        for keys in keys.chunks(N_BATCH) {
            let emits = keys.iter().map(|(value, key)| (*value, [key]));
            instrumented(|| counted_write(&mut writer, emits))?;
        }
        let reader = Reader::builder(log).history(History::events(N_EMITS as usize));
        let reader = reader.open().await?;
        let mut status = reader.status();
        let bus = reader.bus().clone();
        instrumented(|| counted_apply(reader));
        let read = status.get().position;
        if read != Some(N_EMITS) || bus.head() != Some(N_EMITS) {
            return Err(format!("the reader has read up to {read:?}").into());
        }
        status.until(|status| status.n_emits == N_EMITS).await;
        Ok(())
    })
}

#[inline(never)]
fn counted_encode(keys: &[(u64, String)]) -> Vec<Frame> {
    let frames = keys.iter().map(|(value, key)| {
        let mut builder = FrameBuilder::new(value.checked_sub(1), *value);
        builder.push(key.as_bytes(), b"");
        black_box(builder.finish())
    });
    frames.collect()
}

#[inline(never)]
fn counted_decode(bytes: Vec<Bytes>) -> Vec<Frame> {
    let frames = bytes.into_iter().map(Frame::decode);
    frames.map(|frame| frame.expect("it is a frame")).collect()
}

/// Encodes, and appends to a log in memory.
#[inline(never)]
fn counted_write<'a>(
    writer: &mut Writer,
    emits: impl Iterator<Item = (u64, [&'a String; 1])>,
) -> Result<()> {
    black_box(poll(writer.append_many(emits)).ok_or("a log in memory does not wait")??);
    Ok(())
}

/// Reads the log in memory, and emits what it holds on a bus with history and no subscriber.
#[inline(never)]
fn counted_apply(reader: Reader) {
    // It waits when it has read all.
    let _ = poll(reader.run());
}

/// Polls a future once.
fn poll<F: Future>(future: F) -> Option<F::Output> {
    let mut ctx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut ctx) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

pub(crate) fn run(report: &Report, counts_use: &Use) -> ExitCode {
    report.heading();
    report.group("instructions");
    report.note(
        "Of an emit of one key. `write`: encoded and appended to a log in memory, in batches of 100. `apply`:\n\
         read from it, checked, and emitted on a bus with history and no subscriber.\n",
    );
    match count(&["loop"]) {
        Ok(counted) => {
            let per_emit = |(name, count): (String, u64)| {
                (format!("bridge/{name}"), count as f64 / N_EMITS as f64)
            };
            let counts: Counts = counted.into_iter().map(per_emit).collect();
            counts_use.apply(report, &counts)
        }
        Err(error) => {
            report.note(&error);
            ExitCode::FAILURE
        }
    }
}
