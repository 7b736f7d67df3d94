//! Streams that are deleted, and made again.

use async_nats::jetstream;
use rangewatch_bridge::{Log, LogError};
use rangewatch_bridge_nats::async_nats;

use crate::server::{
    EPOCH, Program, Server, begun, block_on, frame, frames, read_error, read_to, reader_after,
    stream_name,
};

on_each_server! {
    a_reader_learns_that_the_stream_was_deleted,
    a_reader_learns_that_the_stream_was_made_again,
    a_writer_learns_that_the_stream_was_deleted,
    the_end_of_an_old_epoch_that_was_not_removed_is_skipped,
}

async fn delete(server: &Server) {
    let context = jetstream::new(server.client().await);
    context.delete_stream(stream_name()).await.unwrap();
}

fn a_reader_learns_that_the_stream_was_deleted(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
        let mut waiting = reader_after(&log, 3).await;
        let mut idle = reader_after(&log, 0).await;
        let (error, ()) = tokio::join!(read_error(&mut *waiting), delete(&server));
        assert!(matches!(error, LogError::Missing), "{error:?}");
        let error = read_error(&mut *idle).await;
        assert!(matches!(error, LogError::Missing), "{error:?}");
        let error = waiting.seek(EPOCH, Some(3)).await.unwrap_err();
        assert!(matches!(error, LogError::Missing), "{error:?}");
    });
}

fn a_reader_learns_that_the_stream_was_made_again(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        for (epoch, n) in [(EPOCH + 1, 0), (EPOCH + 1, 9), (EPOCH, 0), (EPOCH, 9)] {
            let mut writer = begun(&log).await;
            writer.append(EPOCH, &frames(1..=3)).await.unwrap();
            let mut waiting = reader_after(&log, 0).await;
            assert_eq!(read_to(&mut *waiting, 3).await, [1, 2, 3]);
            delete(&server).await;
            let mut writer = log.writer().await.unwrap();
            writer.begin_epoch(None, epoch, Some(3)).await.unwrap();
            for value in 4..4 + n {
                writer.append(epoch, &frames(value..=value)).await.unwrap();
            }
            let error = read_error(&mut *waiting).await;
            let is_reported = match error {
                LogError::EpochChanged { epoch: told } => told == epoch && epoch != EPOCH,
                // By another connection it is read from where it is.
                LogError::Unavailable(_) => epoch == EPOCH,
                _ => false,
            };
            assert!(is_reported, "{error:?} for {epoch} and {n}");
            delete(&server).await;
        }
    });
}

fn a_writer_learns_that_the_stream_was_deleted(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
        delete(&server).await;
        let error = writer.append(EPOCH, &frames(4..=4)).await.unwrap_err();
        assert!(matches!(error, LogError::Missing), "{error:?}");
        // As many messages as before, of another epoch.
        let mut writer = log.writer().await.unwrap();
        writer.begin_epoch(None, EPOCH, Some(0)).await.unwrap();
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
        delete(&server).await;
        let mut other = log.writer().await.unwrap();
        other.begin_epoch(None, EPOCH + 1, Some(0)).await.unwrap();
        other.append(EPOCH + 1, &[frame(0, 100)]).await.unwrap();
        other.append(EPOCH + 1, &[frame(100, 200)]).await.unwrap();
        let error = writer.append(EPOCH, &frames(4..=4)).await.unwrap_err();
        assert!(
            matches!(error, LogError::EpochChanged { epoch } if epoch == EPOCH + 1),
            "{error:?}"
        );
    });
}

fn the_end_of_an_old_epoch_that_was_not_removed_is_skipped(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        // The rest of an epoch stays, as if its writer was killed before the purge.
        let config = jetstream::stream::Config {
            deny_purge: true,
            ..Default::default()
        };
        server.create_stream(config).await;
        let log = server.log();
        let mut writer = begun(&log).await;
        for value in 1..=9 {
            writer.append(EPOCH, &frames(value..=value)).await.unwrap();
        }
        let mut reader = reader_after(&log, 5).await;
        writer
            .begin_epoch(Some(EPOCH), EPOCH + 1, Some(4))
            .await
            .unwrap();
        let head = writer.head().await.unwrap();
        assert_eq!(
            (head.epoch, head.value, head.floor),
            (EPOCH + 1, Some(4), 5)
        );
        writer
            .append(EPOCH + 1, &[frame(4, 6), frame(6, 7)])
            .await
            .unwrap();
        // A reader of the old epoch reads it to its end.
        assert_eq!(read_to(&mut *reader, 9).await, [6, 7, 8, 9]);
        let error = read_error(&mut *reader).await;
        assert!(
            matches!(error, LogError::EpochChanged { epoch } if epoch == EPOCH + 1),
            "{error:?}"
        );
        let head = reader.head().await.unwrap();
        assert_eq!((head.value, head.floor), (Some(7), 5));
        reader.seek(EPOCH + 1, Some(4)).await.unwrap();
        assert_eq!(read_to(&mut *reader, 7).await, [6, 7]);
        reader.seek(EPOCH + 1, Some(6)).await.unwrap();
        assert_eq!(read_to(&mut *reader, 7).await, [7]);
        let error = reader.seek(EPOCH + 1, Some(3)).await.unwrap_err();
        assert!(
            matches!(error, LogError::Compacted { floor: 5 }),
            "{error:?}"
        );
    });
}
