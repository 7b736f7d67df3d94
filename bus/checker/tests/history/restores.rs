//! Restores: nothing is received across one without notice.

use rangewatch_bus::{History, RangeWatchBus, RecvError, Selectors, Seq, TryRecvError};
use rangewatch_checker::{Checker, Delivery, Guarantee, Log, Violation};

use super::{event, passes, record, reports, seq, span, ten_emits};

const G07: Guarantee = Guarantee::G7NoSilentGap;

/// A trace of ten emits, a restore to the head 50 in epoch 1, and three more emits.
fn restored(selectors: impl Into<Selectors>, log_of: impl FnOnce(&Log)) -> Result<(), Violation> {
    let checker = ten_emits();
    let log = checker.subscribed(selectors, None, None);
    checker.restored(seq(11), 1, Some(50));
    (11..=13).for_each(|i| checker.emitted(seq(i), i * 10, ["a", "z"]));
    log_of(&log);
    checker.verify().map(drop)
}

/// The events of the first epoch.
fn events() -> Vec<Delivery> {
    (1..=10).filter(|i| *i != 4).map(event).collect()
}

const fn end(floor: u64, epoch: u64) -> Delivery {
    Delivery::Ended(RecvError::Compacted { floor, epoch })
}

/// The span of a restore.
fn everything(last_seq: u64, last: u64, count: u64) -> Delivery {
    Delivery::Span {
        first_seq: seq(1),
        last_seq: seq(last_seq),
        first: 0,
        last,
        count,
        is_conservative: true,
    }
}

fn then(deliveries: impl IntoIterator<Item = Delivery>) -> impl FnOnce(&Log) {
    record(events().into_iter().chain(deliveries))
}

#[test]
fn an_event_subscription_ends_at_a_restore_g07() {
    passes(restored(.."m", then([end(51, 1), end(51, 1)])));
    // What was left in the history is lost.
    passes(restored(.."m", record([event(1), end(51, 1)])));
    passes(restored(.."m", |log| {
        then([])(log);
        log.caught_up(Seq::new(10));
    }));
    for wrong in [end(51, 0), end(51, 2), end(111, 1), end(0, 1)] {
        reports(G07, restored(.."m", then([wrong])));
    }
    for goes_on in [event(11), span(11, 13, 3), span(10, 11, 2)] {
        reports(G07, restored(.."m", then([goes_on])));
    }
    reports(
        G07,
        restored(.."m", then([Delivery::Ended(RecvError::Closed)])),
    );
    reports(
        G07,
        restored(.."m", |log| {
            then([])(log);
            log.caught_up(Seq::new(11));
        }),
    );
    reports(
        Guarantee::G27Draining,
        restored(.."m", then([end(51, 1), event(11)])),
    );
    reports(
        Guarantee::G3Reliable,
        restored(.."m", record([event(1), event(3)])),
    );
}

#[test]
fn the_end_may_be_that_of_a_later_restore() {
    let ends = |ends: &[Delivery]| {
        let checker = ten_emits();
        let log = checker.subscribed(.., None, None);
        checker.restored(seq(11), 1, Some(50));
        checker.restored(seq(11), 2, None);
        record(ends.to_vec())(&log);
        checker.verify().map(drop)
    };
    passes(ends(&[end(51, 1), end(0, 2)]));
    passes(ends(&[end(0, 2), end(0, 2)]));
    reports(G07, ends(&[end(0, 1)]));
    reports(Guarantee::G27Draining, ends(&[end(0, 2), end(0, 1)]));
}

#[test]
fn a_wake_subscription_receives_a_span_of_everything_at_a_restore_g07() {
    let before = || span(1, 10, 9);
    // Of the restore, with what was pending, with what came after it.
    passes(restored(
        .."m",
        record([before(), everything(10, 50, 0), span(11, 13, 3)]),
    ));
    passes(restored(
        .."m",
        record([span(1, 7, 6), everything(10, 50, 3), span(11, 13, 3)]),
    ));
    passes(restored(
        .."m",
        record([before(), everything(12, 120, 2), span(13, 13, 1)]),
    ));
    passes(restored(.."m", record([everything(13, 130, 12)])));
    for log in [
        vec![before(), span(11, 13, 3)],
        vec![span(1, 11, 10)],
        vec![before(), everything(10, 50, 0), span(10, 11, 2)],
        vec![before(), Delivery::Ended(RecvError::Closed)],
    ] {
        reports(G07, restored(.."m", record(log)));
    }
    let exact = Guarantee::G13ExactSpan;
    for wrong in [
        everything(10, 50, 1),
        everything(10, 100, 0),
        everything(12, 120, 3),
        everything(12, 120, 1),
        everything(12, 50, 2),
    ] {
        reports(exact, restored(.."m", record([before(), wrong])));
    }
    reports(
        exact,
        restored(
            .."m",
            record([before(), everything(10, 50, 0), everything(10, 50, 0)]),
        ),
    );
    // Without a restore there is no reason for one.
    let checker = ten_emits();
    let log = checker.subscribed(.."m", None, None);
    log.record(everything(10, 100, 9));
    reports(exact, checker.verify().map(drop));
    reports(
        Guarantee::G3Reliable,
        restored(
            .."m",
            record([before(), everything(10, 50, 0), span(12, 13, 2)]),
        ),
    );
}

