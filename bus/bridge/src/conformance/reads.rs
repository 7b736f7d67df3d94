//! What readers read.

use std::sync::Arc;

use futures::future::{join, join_all};

use super::{EPOCH, begun, frame, frames, read, reader_after, values};
use crate::{Log, LogError, LogItem, LogReader};

pub async fn a_reader_reads_what_is_there_and_what_comes(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=1000)).await.unwrap();
    let mut reader = reader_after(&log, 0).await;
    assert_eq!(read(&mut *reader, 1000).await, frames(1..=1000));
    for value in 1001..=1010 {
        let next = frames(value..=value);
        let (read, appended) = join(read(&mut *reader, 1), writer.append(EPOCH, &next)).await;
        appended.unwrap();
        assert_eq!(read, next);
    }
}

pub async fn a_reader_begins_after_a_value(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    let all = [frame(0, 10), frame(10, 20), frame(20, 30)];
    writer.append(EPOCH, &all).await.unwrap();
    for (after, n) in [(0, 3), (9, 3), (10, 2), (15, 2), (20, 1), (29, 1)] {
        let read = read(&mut *reader_after(&log, after).await, n).await;
        assert_eq!(read, all[3 - n..], "after {after}");
    }
}

pub async fn a_reader_begins_in_the_future(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=3)).await.unwrap();
    let mut at_head = reader_after(&log, 3).await;
    let mut above = reader_after(&log, 5).await;
    writer.append(EPOCH, &frames(4..=7)).await.unwrap();
    assert_eq!(values(&read(&mut *at_head, 4).await), [4, 5, 6, 7]);
    assert_eq!(values(&read(&mut *above, 2).await), [6, 7]);
}

pub async fn several_readers_read_the_same(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    let read = async |after: u64| {
        let n_frames = 200 - after as usize;
        read(&mut *reader_after(&log, after).await, n_frames).await
    };
    let write = async {
        for batch in frames(1..=200).chunks(13) {
            writer.append(EPOCH, batch).await.unwrap();
        }
    };
    let (read, ()) = join(join_all([0, 0, 50, 150].map(read)), write).await;
    for frames in read {
        let first = frames[0].value();
        assert_eq!(values(&frames), (first..=200).collect::<Vec<_>>());
    }
}

pub async fn g09_progress_follows_everything_up_to_the_head(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=600)).await.unwrap();
    let mut reader = reader_after(&log, 0).await;
    let (mut n_read, mut progress) = (0, 0);
    while progress < 600 {
        for item in reader.next().await.unwrap() {
            match item {
                LogItem::Emit(frame) => n_read = frame.value(),
                LogItem::Progress(value) => {
                    assert!(value <= n_read, "{value} after {n_read}");
                    progress = value;
                }
                LogItem::Foreign(entry) => panic!("{entry}"),
            }
        }
    }
}

pub async fn compaction_raises_the_floor_and_no_more(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=500)).await.unwrap();
    let floor = writer.compact(EPOCH, 301).await.unwrap();
    assert!(floor <= 301, "{floor}");
    assert_eq!(writer.head().await.unwrap().floor, floor);
    let head = log.reader().await.unwrap().head().await.unwrap();
    assert_eq!((head.floor, head.value), (floor, Some(500)));
    // It has no effect to ask for less.
    assert_eq!(writer.compact(EPOCH, 100).await.unwrap(), floor);
    let n_left = 500 - (floor as usize - 1);
    let read = read(&mut *reader_after(&log, floor - 1).await, n_left).await;
    assert_eq!(read, frames(floor..=500));
    writer.append(EPOCH, &frames(501..=501)).await.unwrap();
}

pub async fn compaction_of_everything_keeps_the_head(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=20)).await.unwrap();
    let floor = writer.compact(EPOCH, 21).await.unwrap();
    assert!(floor <= 21, "{floor}");
    let head = writer.head().await.unwrap();
    assert_eq!((head.value, head.floor), (Some(20), floor));
    let duplicates = writer.append(EPOCH, &frames(15..=20)).await.unwrap();
    assert_eq!(duplicates.head_before, Some(20));
    let mut reader = reader_after(&log, 20).await;
    writer.append(EPOCH, &frames(21..=22)).await.unwrap();
    assert_eq!(values(&read(&mut *reader, 2).await), [21, 22]);
    assert!(writer.head().await.unwrap().floor <= 21);
}

pub async fn g07_a_read_of_what_was_removed_is_reported(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=100)).await.unwrap();
    let mut waiting = reader_after(&log, 10).await;
    // In pieces, until something is removed in any engine.
    let mut floor = writer.head().await.unwrap().floor;
    for next in 101..=2000 {
        if floor > 50 {
            break;
        }
        writer.append(EPOCH, &frames(next..=next)).await.unwrap();
        floor = writer.compact(EPOCH, next).await.unwrap();
    }
    assert!(floor > 50, "{floor}");
    assert_reported(&mut *waiting, 10).await;
    let mut new = log.reader().await.unwrap();
    match new.seek(EPOCH, Some(10)).await {
        Ok(()) => assert_reported(&mut *new, 10).await,
        Err(LogError::Compacted { floor: reported }) => assert_eq!(reported, floor),
        Err(error) => panic!("{error}"),
    }
}

/// What follows `after` is missing: either the log says so, or a frame names another one before it.
async fn assert_reported(reader: &mut dyn LogReader, after: u64) {
    let mut last = after;
    loop {
        match reader.next().await {
            Ok(items) => {
                for item in items {
                    match item {
                        LogItem::Emit(frame) if frame.prev() == Some(last) => last = frame.value(),
                        LogItem::Emit(frame) => {
                            assert!(frame.prev() > Some(last), "{frame:?} after {last}");
                            return;
                        }
                        LogItem::Progress(value) => assert!(value <= last, "{value} after {last}"),
                        LogItem::Foreign(entry) => panic!("{entry}"),
                    }
                }
            }
            Err(LogError::Compacted { floor }) => {
                assert!(floor > last + 1, "{floor} after {last}");
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
}
