//! Readers, appenders and writers over the log.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{Either, join, join_all, select};
use rangewatch_bus::{
    EventSubscription, History, RangeWatchBus, RecvError, Selector, SubscribeError,
};

use super::{EPOCH, begun, frames};
use crate::{
    AppendError, Appender, BytesPayloads, Log, LogError, Outcome, Reader, Start, Status, Writer,
};

pub async fn g01_a_bus_gets_what_another_bus_emits(log: Arc<dyn Log>) {
    let (source, appender) = source(&log);
    let work = async {
        let reader = Reader::builder(Arc::clone(&log)).open().await.unwrap();
        let bus = reader.bus().clone();
        let mut all = bus
            .subscribe(Selector::all())
            .since(0)
            .events(1000)
            .unwrap();
        let mut odd = bus.subscribe(Selector::key("odd")).events(1000).unwrap();
        let work = async {
            for value in 1..=500 {
                let parity = ["even", "odd"][value as usize % 2];
                source.emit(value, [parity, "x"]).unwrap();
            }
            for value in 1..=500 {
                let event = all.recv().await.unwrap();
                assert_eq!((event.value(), event.keys().count()), (value, 2));
            }
            for value in (1..=500).step_by(2) {
                let event = odd.recv().await.unwrap();
                assert_eq!(event.value(), value);
                assert!(event.keys().eq([b"odd"]));
            }
        };
        beside(reader.run(), work).await;
    };
    beside(appender.run(), work).await;
}

pub async fn g07_subscriptions_end_when_the_log_was_trimmed_under_the_reader(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=10)).await.unwrap();
    let reader = Reader::builder(Arc::clone(&log)).open().await.unwrap();
    let bus = reader.bus().clone();
    let mut live = bus.subscribe(Selector::all()).events(16).unwrap();
    // The reader reads nothing while it does not run.
    let mut floor = 0;
    let mut head = 10;
    while floor < 20 {
        head += 1;
        writer.append(EPOCH, &frames(head..=head)).await.unwrap();
        floor = writer.compact(EPOCH, head).await.unwrap();
    }
    let work = async {
        let end = drain(&mut live).await;
        let RecvError::Compacted {
            floor: reported, ..
        } = end
        else {
            panic!("{end}");
        };
        assert_eq!(reported, floor);
        let mut rest = bus
            .subscribe(Selector::all())
            .since(floor)
            .events(4096)
            .unwrap();
        for value in floor..=head {
            assert_eq!(rest.recv().await.unwrap().value(), value);
        }
    };
    beside(reader.run(), work).await;
}

pub async fn g07_subscriptions_end_when_an_epoch_begins(log: Arc<dyn Log>) {
    let mut writer = Writer::open(Arc::clone(&log)).await.unwrap();
    for value in 1..=10 {
        writer.append(value, ["k"]).await.unwrap();
    }
    let first = writer.epoch();
    let reader = Reader::builder(Arc::clone(&log)).open().await.unwrap();
    let mut status = reader.status();
    let bus = reader.bus().clone();
    assert_eq!(bus.epoch(), Some(first));
    let mut live = bus.subscribe(Selector::all()).since(0).events(16).unwrap();
    let work = async {
        status
            .until(|status| status.position == Some(10))
            .await
            .unwrap();
        let epoch = writer.begin_epoch(Some(4)).await.unwrap();
        assert!(epoch > first);
        assert_eq!(
            drain(&mut live).await,
            RecvError::Compacted { floor: 5, epoch }
        );
        assert_eq!(bus.epoch(), Some(epoch));
        assert_eq!(
            writer.append(5, ["other"]).await.unwrap(),
            Outcome::Appended
        );
        let mut next = bus.subscribe(Selector::all()).since(5).events(16).unwrap();
        let event = next.recv().await.unwrap();
        assert_eq!(event.value(), 5);
        assert!(event.keys().eq([b"other"]));
        let old = bus
            .subscribe(Selector::all())
            .epoch(first)
            .since(5)
            .events(16);
        let expected = SubscribeError::Compacted { floor: 5, epoch };
        assert_eq!(old.unwrap_err(), expected);
    };
    beside(reader.run(), work).await;
}

pub async fn g08_a_reader_serves_the_past_from_the_floor_on(log: Arc<dyn Log>) {
    let mut writer = begun(&log).await;
    writer.append(EPOCH, &frames(1..=50)).await.unwrap();
    for (start, floor) in [
        (Start::Floor, 1),
        (Start::BeforeHead(20), 31),
        (Start::Head, 51),
    ] {
        let reader = Reader::builder(Arc::clone(&log))
            .start(start)
            .open()
            .await
            .unwrap();
        let mut status = reader.status();
        let bus = reader.bus().clone();
        let work = async {
            status
                .until(|status| status.position == Some(50))
                .await
                .unwrap();
            assert_eq!(bus.floor(), Some(floor));
            let below = bus.subscribe(Selector::all()).since(floor - 1).events(64);
            let epoch = EPOCH;
            assert_eq!(
                below.unwrap_err(),
                SubscribeError::Compacted { floor, epoch }
            );
            let mut events = bus
                .subscribe(Selector::all())
                .since(floor)
                .events(64)
                .unwrap();
            for value in floor..=50 {
                assert_eq!(events.recv().await.unwrap().value(), value);
            }
        };
        beside(reader.run(), work).await;
    }
}

