//! Servers that are killed, and servers that are silent.

use std::time::{Duration, Instant};

use rangewatch_bridge::{Appender, Log, LogError, LogItem, Reader};
use rangewatch_bus::{History, RangeWatchBus, Selector};

use crate::server::{
    DEADLINE, EPOCH, Program, Server, any, begun, block_on, frames, read_error, read_to,
    reader_after,
};

on_each_server! {
    a_connection_ends_with_its_server_and_sends_nothing_later,
    a_killed_server_keeps_a_prefix_and_the_rest_is_appended_again,
    a_server_that_is_killed_during_appends_keeps_a_prefix,
    g03_a_bus_gets_every_emit_across_kills,
    a_silent_server_counts_as_away,
    a_paused_server_is_read_on,
}

fn a_connection_ends_with_its_server_and_sends_nothing_later(program: Program) {
    let Some(mut server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
        let mut reader = reader_after(&log, 0).await;
        assert_eq!(read_to(&mut *reader, 3).await, [1, 2, 3]);
        server.kill();
        let begun = Instant::now();
        assert_unavailable(read_error(&mut *reader).await);
        assert_unavailable(writer.append(EPOCH, &frames(4..=4)).await.unwrap_err());
        // The connection is known to be lost: nothing waits for a time to pass.
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
        server.restart();
        let end = server.stream().await.cached_info().state.last_sequence;
        // The old connections do not come back, and what was given to them is not sent.
        assert_unavailable(writer.append(EPOCH, &frames(4..=4)).await.unwrap_err());
        assert_unavailable(writer.head().await.unwrap_err());
        assert_unavailable(reader.head().await.unwrap_err());
        assert_unavailable(read_error(&mut *reader).await);
        assert_eq!(server.stream().await.cached_info().state.last_sequence, end);
        drop(log.writer().await.unwrap());
    });
}

fn a_killed_server_keeps_a_prefix_and_the_rest_is_appended_again(program: Program) {
    let Some(mut server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        drop(begun(&log).await);
        for end in (10..=50).step_by(10) {
            let mut writer = log.writer().await.unwrap();
            writer.append(EPOCH, &frames(1..=end)).await.unwrap();
            server.kill();
            server.restart();
            let head = log.reader().await.unwrap().head().await.unwrap();
            assert_eq!((head.epoch, head.floor), (EPOCH, 1));
            assert!(head.value <= Some(end), "{head:?}");
        }
        let mut writer = log.writer().await.unwrap();
        writer.append(EPOCH, &frames(1..=60)).await.unwrap();
        let mut reader = reader_after(&log, 0).await;
        assert!(read_to(&mut *reader, 60).await.into_iter().eq(1..=60));
    });
}

fn a_server_that_is_killed_during_appends_keeps_a_prefix(program: Program) {
    let Some(mut server) = program.start() else {
        return;
    };
    block_on(async {
        // Large batches are many messages.
        let log = server.builder().message_bytes(200).build().unwrap();
        drop(begun(&log).await);
        let mut n_begun = 0;
        for round in 1..=5 {
            let mut writer = log.writer().await.unwrap();
            let head = writer.head().await.unwrap().value.unwrap();
            let watch = log.reader().await.unwrap();
            let emits = frames(1..=head + 5000);
            let appending = writer.append(EPOCH, &emits);
            let killing = kill_when_above(&mut server, watch, head + 100 * round);
            let (appended, ()) = tokio::join!(appending, killing);
            assert_unavailable(appended.unwrap_err());
            server.restart();
            n_begun = head;
        }
        let mut writer = log.writer().await.unwrap();
        let head = writer.head().await.unwrap().value.unwrap();
        assert!(head >= n_begun, "{head}");
        writer.append(EPOCH, &frames(1..=head + 1)).await.unwrap();
        let mut reader = reader_after(&log, 0).await;
        let values = read_to(&mut *reader, head + 1).await;
        assert!(values.into_iter().eq(1..=head + 1));
    });
}

/// Kills a server as soon as the log has more than a value.
async fn kill_when_above(
    server: &mut Server,
    mut reader: Box<dyn rangewatch_bridge::LogReader>,
    value: u64,
) {
    while reader.head().await.unwrap().value <= Some(value) {}
    server.kill();
}

