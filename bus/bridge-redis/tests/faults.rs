//! A Redis that other programs change, and that fails.

mod server;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rangewatch_bridge::{
    AppendError, Appender, Backoff, FrameBuilder, Log, LogError, Outcome, Phase, Reader, Status,
    Writer,
};
use rangewatch_bridge_redis::{OpenError, RedisLog};
use rangewatch_bus::{History, RangeWatchBus, RecvError, Selector};

use server::{Server, block_on};

const BUS: &str = "test";

fn log(server: &Server) -> RedisLog {
    let log = RedisLog::builder(server.url(), BUS).unwrap();
    let log = log
        .block(Duration::from_millis(100))
        .timeout(Duration::from_millis(500));
    log.build().unwrap()
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(5), Duration::from_millis(50))
}

/// The stream of the emits.
fn stream(epoch: u64) -> String {
    format!("rangewatch:{{{BUS}}}:{epoch}")
}

/// Runs `work` with a log, and an emit of the values 1 to 3 on it.
fn with_log(options: &[&str], work: impl AsyncFnOnce(&mut Server, RedisLog, Writer)) {
    let Some(mut server) = Server::start(options) else {
        return;
    };
    block_on(async {
        let log = log(&server);
        let mut writer = Writer::open(log.clone()).await.unwrap();
        for value in 1..=3 {
            assert_eq!(
                writer.append(value, ["k"]).await.unwrap(),
                Outcome::Appended
            );
        }
        work(&mut server, log, writer).await;
    });
}

async fn reader(log: &RedisLog) -> Reader {
    Reader::builder(log.clone())
        .backoff(backoff())
        .open()
        .await
        .unwrap()
}

/// Polls a reader until `work` has ended.
async fn beside(reader: Reader, work: impl Future<Output = ()>) {
    tokio::select! {
        ended = reader.run() => panic!("the reader has ended: {ended:?}"),
        () = work => {}
    }
}

#[test]
fn a_foreign_entry_is_named_by_readers_and_stops_writers_until_it_is_removed() {
    with_log(&[], async |server, log, mut writer| {
        let stream = stream(writer.epoch());
        server.command(&["XADD", &stream, "3-7", "color", "red"]);
        let reader = reader(&log).await;
        let mut status = reader.status();
        let bus = reader.bus().clone();
        let mut events = bus.subscribe(Selector::all()).since(1).events(16).unwrap();
        beside(reader, async {
            for value in 1..=3 {
                assert_eq!(events.recv().await.unwrap().value(), value);
            }
            let found = status.until(|status| status.n_foreign == 1).await.unwrap();
            let error = found.last_error.unwrap();
            assert!(error.contains("3-7"), "{error}");
            status.until_live().await.unwrap();
            assert_eq!(status.get().lag(), 0);

            let error = writer.append(4, ["k"]).await.unwrap_err();
            let AppendError::Log(LogError::Foreign(entry)) = error else {
                panic!("{error:?}");
            };
            assert_eq!(entry.at, "3-7");
            assert!(entry.reason.contains("XDEL"), "{entry}");
            server.command(&["XDEL", &stream, "3-7"]);
            server.command(&["XSETID", &stream, "3-1"]);
            assert_eq!(writer.append(4, ["k"]).await.unwrap(), Outcome::Appended);
            assert_eq!(events.recv().await.unwrap().value(), 4);
            assert_eq!(status.get().n_gaps, 0);
        })
        .await;
    });
}

#[test]
fn an_entry_with_the_time_as_its_id_takes_no_emit_for_an_old_one() {
    with_log(&[], async |server, log, mut writer| {
        let stream = stream(writer.epoch());
        let frame = FrameBuilder::new(Some(3), 4).finish();
        let foreign = [("*", "k", "garbage"), ("99999999999999-*", "p", "a part")];
        let more = [
            ("99999999999999-8", "k", "an end"),
            ("99999999999999-9", "k", ""),
        ];
        for (id, field, bytes) in foreign.into_iter().chain(more) {
            server.command(&["XADD", &stream, id, field, bytes]);
            let error = writer.append(4, ["k"]).await.unwrap_err();
            assert!(
                matches!(error, AppendError::Log(LogError::Foreign(_))),
                "{error:?}"
            );
            let mut raw = log.writer().await.unwrap();
            let error = raw
                .append(writer.epoch(), std::slice::from_ref(&frame))
                .await;
            assert!(matches!(error, Err(LogError::Foreign(_))), "{error:?}");
        }
        // A reader has the emits that there are, and no head of another program.
        let head = log.reader().await.unwrap().head().await.unwrap();
        assert_eq!(head.value, Some(3));
        let reader = reader(&log).await;
        let mut status = reader.status();
        beside(reader, async {
            let status = status
                .until(|status| status.phase == Phase::Live)
                .await
                .unwrap();
            assert_eq!((status.position, status.n_foreign), (Some(3), 4));
        })
        .await;
    });
}

