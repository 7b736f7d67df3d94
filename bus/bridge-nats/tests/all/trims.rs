//! Streams that are trimmed by others.

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use futures::StreamExt as _;
use rangewatch_bridge::{Log, LogError};
use rangewatch_bridge_nats::{NatsLog, async_nats};

use crate::server::{
    EPOCH, Program, Server, begun, block_on, frame_of, frames, read_error, read_to, reader_after,
};

on_each_server! {
    g07_a_reader_that_a_limit_overtakes_is_reported_the_floor,
    g07_a_reader_that_a_purge_overtakes_is_reported_the_floor,
    a_trim_of_what_was_read_is_no_gap,
    the_rest_of_a_large_emit_is_not_read,
    a_log_that_has_aged_away_is_missing,
}

/// A log that keeps so many messages.
fn limited(server: &Server, max_messages: i64) -> NatsLog {
    let config = Config {
        max_messages,
        ..Default::default()
    };
    server.builder().stream(config).build().unwrap()
}

/// Waits until the questions of all readers have expired: then nothing is sent to them.
async fn until_nothing_is_asked(server: &Server) {
    let stream = server.stream().await;
    loop {
        let consumers = stream.consumers().map(|info| info.unwrap().num_waiting);
        if consumers.collect::<Vec<_>>().await.iter().all(|n| *n == 0) {
            return;
        }
    }
}

fn g07_a_reader_that_a_limit_overtakes_is_reported_the_floor(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = limited(&server, 5);
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=1)).await.unwrap();
        // One has read something, one has not, one will begin.
        let mut waiting = reader_after(&log, 0).await;
        assert_eq!(read_to(&mut *waiting, 1).await, [1]);
        let mut unread = reader_after(&log, 0).await;
        until_nothing_is_asked(&server).await;
        for value in 2..=20 {
            writer.append(EPOCH, &frames(value..=value)).await.unwrap();
        }
        // The message that begins the epoch is trimmed, too.
        let head = writer.head().await.unwrap();
        assert_eq!((head.epoch, head.value, head.floor), (EPOCH, Some(20), 16));
        for reader in [&mut waiting, &mut unread] {
            assert_floor(read_error(&mut **reader).await, 16);
            let again = reader.seek(EPOCH, Some(14)).await;
            assert_floor(again.unwrap_err(), 16);
            reader.seek(EPOCH, Some(15)).await.unwrap();
            assert!(read_to(&mut **reader, 20).await.into_iter().eq(16..=20));
        }
        let mut late = log.reader().await.unwrap();
        assert_floor(late.seek(EPOCH, None).await.unwrap_err(), 16);
    });
}

fn g07_a_reader_that_a_purge_overtakes_is_reported_the_floor(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut writer = begun(&log).await;
        let mut reader = reader_after(&log, 0).await;
        for value in 1..=10 {
            writer.append(EPOCH, &frames(value..=value)).await.unwrap();
        }
        let stream = server.stream().await;
        let last = stream.cached_info().state.last_sequence;
        stream.purge().sequence(last - 2).await.unwrap();
        assert_floor(read_error(&mut *reader).await, 8);
        // A single message in the middle: the emits around it do not follow each other.
        let mut reader = reader_after(&log, 7).await;
        stream.delete_message(last - 1).await.unwrap();
        assert_eq!(read_to(&mut *reader, 10).await, [8, 10]);
    });
}

fn a_trim_of_what_was_read_is_no_gap(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = limited(&server, 3);
        let mut writer = begun(&log).await;
        let mut reader = reader_after(&log, 0).await;
        for value in 1..=10 {
            writer.append(EPOCH, &frames(value..=value)).await.unwrap();
            assert_eq!(read_to(&mut *reader, value).await, [value]);
        }
        assert_eq!(writer.compact(EPOCH, 11).await.unwrap(), 10);
        writer.append(EPOCH, &frames(11..=12)).await.unwrap();
        assert_eq!(read_to(&mut *reader, 12).await, [11, 12]);
    });
}

fn the_rest_of_a_large_emit_is_not_read(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.builder().message_bytes(1000).build().unwrap();
        let mut writer = begun(&log).await;
        let emits = [
            frame_of(0, 1, 0),
            frame_of(1, 2, 5000),
            frame_of(2, 3, 5000),
        ];
        writer.append(EPOCH, &emits).await.unwrap();
        let mut reader = reader_after(&log, 1).await;
        let stream = server.stream().await;
        let first = stream.cached_info().state.first_sequence;
        // The beginning, 1, and some parts of 2.
        stream.purge().sequence(first + 4).await.unwrap();
        let head = writer.head().await.unwrap();
        assert_eq!((head.value, head.floor), (Some(3), 3));
        assert_floor(read_error(&mut *reader).await, 3);
        let mut reader = reader_after(&log, 2).await;
        assert_eq!(read_to(&mut *reader, 3).await, [3]);
        // Of everything but the last part of 3, too.
        let last = stream.get_info().await.unwrap().state.last_sequence;
        stream.purge().sequence(last).await.unwrap();
        let head = writer.head().await.unwrap();
        assert_eq!((head.value, head.floor), (Some(3), 4));
        let mut reader = reader_after(&log, 3).await;
        writer.append(EPOCH, &[frame_of(3, 4, 5000)]).await.unwrap();
        assert_eq!(read_to(&mut *reader, 4).await, [4]);
    });
}

fn a_log_that_has_aged_away_is_missing(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let config = Config {
            max_age: Duration::from_millis(300),
            duplicate_window: Duration::from_millis(200),
            ..Default::default()
        };
        let log = server.builder().stream(config).build().unwrap();
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
        let mut reader = reader_after(&log, 3).await;
        let error = read_error(&mut *reader).await;
        assert!(matches!(error, LogError::Missing), "{error:?}");
        let error = writer.head().await.unwrap_err();
        assert!(matches!(error, LogError::Missing), "{error:?}");
        let mut writer = log.writer().await.unwrap();
        writer.begin_epoch(None, EPOCH + 1, Some(3)).await.unwrap();
        assert_eq!(writer.head().await.unwrap().epoch, EPOCH + 1);
    });
}

fn assert_floor(error: LogError, floor: u64) {
    let is_it = matches!(error, LogError::Compacted { floor: told } if told == floor);
    assert!(is_it, "{error:?} and not {floor}");
}