#[test]
fn what_watches_nothing_has_nothing_to_report() {
    let reserved = |log: &Log| log.selectors_set(seq(12), .."m");
    passes(restored(Selectors::new(), |log| {
        reserved(log);
        record([12, 13].map(event))(log);
        record([Delivery::Progress(130), Delivery::Ended(RecvError::Closed)])(log);
    }));
    passes(restored(Selectors::new(), |log| {
        reserved(log);
        log.record(span(12, 13, 2));
    }));
    // Opened before the restore, it is ended by it.
    reports(
        G07,
        restored(Selectors::new(), |log| {
            log.selectors_set(seq(9), .."m");
            record([event(9), event(10), event(11)])(log);
        }),
    );
}

#[test]
fn values_increase_from_the_head_of_a_restore_g01() {
    let values = |values: [u64; 2]| {
        let checker = ten_emits();
        checker.restored(seq(11), 0, Some(50));
        (11..)
            .zip(values)
            .for_each(|(i, value)| checker.emitted(seq(i), value, ["a"]));
        checker.verify().map(drop)
    };
    passes(values([51, 52]));
    reports(Guarantee::G1Ordered, values([50, 51]));
    reports(Guarantee::G1Ordered, values([52, 52]));
    let checker = ten_emits();
    checker.restored(seq(8), 1, Some(80));
    reports(Guarantee::G1Ordered, checker.verify().map(drop));
    let checker = ten_emits();
    checker.restored(seq(11), 1, None);
    checker.restored(seq(9), 2, None);
    reports(Guarantee::G1Ordered, checker.verify().map(drop));
}

#[test]
fn marks_and_floors_are_those_of_an_epoch() {
    let after = |record: &dyn Fn(&Log)| {
        let checker = ten_emits();
        checker.observed(Seq::new(10), Some(100), 60);
        checker.restored(seq(11), 1, Some(50));
        checker.emitted(seq(11), 55, ["a"]);
        let log = checker.subscribed(.., Seq::new(10), Seq::new(10));
        record(&log);
        checker.verify().map(drop)
    };
    let first = || super::deliveries::event_with(11, 55, &["a"]);
    passes(after(&|log| {
        record([Delivery::Progress(50), first(), Delivery::Progress(55)])(log)
    }));
    reports(
        Guarantee::G9Progress,
        after(&|log| record([first(), Delivery::Progress(56)])(log)),
    );
    passes(after(&|log| log.record(end(56, 1))));
    reports(G07, after(&|log| log.record(end(60, 1))));
    reports(G07, after(&|log| log.record(end(56, 2))));
}

#[test]
fn a_restored_bus_is_recorded() {
    let builder = RangeWatchBus::builder().history(History::events(4));
    let (bus, checker) = (builder.epoch(7).build().unwrap(), Checker::new());
    let (mut events, log) = checker
        .subscribe(&bus, .., |builder| builder.events(2))
        .unwrap();
    let (mut wake, spans) = checker
        .subscribe(&bus, .."m", |builder| builder.wake())
        .unwrap();
    for _ in 0..3 {
        checker.emit_next(&bus, ["a"]).unwrap();
    }
    spans.record(wake.try_recv().unwrap());
    checker.emit_next(&bus, ["a"]).unwrap();
    assert_eq!(checker.restore(&bus, 8, Some(2)).unwrap().get(), 5);
    checker.emit_next(&bus, ["z"]).unwrap();
    spans.record(wake.try_recv().unwrap());
    spans.caught_up(bus.last_seq());
    let (mut past, since) = checker
        .subscribe_since(&bus, .., 3, |builder| builder.events(2))
        .unwrap();
    since.record(&past.try_recv().unwrap());
    since.caught_up(bus.last_seq());
    assert!(
        checker
            .subscribe_since(&bus, .., 2, |builder| builder.wake())
            .is_err()
    );
    let end = loop {
        match events.try_recv() {
            Ok(event) => log.record(&event),
            Err(end) => break end,
        }
    };
    assert_eq!(end, TryRecvError::Compacted { floor: 3, epoch: 8 });
    log.record(end.recv_error().unwrap());
    let through = bus.last_seq();
    for (log, stats) in [
        (&log, events.stats()),
        (&spans, wake.stats()),
        (&since, past.stats()),
    ] {
        log.at_rest(through, stats);
    }
    checker.at_rest(bus.stats());
    passes(checker.verify().map(drop));
    checker.restore(&bus, 9, Some(u64::MAX)).unwrap_err();
    passes(checker.verify().map(drop));
}