#[test]
fn g07_entries_that_were_deleted_are_reported() {
    with_log(&[], async |server, log, mut writer| {
        let stream = stream(writer.epoch());
        for value in 4..=6 {
            writer.append(value, ["k"]).await.unwrap();
        }
        server.command(&["XDEL", &stream, "4-1", "5-1"]);
        let reader = reader(&log).await;
        let mut events = reader
            .bus()
            .subscribe(Selector::all())
            .since(1)
            .events(16)
            .unwrap();
        let bus = reader.bus().clone();
        beside(reader, async {
            for value in 1..=3 {
                assert_eq!(events.recv().await.unwrap().value(), value);
            }
            let end = events.recv().await.unwrap_err();
            assert!(
                matches!(end, RecvError::Compacted { floor: 6, .. }),
                "{end:?}"
            );
            let mut rest = bus.subscribe(Selector::all()).since(6).events(16).unwrap();
            assert_eq!(rest.recv().await.unwrap().value(), 6);
        })
        .await;
    });
}

#[test]
fn g07_a_stream_that_was_trimmed_to_nothing_under_a_reader_is_reported() {
    with_log(&[], async |server, log, mut writer| {
        let stream = stream(writer.epoch());
        let reader = reader(&log).await;
        let bus = reader.bus().clone();
        let mut events = bus.subscribe(Selector::all()).since(1).events(16).unwrap();
        // The reader does not run yet.
        writer.append(4, ["k"]).await.unwrap();
        server.command(&["XTRIM", &stream, "MAXLEN", "0"]);
        assert_eq!(writer.append(4, ["k"]).await.unwrap(), Outcome::Duplicate);
        beside(reader, async {
            let end = events.recv().await.unwrap_err();
            assert!(
                matches!(end, RecvError::Compacted { floor: 5, .. }),
                "{end:?}"
            );
            writer.append(5, ["k"]).await.unwrap();
            let mut rest = bus.subscribe(Selector::all()).since(5).events(16).unwrap();
            assert_eq!(rest.recv().await.unwrap().value(), 5);
        })
        .await;
    });
}

#[test]
fn g07_a_server_that_was_flushed_is_missing_and_then_another_epoch() {
    with_log(&[], async |server, log, mut writer| {
        let epoch = writer.epoch();
        let reader = reader(&log).await;
        let mut status = reader.status();
        let mut events = reader
            .bus()
            .subscribe(Selector::all())
            .since(1)
            .events(16)
            .unwrap();
        beside(reader, async {
            status.until_live().await.unwrap();
            server.command(&["FLUSHALL"]);
            status
                .until(|status| status.phase == Phase::Missing)
                .await
                .unwrap();
            let error = writer.append(4, ["k"]).await.unwrap_err();
            let AppendError::Log(LogError::EpochChanged { epoch: next }) = error else {
                panic!("{error:?}");
            };
            assert!(next > epoch);
            assert_eq!(writer.append(4, ["k"]).await.unwrap(), Outcome::Appended);
            for value in 1..=3 {
                assert_eq!(events.recv().await.unwrap().value(), value);
            }
            let end = events.recv().await.unwrap_err();
            assert!(
                matches!(end, RecvError::Compacted { epoch, .. } if epoch == next),
                "{end:?}"
            );
        })
        .await;
    });
}

#[test]
fn an_appender_appends_again_what_the_server_has_lost() {
    with_log(&[], async |server, log, writer| {
        let stream = stream(writer.epoch());
        let bus = RangeWatchBus::builder()
            .history(History::events(100))
            .build()
            .unwrap();
        for value in 1..=9 {
            bus.emit(value, ["k"]).unwrap();
        }
        let appender = Appender::builder(log.clone(), &bus).backoff(backoff());
        let appender = appender
            .check_every(Duration::from_millis(20))
            .build()
            .unwrap();
        let mut status = appender.status();
        let appended = |n| move |status: &Status| status.position == Some(9) && status.n_emits == n;
        let work = async {
            status.until(appended(6)).await.unwrap();
            // As a failover to a replica that lacks the end.
            server.command(&["XDEL", &stream, "8-1", "9-1"]);
            server.command(&["XSETID", &stream, "7-1"]);
            status.until(appended(8)).await.unwrap();
            let head = log.reader().await.unwrap().head().await.unwrap();
            assert_eq!(head.value, Some(9));
        };
        tokio::select! {
            ended = appender.run() => panic!("the appender has ended: {ended:?}"),
            () = work => {}
        }
    });
}

#[test]
fn a_writer_says_what_the_server_has_lost() {
    with_log(&[], async |server, _, mut writer| {
        let stream = stream(writer.epoch());
        server.command(&["XDEL", &stream, "2-1", "3-1"]);
        server.command(&["XSETID", &stream, "1-1"]);
        let error = writer.append(4, ["k"]).await.unwrap_err();
        assert!(
            matches!(error, AppendError::Rewound { head: Some(1) }),
            "{error:?}"
        );
        let outcomes = writer
            .append_many((2..=4).map(|value| (value, ["k"])))
            .await
            .unwrap();
        assert_eq!(outcomes, [Outcome::Appended; 3]);
    });
}

