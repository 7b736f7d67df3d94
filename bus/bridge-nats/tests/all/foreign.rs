//! Messages of other programs on the subject of a log.

use async_nats::jetstream;
use rangewatch_bridge::{Log, LogError, LogItem};
use rangewatch_bridge_nats::async_nats;

use crate::server::{
    EPOCH, Program, Server, begun, block_on, frames, read_to, read_until, reader_after,
    stream_name, subject,
};

on_each_server! {
    a_reader_names_the_message_of_another_program_and_goes_on,
    a_writer_refuses_to_follow_the_message_of_another_program,
    positions_are_found_among_messages_that_were_removed,
    a_stream_with_other_messages_only_is_missing,
}

/// Publishes as another program does. Returns the sequence.
async fn publish(server: &Server, body: impl Into<Vec<u8>>) -> u64 {
    let context = jetstream::new(server.client().await);
    let body: Vec<u8> = body.into();
    let stored = context.publish(subject(), body.into()).await.unwrap();
    let stored = stored.await.unwrap();
    assert_eq!(stored.stream, stream_name());
    stored.sequence
}

fn a_reader_names_the_message_of_another_program_and_goes_on(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
        let mut reader = reader_after(&log, 0).await;
        assert_eq!(read_to(&mut *reader, 3).await, [1, 2, 3]);
        let bodies = [&b""[..], b"\xB2 not this", b"{}", &[0xB2; 200]];
        let mut places = Vec::new();
        for body in bodies {
            places.push(publish(&server, body).await);
        }
        // A head is never taken from such a message.
        let head = reader.head().await.unwrap();
        assert_eq!((head.epoch, head.value, head.floor), (EPOCH, Some(3), 1));
        let is_last = |item: &LogItem| {
            let last = places[3].to_string();
            matches!(item, LogItem::Foreign(entry) if entry.at == last)
        };
        let items = read_until(&mut *reader, is_last).await;
        let named = items.iter().filter_map(|item| match item {
            LogItem::Foreign(entry) => Some(entry),
            _ => None,
        });
        for (entry, place) in named.zip(&places) {
            assert_eq!(entry.at, place.to_string());
            let hint = format!("nats stream rmm {} {place}", stream_name());
            assert!(entry.reason.contains(&hint), "{entry}");
        }
        // Removed, it is passed over without a report.
        let stream = server.stream().await;
        for place in &places[1..] {
            stream.delete_message(*place).await.unwrap();
        }
        stream.delete_message(places[0]).await.unwrap();
        writer.append(EPOCH, &frames(4..=5)).await.unwrap();
        assert_eq!(read_to(&mut *reader, 5).await, [4, 5]);
        let mut late = reader_after(&log, 0).await;
        assert_eq!(read_to(&mut *late, 5).await, [1, 2, 3, 4, 5]);
    });
}

fn a_writer_refuses_to_follow_the_message_of_another_program(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
        publish(&server, "one").await;
        let place = publish(&server, "two").await;
        let mut other = log.writer().await.unwrap();
        // One has seen the end before, the other has not.
        let errors = [
            writer.append(EPOCH, &frames(4..=4)).await.unwrap_err(),
            other.append(EPOCH, &frames(4..=4)).await.unwrap_err(),
            other.head().await.unwrap_err(),
        ];
        let stream = server.stream().await;
        for error in errors {
            let LogError::Foreign(entry) = error else {
                panic!("{error:?}");
            };
            assert_eq!(entry.at, place.to_string());
        }
        for place in [place, place - 1] {
            stream.delete_message(place).await.unwrap();
        }
        writer.append(EPOCH, &frames(4..=4)).await.unwrap();
        other.append(EPOCH, &frames(1..=5)).await.unwrap();
        assert_eq!(other.head().await.unwrap().value, Some(5));
        // In the middle it is only reported.
        publish(&server, "three").await;
        let mut last = log.writer().await.unwrap();
        last.begin_epoch(Some(EPOCH), EPOCH + 1, Some(5))
            .await
            .unwrap();
        let head = last.head().await.unwrap();
        assert_eq!(
            (head.epoch, head.value, head.floor),
            (EPOCH + 1, Some(5), 6)
        );
    });
}

fn positions_are_found_among_messages_that_were_removed(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut writer = begun(&log).await;
        let mut places = Vec::new();
        for value in 1..=40 {
            writer.append(EPOCH, &frames(value..=value)).await.unwrap();
            for _ in 0..value % 4 {
                places.push(publish(&server, "no").await);
            }
            // In the way of the writer.
            let stream = server.stream().await;
            for place in places.drain(..) {
                stream.delete_message(place).await.unwrap();
            }
        }
        for after in 0..40 {
            let mut reader = reader_after(&log, after).await;
            let values = read_to(&mut *reader, 40).await;
            assert!(values.into_iter().eq(after + 1..=40), "after {after}");
        }
        assert_eq!(writer.compact(EPOCH, 20).await.unwrap(), 20);
        let mut reader = reader_after(&log, 19).await;
        assert!(read_to(&mut *reader, 40).await.into_iter().eq(20..=40));
    });
}

fn a_stream_with_other_messages_only_is_missing(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        server.create_stream(Default::default()).await;
        publish(&server, "early").await;
        let log = server.log();
        let mut reader = log.reader().await.unwrap();
        let mut writer = log.writer().await.unwrap();
        for error in [reader.head().await, writer.head().await] {
            assert!(matches!(error, Err(LogError::Missing)), "{error:?}");
        }
        // The stream may have been made by hand.
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=2)).await.unwrap();
        let mut reader = reader_after(&log, 0).await;
        assert_eq!(read_to(&mut *reader, 2).await, [1, 2]);
    });
}
