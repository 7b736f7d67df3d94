//! What appends do.

use std::sync::Arc;

use futures::future::join_all;

use super::{EPOCH, begun, frame, frames, read, reader_after, values};
use crate::{FrameBuilder, Head, Log, LogError, MAX_VALUE, Outcome};

pub async fn appends_continue_the_head(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    let appended = writer
        .append(EPOCH, &[frame(0, 3), frame(3, 4)])
        .await
        .unwrap();
    assert_eq!(appended.head_before, Some(0));
    assert_eq!(appended.outcome(3), Outcome::Appended);
    let appended = writer.append(EPOCH, &[frame(4, 1000)]).await.unwrap();
    assert_eq!(appended.head_before, Some(4));
    let head = Head {
        epoch: EPOCH,
        value: Some(1000),
        floor: 1,
    };
    assert_eq!(writer.head().await.unwrap(), head);
    assert_eq!(log.reader().await.unwrap().head().await.unwrap(), head);
    let read = read(&mut *reader_after(&log, 0).await, 3).await;
    assert_eq!(read, [frame(0, 3), frame(3, 4), frame(4, 1000)]);
}

pub async fn what_the_log_has_is_not_appended_again(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    let mut other = log.writer().await.unwrap();
    writer.append(EPOCH, &frames(1..=5)).await.unwrap();
    // All of it, some of it and something new, and its end.
    for (again, head_after) in [(2..=4, 5), (4..=7, 7), (7..=7, 7)] {
        let appended = other.append(EPOCH, &frames(again)).await.unwrap();
        let head = other.head().await.unwrap().value;
        assert_eq!(head, Some(head_after));
        let head_before = appended.head_before.unwrap();
        assert_eq!(appended.outcome(head_before), Outcome::Duplicate);
        assert_eq!(appended.outcome(head_before - 1), Outcome::Older);
        assert_eq!(appended.outcome(head_before + 1), Outcome::Appended);
    }
    let read = read(&mut *reader_after(&log, 0).await, 7).await;
    assert_eq!(read, frames(1..=7));
}

pub async fn frames_that_do_not_continue_the_log_are_refused_together(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &[frame(0, 5)]).await.unwrap();
    let refused = [
        // Something is missing between the head and the first frame.
        vec![frame(7, 8), frame(8, 9)],
        // Another emit took the place of the head.
        vec![frame(0, 4), frame(4, 6), frame(6, 7)],
        vec![frame(3, 6)],
        vec![frame(None, 6)],
    ];
    for frames in refused {
        let error = writer.append(EPOCH, &frames).await.unwrap_err();
        assert!(
            matches!(error, LogError::NotNext { head: Some(5) }),
            "{error:?} for {frames:?}"
        );
        assert_eq!(writer.head().await.unwrap().value, Some(5));
    }
    writer.append(EPOCH, &[frame(5, 6)]).await.unwrap();
    let read = read(&mut *reader_after(&log, 0).await, 2).await;
    assert_eq!(values(&read), [5, 6]);
}

pub async fn the_least_and_the_greatest_value_are_appended(log: Arc<dyn Log>) {
    let mut writer = log.writer().await.unwrap();
    writer.begin_epoch(None, EPOCH, None).await.unwrap();
    let head = writer.head().await.unwrap();
    assert_eq!((head.value, head.floor), (None, 0));
    let frames = [
        frame(None, 0),
        frame(0, u64::from(u32::MAX)),
        frame(u64::from(u32::MAX), MAX_VALUE),
    ];
    let appended = writer.append(EPOCH, &frames).await.unwrap();
    assert_eq!(appended.head_before, None);
    let head = writer.head().await.unwrap();
    assert_eq!((head.value, head.floor), (Some(MAX_VALUE), 0));
    let mut reader = log.reader().await.unwrap();
    reader.seek(EPOCH, None).await.unwrap();
    assert_eq!(read(&mut *reader, 3).await, frames);
}

pub async fn keys_and_payloads_are_any_bytes(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    let mut builder = FrameBuilder::new(Some(0), 1);
    let all: Vec<u8> = (0..=u8::MAX).collect();
    builder.push(b"", b"");
    builder.push(b"\0", b"\r\n");
    builder.push(&[0xff; 300], &all);
    builder.push(&all, &[0; 200]);
    builder.push(b"", b"again");
    let first = builder.finish();
    let without_keys = FrameBuilder::new(Some(1), 2).finish();
    let frames = [first, without_keys];
    writer.append(EPOCH, &frames).await.unwrap();
    assert_eq!(read(&mut *reader_after(&log, 0).await, 2).await, frames);
}

pub async fn a_large_emit_is_read_whole(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    let mut builder = FrameBuilder::new(Some(1), 2);
    let n_bytes = log.max_frame_bytes().min(3 << 20) - 100;
    let payload: Vec<u8> = (0..n_bytes).map(|i| (i % 251) as u8).collect();
    builder.push(b"large", &payload);
    let frames = [frame(0, 1), builder.finish(), frame(2, 3)];
    writer.append(EPOCH, &frames).await.unwrap();
    // Again, as after a connection that broke.
    let again = writer.append(EPOCH, &frames).await.unwrap();
    assert_eq!(again.head_before, Some(3));
    assert_eq!(read(&mut *reader_after(&log, 0).await, 3).await, frames);
    assert_eq!(
        read(&mut *reader_after(&log, 1).await, 2).await,
        frames[1..]
    );
    assert_eq!(
        read(&mut *reader_after(&log, 2).await, 1).await,
        frames[2..]
    );
}

pub async fn an_emit_that_is_too_large_is_refused(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    let mut builder = FrameBuilder::new(Some(1), 2);
    builder.push(b"too large", &vec![0; log.max_frame_bytes()]);
    let frames = [frame(0, 1), builder.finish()];
    let error = writer.append(EPOCH, &frames).await.unwrap_err();
    assert!(
        matches!(error, LogError::TooLarge { value: 2, .. }),
        "{error:?}"
    );
    assert_eq!(writer.head().await.unwrap().value, Some(0));
}

pub async fn g02_several_writers_leave_one_copy(log: Arc<dyn Log>) {
    drop(begun(&log).await);
    let write = async |size: usize| {
        let mut writer = log.writer().await.unwrap();
        for batch in frames(1..=300).chunks(size) {
            writer.append(EPOCH, batch).await.unwrap();
        }
    };
    join_all([1, 3, 7, 50].map(write)).await;
    let read = read(&mut *reader_after(&log, 0).await, 300).await;
    assert_eq!(read, frames(1..=300));
}