fn g03_a_bus_gets_every_emit_across_kills(program: Program) {
    let Some(mut server) = program.start() else {
        return;
    };
    block_on(async {
        let source = RangeWatchBus::builder().history(History::events(100_000));
        let source = source.build().unwrap();
        let log = any(server.log());
        let appender = Appender::builder(log.clone(), &source).build().unwrap();
        let mut appended = appender.status();
        let appending = tokio::spawn(appender.run());
        let reader = Reader::builder(log).open().await.unwrap();
        let mut status = reader.status();
        let bus = reader.bus().clone();
        tokio::spawn(reader.run());
        let mut all = bus
            .subscribe(Selector::all())
            .since(0)
            .events(100_000)
            .unwrap();
        let mut last = 0;
        for round in 1..=5_u64 {
            // Some before, some while it is away.
            for value in last + 1..=last + 100 {
                source.emit(value, ["k"]).unwrap();
            }
            let before = last + 20 * round;
            status
                .until(|status| status.position >= Some(before))
                .await
                .unwrap();
            server.kill();
            for value in last + 101..=last + 200 {
                source.emit(value, ["k"]).unwrap();
            }
            last += 200;
            server.restart();
        }
        for value in 1..=last {
            assert_eq!(all.recv().await.unwrap().value(), value);
        }
        let status = status.get();
        assert_eq!(
            (status.n_gaps, status.n_epochs, status.n_foreign),
            (0, 0, 0)
        );
        assert!(status.n_connects > 1);
        appended
            .until(|status| status.position == Some(last))
            .await
            .unwrap();
        source.close();
        appending.await.unwrap().unwrap();
    });
}

fn a_silent_server_counts_as_away(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server
            .builder()
            .timeout(Duration::from_millis(500))
            .build()
            .unwrap();
        let mut writer = begun(&log).await;
        writer.append(EPOCH, &frames(1..=3)).await.unwrap();
        let mut reader = reader_after(&log, 3).await;
        let mut sought = reader_after(&log, 0).await;
        assert_eq!(read_to(&mut *sought, 3).await, [1, 2, 3]);
        // Alive: a sign comes without an emit.
        for _ in 0..3 {
            let begun = Instant::now();
            let items = reader.next().await.unwrap();
            assert!(items.is_empty(), "{items:?}");
            assert!(begun.elapsed() < DEADLINE / 10, "{:?}", begun.elapsed());
        }
        let items = sought.next().await.unwrap();
        assert_eq!(items, [LogItem::Progress(3)]);
        server.signal("STOP");
        let begun = Instant::now();
        let next = frames(4..=4);
        let (read, sought, appended) = tokio::join!(
            read_error(&mut *reader),
            read_error(&mut *sought),
            writer.append(EPOCH, &next),
        );
        for error in [read, sought, appended.unwrap_err()] {
            assert_unavailable(error);
        }
        assert_unavailable(log.writer().await.map(drop).unwrap_err());
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
        server.signal("CONT");
        // Whether the append took effect was open, and a call may be repeated.
        let mut writer = log.writer().await.unwrap();
        writer.append(EPOCH, &frames(1..=4)).await.unwrap();
        let mut reader = reader_after(&log, 0).await;
        assert_eq!(read_to(&mut *reader, 4).await, [1, 2, 3, 4]);
    });
}

fn a_paused_server_is_read_on(program: Program) {
    let Some(server) = program.start() else {
        return;
    };
    block_on(async {
        let log = server.log();
        let mut writer = begun(&log).await;
        let mut reader = reader_after(&log, 0).await;
        for value in 1..=3 {
            server.signal("STOP");
            let next = frames(value..=value);
            let resume = async {
                // Both have asked, and wait for an answer.
                tokio::time::sleep(Duration::from_millis(50)).await;
                server.signal("CONT");
            };
            let (read, appended, ()) = tokio::join!(
                read_to(&mut *reader, value),
                writer.append(EPOCH, &next),
                resume
            );
            appended.unwrap();
            assert_eq!(read, [value]);
        }
    });
}

fn assert_unavailable(error: LogError) {
    assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
}