pub async fn a_reader_begins_between_two_emits(log: Arc<dyn Log>) {
    let mut writer = Writer::open(Arc::clone(&log)).await.unwrap();
    for value in [10, 20, 30] {
        writer.append(value, ["k"]).await.unwrap();
    }
    for (n, first) in [(0, 40), (5, 30), (10, 30), (15, 20), (29, 10), (30, 10)] {
        let start = Start::BeforeHead(n);
        let reader = Reader::builder(Arc::clone(&log))
            .start(start)
            .open()
            .await
            .unwrap();
        let status = reader.status();
        let bus = reader.bus().clone();
        let mut events = bus
            .subscribe(Selector::all())
            .since(30 - n + 1)
            .events(16)
            .unwrap();
        let work = async {
            if first == 40 {
                writer.append(40, ["k"]).await.unwrap();
            }
            assert_eq!(
                events.recv().await.unwrap().value(),
                first,
                "{n} before the head"
            );
        };
        beside(reader.run(), work).await;
        assert_eq!(status.get().n_gaps, 0, "{n} before the head");
        if first == 40 {
            writer.begin_epoch(None).await.unwrap();
            for value in [10, 20, 30] {
                writer.append(value, ["k"]).await.unwrap();
            }
        }
    }
}

pub async fn g02_replicas_that_append_the_same_are_read_once(log: Arc<dyn Log>) {
    let replicas = [0, 1, 2].map(|_| source(&log));
    let (buses, appenders): (Vec<_>, Vec<_>) = replicas.into_iter().unzip();
    let mut statuses: Vec<_> = appenders.iter().map(Appender::status).collect();
    let appending = join_all(appenders.into_iter().map(Appender::run));
    let work = async {
        // Each is at another place.
        for value in 1..=200 {
            buses[0].emit(value, ["k"]).unwrap();
        }
        for value in 1..=100 {
            buses[1].emit(value, ["k"]).unwrap();
        }
        let reader = Reader::builder(Arc::clone(&log)).open().await.unwrap();
        let bus = reader.bus().clone();
        let mut all = bus
            .subscribe(Selector::all())
            .since(0)
            .events(1000)
            .unwrap();
        let work = async {
            for value in 1..=300 {
                if value > 200 {
                    buses[0].emit(value, ["k"]).unwrap();
                }
                if value > 100 {
                    buses[1].emit(value, ["k"]).unwrap();
                }
                buses[2].emit(value, ["k"]).unwrap();
            }
            for value in 1..=300 {
                assert_eq!(all.recv().await.unwrap().value(), value);
            }
        };
        beside(reader.run(), work).await;
        let mut n_emits = 0;
        for status in &mut statuses {
            let at_head = |status: &Status| status.position == Some(300);
            n_emits += status.until(at_head).await.unwrap().n_emits;
        }
        assert_eq!(n_emits, 300);
        buses.iter().for_each(RangeWatchBus::close);
    };
    let (ended, ()) = join(appending, work).await;
    ended.into_iter().for_each(|ended| ended.unwrap());
}

pub async fn g40_payloads_travel_with_their_keys(log: Arc<dyn Log>) {
    let mut writer = Writer::open_with(Arc::clone(&log), BytesPayloads)
        .await
        .unwrap();
    let entries = [
        ("a", Bytes::from("one")),
        ("b", Bytes::new()),
        ("c", Bytes::from(vec![9; 5000])),
    ];
    writer.append_with(1, entries.clone()).await.unwrap();
    let reader = Reader::builder(Arc::clone(&log))
        .payloads(BytesPayloads)
        .open()
        .await
        .unwrap();
    let bus = reader.bus().clone();
    let mut events = bus.subscribe("b"..).since(1).events(16).unwrap();
    let work = async {
        let event = events.recv().await.unwrap();
        let got: Vec<_> = event
            .entries()
            .map(|(key, payload)| (key, payload.clone()))
            .collect();
        let expected = entries[1..]
            .iter()
            .map(|(key, payload)| (key.as_bytes(), payload.clone()));
        assert_eq!(got, expected.collect::<Vec<_>>());
    };
    beside(reader.run(), work).await;
}

