//! Several writers.

use futures::future::join_all;
use rangewatch_bridge::{Appended, Log, LogError, Outcome};

use crate::server::{
    EPOCH, Program, begun, block_on, frame, frame_of, frames, read_to, read_until, reader_after,
};
use rangewatch_bridge::LogItem;

on_each_server! {
    g02_writers_with_other_batches_leave_one_copy,
    g02_writers_with_other_parts_leave_one_copy,
    of_writers_that_disagree_each_value_is_of_one,
    a_writer_that_was_overtaken_reads_the_head_again,
}

fn g02_writers_with_other_batches_leave_one_copy(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        drop(begun(&server.log()).await);
        let write = async |(n_frames, n_bytes): (usize, usize)| {
            let log = server.builder().message_bytes(n_bytes).build().unwrap();
            let mut writer = log.writer().await.unwrap();
            let mut n_own = 0;
            for batch in frames(1..=600).chunks(n_frames) {
                let appended = writer.append(EPOCH, batch).await.unwrap();
                let own = |value| appended.outcome(value) == Outcome::Appended;
                n_own += batch.iter().filter(|frame| own(frame.value())).count();
            }
            n_own
        };
        let n_own = join_all([(1, 1000), (7, 1000), (50, 200)].map(write)).await;
        assert!(n_own.iter().sum::<usize>() >= 600, "{n_own:?}");
        let mut reader = reader_after(&server.log(), 0).await;
        assert!(read_to(&mut *reader, 600).await.into_iter().eq(1..=600));
    });
}

fn g02_writers_with_other_parts_leave_one_copy(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        drop(begun(&server.log()).await);
        let size = |value: u64| if value.is_multiple_of(3) { 20_000 } else { 10 };
        let emits: Vec<_> = (1..=30)
            .map(|value| frame_of(value - 1, value, size(value)))
            .collect();
        let write = async |(n_frames, n_bytes): (usize, usize)| {
            let log = server.builder().message_bytes(n_bytes).build().unwrap();
            let mut writer = log.writer().await.unwrap();
            for batch in emits.chunks(n_frames) {
                writer.append(EPOCH, batch).await.unwrap();
            }
        };
        join_all([(1, 1000), (5, 700), (30, 3000), (30, 30_000)].map(write)).await;
        let mut reader = reader_after(&server.log(), 0).await;
        let is_last = |item: &LogItem| matches!(item, LogItem::Emit(frame) if frame.value() == 30);
        let mut read = read_until(&mut *reader, is_last).await;
        read.retain(|item| !matches!(item, LogItem::Progress(_)));
        assert!(read.into_iter().eq(emits.into_iter().map(LogItem::Emit)));
    });
}

fn of_writers_that_disagree_each_value_is_of_one(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.builder().message_bytes(1000).build().unwrap();
        drop(begun(&log).await);
        // The same values with other contents: a mistake, which must not stop the log.
        let write = async |n_bytes: usize| {
            let mut writer = log.writer().await.unwrap();
            for value in 1..=20 {
                let emit = frame_of(value - 1, value, n_bytes);
                let appended = writer.append(EPOCH, &[emit]).await;
                if let Err(error) = appended {
                    // Only that others are always faster.
                    assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
                    writer = log.writer().await.unwrap();
                }
            }
        };
        join_all([3000, 3001, 10].map(write)).await;
        let mut reader = reader_after(&log, 0).await;
        assert!(read_to(&mut *reader, 20).await.into_iter().eq(1..=20));
    });
}

fn a_writer_that_was_overtaken_reads_the_head_again(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut first = begun(&log).await;
        let mut second = log.writer().await.unwrap();
        second.append(EPOCH, &frames(1..=2)).await.unwrap();
        // It believes that the log is empty.
        let appended = first.append(EPOCH, &frames(1..=3)).await.unwrap();
        assert_eq!(
            appended,
            Appended {
                head_before: Some(2)
            }
        );
        // And now that it ends with 2.
        let error = second.append(EPOCH, &[frame(2, 5)]).await.unwrap_err();
        assert!(
            matches!(error, LogError::NotNext { head: Some(3) }),
            "{error:?}"
        );
        second.append(EPOCH, &[frame(3, 5)]).await.unwrap();
        // What it remembers is no answer to what follows it, or lies below it.
        let appended = first.append(EPOCH, &[frame(5, 6)]).await.unwrap();
        assert_eq!(appended.head_before, Some(5));
        let appended = second.append(EPOCH, &[frame(3, 5)]).await.unwrap();
        assert_eq!(appended.outcome(5), Outcome::Older);
        let appended = first.append(EPOCH, &[frame(3, 5)]).await.unwrap();
        assert_eq!(appended.outcome(5), Outcome::Older);
        let mut reader = reader_after(&log, 0).await;
        assert_eq!(read_to(&mut *reader, 6).await, [1, 2, 3, 5, 6]);
        let mut third = log.writer().await.unwrap();
        third
            .begin_epoch(Some(EPOCH), EPOCH + 1, Some(1))
            .await
            .unwrap();
        let error = first.append(EPOCH, &[frame(5, 6)]).await.unwrap_err();
        assert!(
            matches!(error, LogError::EpochChanged { epoch } if epoch == EPOCH + 1),
            "{error:?}"
        );
    });
}