#[test]
fn a_server_that_does_not_answer_is_away() {
    with_log(&[], async |server, log, mut writer| {
        let reader = reader(&log).await;
        let mut status = reader.status();
        let mut events = reader
            .bus()
            .subscribe(Selector::all())
            .since(4)
            .events(16)
            .unwrap();
        beside(reader, async {
            status.until_live().await.unwrap();
            server.signal("STOP");
            status
                .until(|status| status.phase == Phase::Disconnected)
                .await
                .unwrap();
            let error = writer.append(4, ["k"]).await.unwrap_err();
            assert!(
                matches!(error, AppendError::Log(LogError::Unavailable(_))),
                "{error:?}"
            );
            server.signal("CONT");
            status.until_live().await.unwrap();
            // The first attempt may have been appended when the server continued.
            let outcome = loop {
                match writer.append(4, ["k"]).await {
                    Ok(outcome) => break outcome,
                    Err(error) => {
                        let away = matches!(error, AppendError::Log(LogError::Unavailable(_)));
                        assert!(away, "{error:?}");
                    }
                }
            };
            assert_ne!(outcome, Outcome::Older);
            assert_eq!(events.recv().await.unwrap().value(), 4);
            assert_eq!(status.get().n_gaps, 0);
        })
        .await;
    });
}

#[test]
fn a_server_that_restarts_is_found_again() {
    with_log(&["--appendonly", "yes"], async |server, log, mut writer| {
        let reader = reader(&log).await;
        let mut status = reader.status();
        let mut events = reader
            .bus()
            .subscribe(Selector::all())
            .since(1)
            .events(16)
            .unwrap();
        beside(reader, async {
            status.until_live().await.unwrap();
            server.kill();
            status
                .until(|status| status.phase == Phase::Disconnected)
                .await
                .unwrap();
            let error = writer.append(4, ["k"]).await.unwrap_err();
            assert!(
                matches!(error, AppendError::Log(LogError::Unavailable(_))),
                "{error:?}"
            );
            server.restart();
            assert_eq!(writer.append(4, ["k"]).await.unwrap(), Outcome::Appended);
            for value in 1..=4 {
                assert_eq!(events.recv().await.unwrap().value(), value);
            }
            let status = status.get();
            assert_eq!((status.n_connects, status.n_gaps), (2, 0));
        })
        .await;
    });
}

#[test]
fn a_server_without_memory_is_waited_for() {
    let Some(server) = Server::start(&[]) else {
        return;
    };
    block_on(async {
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        let error = Writer::open(log(&server)).await.map(drop).unwrap_err();
        assert!(
            matches!(error, AppendError::Log(LogError::Unavailable(_))),
            "{error:?}"
        );
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        Writer::open(log(&server)).await.unwrap();
    });
}

#[test]
fn what_cannot_work_is_refused() {
    let Some(server) = Server::start(&["--requirepass", "secret"]) else {
        return;
    };
    block_on(async {
        let error = Writer::open(log(&server)).await.map(drop).unwrap_err();
        assert!(
            matches!(error, AppendError::Log(LogError::Refused(_))),
            "{error:?}"
        );
        let url = format!("redis://:wrong@127.0.0.1:{}/", server.port());
        let wrong: Arc<dyn Log> = Arc::new(RedisLog::new(url, BUS).unwrap());
        let error = Reader::builder(wrong).open().await.map(drop).unwrap_err();
        assert!(error.to_string().contains("refuses"), "{error}");
        let url = format!("redis://:secret@127.0.0.1:{}/", server.port());
        Writer::open(RedisLog::new(url, BUS).unwrap())
            .await
            .unwrap();
    });
    with_log(&[], async |server, log, mut writer| {
        let reader = reader(&log).await;
        let stream = stream(writer.epoch());
        server.command(&["DEL", &stream]);
        server.command(&["SET", &stream, "a text"]);
        let error = writer.append(4, ["k"]).await.unwrap_err();
        assert!(
            matches!(error, AppendError::Log(LogError::Refused(_))),
            "{error:?}"
        );
        let bus = reader.bus().clone();
        let error = pin!(reader.run()).await.unwrap_err();
        assert!(error.to_string().contains("refuses"), "{error}");
        assert!(
            bus.close_reason().unwrap().contains("WRONGTYPE"),
            "{:?}",
            bus.close_reason()
        );
    });
    assert!(matches!(
        RedisLog::new("http://host/", BUS),
        Err(OpenError::Url(_))
    ));
    assert!(matches!(
        RedisLog::new("redis://host/", ""),
        Err(OpenError::EmptyName)
    ));
    let log = RedisLog::builder("redis://host/", BUS)
        .unwrap()
        .read_entries(0)
        .build();
    assert!(matches!(log, Err(OpenError::ZeroBound)));
}

#[test]
fn a_log_does_not_show_its_password() {
    let log = RedisLog::new("redis://:secret@localhost/", BUS).unwrap();
    assert!(!format!("{log:?}").contains("secret"));
}
