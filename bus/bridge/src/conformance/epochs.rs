//! What epochs are.

use std::sync::Arc;

use futures::future::{join, join_all};

use super::{EPOCH, begun, frame, frames, read, reader_after, values};
use crate::{Log, LogError, LogReader};

pub async fn a_log_that_was_not_begun_is_missing(log: Arc<dyn Log>) {
    let mut writer = log.writer().await.unwrap();
    let mut reader = log.reader().await.unwrap();
    let errors = [
        writer.head().await.unwrap_err(),
        writer.append(EPOCH, &[frame(None, 1)]).await.unwrap_err(),
        writer.compact(EPOCH, 1).await.unwrap_err(),
        reader.head().await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, LogError::Missing), "{error:?}");
    }
}

pub async fn an_epoch_begins_once(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=3)).await.unwrap();
    for last in [None, Some(EPOCH - 1), Some(EPOCH + 1)] {
        writer.begin_epoch(last, EPOCH + 2, Some(9)).await.unwrap();
        let head = writer.head().await.unwrap();
        assert_eq!((head.epoch, head.value), (EPOCH, Some(3)));
    }
    assert_eq!(
        values(&read(&mut *reader_after(&log, 0).await, 3).await),
        [1, 2, 3]
    );
}

pub async fn of_epochs_that_begin_at_once_one_does(log: Arc<dyn Log>) {
    let begin = async |epoch: u64| {
        let mut writer = log.writer().await.unwrap();
        writer.begin_epoch(None, epoch, Some(epoch)).await.unwrap();
        writer.head().await.unwrap()
    };
    let heads = join_all([EPOCH, EPOCH + 2, EPOCH + 1].map(begin)).await;
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
    assert_eq!(heads[0].value, Some(heads[0].epoch));
}

pub async fn an_epoch_begins_after_a_head(log: Arc<dyn Log>) {
    let mut writer = log.writer().await.unwrap();
    writer.begin_epoch(None, EPOCH, Some(40)).await.unwrap();
    let head = writer.head().await.unwrap();
    assert_eq!((head.value, head.floor), (Some(40), 41));
    let older = writer.append(EPOCH, &[frame(38, 39)]).await.unwrap();
    assert_eq!(older.head_before, Some(40));
    let error = writer.append(EPOCH, &[frame(None, 41)]).await.unwrap_err();
    assert!(
        matches!(error, LogError::NotNext { head: Some(40) }),
        "{error:?}"
    );
    writer.append(EPOCH, &[frame(40, 45)]).await.unwrap();
    let head = writer.head().await.unwrap();
    assert_eq!((head.value, head.floor), (Some(45), 41));
}

pub async fn an_epoch_removes_what_was_before(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=10)).await.unwrap();
    writer
        .begin_epoch(Some(EPOCH), EPOCH + 2, Some(4))
        .await
        .unwrap();
    let head = writer.head().await.unwrap();
    assert_eq!(
        (head.epoch, head.value, head.floor),
        (EPOCH + 2, Some(4), 5)
    );
    // The same values again, with other keys.
    writer
        .append(EPOCH + 2, &[frame(4, 6), frame(6, 8)])
        .await
        .unwrap();
    let mut reader = log.reader().await.unwrap();
    reader.seek(EPOCH + 2, Some(4)).await.unwrap();
    assert_eq!(read(&mut *reader, 2).await, [frame(4, 6), frame(6, 8)]);
}

pub async fn an_append_in_another_epoch_is_refused(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    let mut other = log.writer().await.unwrap();
    other
        .begin_epoch(Some(EPOCH), EPOCH + 1, Some(0))
        .await
        .unwrap();
    let errors = [
        writer.append(EPOCH, &frames(1..=1)).await.unwrap_err(),
        writer.compact(EPOCH, 1).await.unwrap_err(),
    ];
    for error in errors {
        let expected = matches!(error, LogError::EpochChanged { epoch } if epoch == EPOCH + 1);
        assert!(expected, "{error:?}");
    }
    assert_eq!(other.head().await.unwrap().value, Some(0));
}

pub async fn a_waiting_reader_learns_of_an_epoch(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=3)).await.unwrap();
    let mut reader = reader_after(&log, 0).await;
    read(&mut *reader, 3).await;
    let (epoch, begun) = join(
        ended(&mut *reader),
        writer.begin_epoch(Some(EPOCH), EPOCH + 1, Some(1)),
    )
    .await;
    begun.unwrap();
    assert_eq!(epoch, EPOCH + 1);
    let mut late = log.reader().await.unwrap();
    let sought = late.seek(EPOCH, Some(3)).await;
    let epoch = match sought {
        Err(LogError::EpochChanged { epoch }) => epoch,
        Ok(()) => ended(&mut *late).await,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(epoch, EPOCH + 1);
}

/// Reads until the epoch ends. Returns the next one.
async fn ended(reader: &mut dyn LogReader) -> u64 {
    loop {
        match reader.next().await {
            Ok(_) => {}
            Err(LogError::EpochChanged { epoch }) => return epoch,
            Err(error) => panic!("{error}"),
        }
    }
}
