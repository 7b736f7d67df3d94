//! Emits in parts, of which some are missing.

use std::pin::pin;

use futures::future::{Either, select};
use rangewatch_bridge::{Frame, Log, LogItem, LogReader};
use rangewatch_bridge_nats::NatsLog;

use crate::server::{
    EPOCH, Program, Server, begun, block_on, frame, frame_of, read_to, reader_after,
};

on_each_server! {
    an_emit_that_was_begun_is_continued_by_another_writer,
    an_emit_that_was_begun_with_another_content_begins_again,
    an_emit_that_was_begun_and_fits_elsewhere_is_read_once,
    an_emit_that_was_begun_ends_with_its_epoch,
    compaction_leaves_large_emits_whole,
}

/// A log with small messages.
fn log(server: &Server) -> NatsLog {
    server.builder().message_bytes(150).build().unwrap()
}

/// The emit that is begun: some hundred parts.
fn large() -> Frame {
    frame_of(3, 4, 30_000)
}

/// Appends the emits 1 to 3, and some parts of 4: then its writer is gone.
async fn begin_large(server: &Server) {
    let log = log(server);
    let mut writer = begun(&log).await;
    writer
        .append(EPOCH, &[frame(0, 1), frame(1, 3)])
        .await
        .unwrap();
    let mut stream = server.stream().await;
    let before = stream.cached_info().state.last_sequence;
    let emits = [large()];
    let appending = pin!(writer.append(EPOCH, &emits));
    let stored =
        pin!(async { while stream.info().await.unwrap().state.last_sequence < before + 5 {} });
    let Either::Right(_) = select(appending, stored).await else {
        panic!("it was appended");
    };
    let head = log.reader().await.unwrap().head().await.unwrap();
    assert_eq!((head.value, head.floor), (Some(3), 1));
}

/// What the readers have read next: one from before the emit was begun, one from after.
async fn assert_read(readers: [&mut Box<dyn LogReader>; 2], value: u64, expected: &[u64]) {
    for reader in readers {
        assert_eq!(read_to(&mut **reader, value).await, expected);
    }
}

/// A reader that has read the parts, and one that begins behind them.
async fn readers(log: &NatsLog) -> [Box<dyn LogReader>; 2] {
    let mut early = reader_after(log, 0).await;
    assert_eq!(read_to(&mut *early, 3).await, [1, 3]);
    // Nothing is reported while the rest may come.
    for _ in 0..3 {
        let items = early.next().await.unwrap();
        assert!(
            items.iter().all(|item| *item == LogItem::Progress(3)),
            "{items:?}"
        );
    }
    [early, reader_after(log, 3).await]
}

fn an_emit_that_was_begun_is_continued_by_another_writer(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        begin_large(&server).await;
        let log = log(&server);
        let [mut early, mut late] = readers(&log).await;
        let n_before = server.stream().await.cached_info().state.messages;
        let mut writer = log.writer().await.unwrap();
        let appended = writer.append(EPOCH, &[large(), frame(4, 5)]).await.unwrap();
        assert_eq!(appended.head_before, Some(3));
        // The parts that were there are not stored again.
        let n_bytes_of_part = 150 - 47;
        let n_parts = large().bytes().len().div_ceil(n_bytes_of_part) as u64;
        let n_after = server.stream().await.cached_info().state.messages;
        assert!(
            n_after - n_before < n_parts,
            "{n_before}, {n_after}, {n_parts}"
        );
        // Besides the beginning, 1 and 3, and 5.
        assert_eq!(n_after, 1 + 1 + n_parts + 1);
        assert_read([&mut early, &mut late], 5, &[4, 5]).await;
    });
}

fn an_emit_that_was_begun_with_another_content_begins_again(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        begin_large(&server).await;
        let log = log(&server);
        let [mut early, mut late] = readers(&log).await;
        let other = frame_of(3, 4, 3000);
        let mut writer = log.writer().await.unwrap();
        writer.append(EPOCH, &[other, frame(4, 5)]).await.unwrap();
        assert_read([&mut early, &mut late], 5, &[4, 5]).await;
    });
}

fn an_emit_that_was_begun_and_fits_elsewhere_is_read_once(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        begin_large(&server).await;
        let log = log(&server);
        let [mut early, mut late] = readers(&log).await;
        // A writer with larger messages.
        let mut writer = server.log().writer().await.unwrap();
        writer.append(EPOCH, &[large(), frame(4, 5)]).await.unwrap();
        assert_read([&mut early, &mut late], 5, &[4, 5]).await;
        let appended = writer.append(EPOCH, &[large()]).await.unwrap();
        assert_eq!(appended.head_before, Some(5));
    });
}

fn an_emit_that_was_begun_ends_with_its_epoch(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        begin_large(&server).await;
        let log = log(&server);
        let mut writer = log.writer().await.unwrap();
        writer
            .begin_epoch(Some(EPOCH), EPOCH + 1, Some(2))
            .await
            .unwrap();
        let head = writer.head().await.unwrap();
        assert_eq!(
            (head.epoch, head.value, head.floor),
            (EPOCH + 1, Some(2), 3)
        );
        writer
            .append(EPOCH + 1, &[frame(2, 3), large()])
            .await
            .unwrap();
        let mut reader = log.reader().await.unwrap();
        reader.seek(EPOCH + 1, Some(2)).await.unwrap();
        assert_eq!(read_to(&mut *reader, 4).await, [3, 4]);
    });
}

fn compaction_leaves_large_emits_whole(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = log(&server);
        let mut writer = begun(&log).await;
        let emits: Vec<_> = (1..=9)
            .map(|value| frame_of(value - 1, value, 1000))
            .collect();
        writer.append(EPOCH, &emits).await.unwrap();
        for before in [0, 1, 4, 5, 9] {
            let floor = writer.compact(EPOCH, before).await.unwrap();
            assert_eq!(floor, before.max(1));
            let mut reader = reader_after(&log, floor - 1).await;
            assert!(read_to(&mut *reader, 9).await.into_iter().eq(floor..=9));
        }
        // Of the last emit, only what says where the log is stays.
        assert_eq!(writer.compact(EPOCH, 100).await.unwrap(), 10);
        assert_eq!(writer.head().await.unwrap().value, Some(9));
        writer.append(EPOCH, &[frame(9, 10)]).await.unwrap();
        let mut reader = reader_after(&log, 9).await;
        assert_eq!(read_to(&mut *reader, 10).await, [10]);
    });
}