pub async fn an_appender_continues_where_the_log_ends(log: Arc<dyn Log>) {
    let (bus, first) = source(&log);
    for value in 1..=5 {
        bus.emit(value, ["k"]).unwrap();
    }
    let mut status = first.status();
    let reached = status.until(|status| status.position == Some(5));
    let Either::Right((Some(_), _)) = select(pin!(first.run()), pin!(reached)).await else {
        panic!("the appender has ended");
    };
    // It was dropped, and another one continues.
    for value in 6..=9 {
        bus.emit(value, ["k"]).unwrap();
    }
    let second = Appender::builder(Arc::clone(&log), &bus).build().unwrap();
    let status = second.status();
    bus.close();
    // The bus is closed and the log has nothing of the rest.
    let error = second.run().await.unwrap_err();
    assert!(
        matches!(
            error,
            AppendError::ClosedBehind {
                head: Some(5),
                bus: Some(9)
            }
        ),
        "{error:?}"
    );
    assert_eq!(status.get().n_emits, 0);
    let (bus, third) = source(&log);
    for value in 1..=9 {
        bus.emit(value, ["k"]).unwrap();
    }
    let mut status = third.status();
    let work = async {
        let status = status
            .until(|status| status.position == Some(9))
            .await
            .unwrap();
        assert_eq!((status.n_emits, status.n_repeated), (4, 0));
        bus.close();
    };
    let (ended, ()) = join(third.run(), work).await;
    ended.unwrap();
}

pub async fn an_appender_that_was_overtaken_says_so(log: Arc<dyn Log>) {
    let mut writer = Writer::open(Arc::clone(&log)).await.unwrap();
    writer.append(3, ["k"]).await.unwrap();
    let bus = RangeWatchBus::builder()
        .history(History::events(10))
        .build()
        .unwrap();
    for value in 1..=20 {
        bus.emit(value, ["k"]).unwrap();
    }
    let appender = Appender::builder(Arc::clone(&log), &bus).build().unwrap();
    let error = appender.run().await.unwrap_err();
    assert!(
        matches!(
            error,
            AppendError::Overtaken {
                head: Some(3),
                floor: 11
            }
        ),
        "{error:?}"
    );
    let appender = Appender::builder(Arc::clone(&log), &bus)
        .begin_epochs()
        .build()
        .unwrap();
    let mut status = appender.status();
    let work = async {
        status
            .until(|status| status.position == Some(20))
            .await
            .unwrap();
        let head = log.reader().await.unwrap().head().await.unwrap();
        assert!(head.epoch > writer.epoch());
        assert_eq!((head.value, head.floor), (Some(20), 11));
        bus.close();
    };
    let (ended, ()) = join(appender.run(), work).await;
    ended.unwrap();
}

pub async fn a_writer_continues_after_another(log: Arc<dyn Log>) {
    let mut first = Writer::open(Arc::clone(&log)).await.unwrap();
    let mut second = Writer::open(Arc::clone(&log)).await.unwrap();
    assert_eq!(first.append(5, ["a"]).await.unwrap(), Outcome::Appended);
    let outcomes = second
        .append_many([(4, ["b"]), (5, ["b"]), (6, ["b"]), (9, ["b"])])
        .await;
    let expected = [
        Outcome::Older,
        Outcome::Duplicate,
        Outcome::Appended,
        Outcome::Appended,
    ];
    assert_eq!(outcomes.unwrap(), expected);
    assert_eq!(first.append(9, ["a"]).await.unwrap(), Outcome::Duplicate);
    assert_eq!(first.append(10, ["a"]).await.unwrap(), Outcome::Appended);
    assert_eq!(
        second.compact(7).await.unwrap().min(10),
        second.compact(7).await.unwrap()
    );
    let epoch = first.begin_epoch(Some(2)).await.unwrap();
    let error = second.append(11, ["b"]).await.unwrap_err();
    assert!(
        matches!(error, AppendError::Log(LogError::EpochChanged { epoch: new }) if new == epoch),
        "{error:?}"
    );
    assert_eq!(second.append(3, ["b"]).await.unwrap(), Outcome::Appended);
}

fn source(log: &Arc<dyn Log>) -> (RangeWatchBus, Appender) {
    let bus = RangeWatchBus::builder()
        .history(History::events(10_000))
        .build()
        .unwrap();
    let appender = Appender::builder(Arc::clone(log), &bus).build().unwrap();
    (bus, appender)
}

/// Receives until the end. Returns it.
async fn drain(events: &mut EventSubscription) -> RecvError {
    loop {
        if let Err(end) = events.recv().await {
            return end;
        }
    }
}

/// Polls `background`, which does not end, until `work` has ended.
async fn beside<T: std::fmt::Debug>(
    background: impl Future<Output = T>,
    work: impl Future<Output = ()>,
) {
    match select(pin!(background), pin!(work)).await {
        Either::Left((ended, _)) => panic!("it has ended: {ended:?}"),
        Either::Right(((), _)) => {}
    }
}
