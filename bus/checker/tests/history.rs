//! The checker on traces with history, edits, ends and statistics: it accepts valid traces, and
//! reports each violation of each guarantee that it distinguishes.

use rangewatch_bus::{History, Overflow, RangeWatchBus, RecvError, Selector, Seq, TryRecvError};
use rangewatch_checker::{Checker, Delivery, Guarantee, Log, Violation};

fn seq(seq: u64) -> Seq {
    Seq::new(seq).unwrap()
}

/// A trace of ten emits, 1 to 10, with ten times their number as value. All have the keys "a" and
/// "z", except 4, which has only "z".
fn ten_emits() -> Checker {
    let checker = Checker::with_history();
    for i in 1..=10 {
        let keys: &[&str] = if i == 4 { &["z"] } else { &["a", "z"] };
        checker.emitted(seq(i), i * 10, keys);
    }
    checker
}

fn event(i: u64) -> Delivery {
    event_with(i, &["a"])
}

fn event_with(i: u64, keys: &[&str]) -> Delivery {
    Delivery::Event {
        seq: seq(i),
        value: i * 10,
        keys: keys.iter().map(|key| key.as_bytes().into()).collect(),
    }
}

fn span(first: u64, last: u64, count: u64) -> Delivery {
    Delivery::Span {
        first_seq: seq(first),
        last_seq: seq(last),
        first: first * 10,
        last: last * 10,
        count,
        is_conservative: false,
    }
}

/// A conservative span from the value `first` to the emit `last`.
fn conservative(first: u64, last: u64, count: u64) -> Delivery {
    Delivery::Span {
        first_seq: seq(1),
        last_seq: seq(last),
        first,
        last: last * 10,
        count,
        is_conservative: true,
    }
}

/// Verifies a subscription to `.."m"` since the value `since` of the history.
fn verify_since(since: u64, record: impl FnOnce(&Log)) -> Result<(), Violation> {
    let checker = ten_emits();
    let log = checker.subscribed_since(.."m", since);
    record(&log);
    checker.verify().map(drop)
}

/// Verifies a subscription to `.."m"` that was made before the first emit.
fn verify_live(record: impl FnOnce(&Log)) -> Result<(), Violation> {
    let checker = ten_emits();
    let log = checker.subscribed(.."m", None, None);
    record(&log);
    checker.verify().map(drop)
}

fn record(deliveries: impl IntoIterator<Item = Delivery>) -> impl FnOnce(&Log) {
    move |log| {
        deliveries
            .into_iter()
            .for_each(|delivery| log.record(delivery))
    }
}

#[track_caller]
fn passes(verified: Result<(), Violation>) {
    verified.unwrap_or_else(|violation| panic!("{violation}"));
}

#[track_caller]
fn reports(guarantee: Guarantee, verified: Result<(), Violation>) {
    match verified {
        Ok(()) => panic!("a violation of {guarantee} is not reported"),
        Err(violation) => assert_eq!(violation.guarantee(), guarantee, "{violation}"),
    }
}

#[test]
fn values_that_fall_with_history_are_a_g01_violation() {
    for value in [100, 99] {
        let checker = ten_emits();
        checker.emitted(seq(11), value, ["a"]);
        reports(Guarantee::G1Ordered, checker.verify().map(drop));
    }
    let checker = Checker::new();
    checker.emitted(seq(1), 2, ["a"]);
    checker.emitted(seq(2), 1, ["a"]);
    passes(checker.verify().map(drop));
}

#[test]
fn starts_in_the_past_and_in_the_future_pass() {
    let through = Seq::new(10);
    let rest = |first: u64| (first..=10).filter(|i| *i != 4).map(event);
    passes(verify_since(30, |log| {
        record(rest(3))(log);
        log.caught_up(through);
    }));
    passes(verify_since(25, record(rest(3))));
    passes(verify_since(35, record([span(5, 10, 6)])));
    passes(verify_since(101, |log| log.caught_up(through)));
}

#[test]
fn the_checker_reports_a_violation_of_start_in_the_past_g03() {
    reports(Guarantee::G3Reliable, verify_since(30, record([event(5)])));
    reports(
        Guarantee::G3Reliable,
        verify_since(30, |log| log.caught_up(Seq::new(3))),
    );
    reports(
        Guarantee::G2Unique,
        verify_since(20, record([2, 3, 2].map(event))),
    );
}

#[test]
fn the_checker_reports_a_violation_of_g06_future_start() {
    reports(
        Guarantee::G6FutureStart,
        verify_since(55, record([event(5)])),
    );
    reports(
        Guarantee::G6FutureStart,
        verify_since(101, record([event(10)])),
    );
    reports(
        Guarantee::G6FutureStart,
        verify_since(101, record([Delivery::Progress(100)])),
    );
    reports(
        Guarantee::G6FutureStart,
        verify_live(|log| {
            log.started_after(20);
            log.record(event(2));
        }),
    );
    reports(
        Guarantee::G6FutureStart,
        verify_live(|log| {
            log.started_after(20);
            log.record(Delivery::Progress(20));
        }),
    );
}

#[test]
fn the_checker_reports_a_violation_of_g07_gap_or_g08_floor() {
    let answered = |since, floors, refused| {
        let checker = Checker::with_history();
        checker.since_returned(since, floors, refused);
        checker.verify().map(drop)
    };
    passes(answered(5, (5, 5), None));
    passes(answered(4, (3, 5), None));
    passes(answered(4, (3, 5), Some(5)));
    passes(answered(4, (5, 5), Some(5)));
    reports(Guarantee::G7NoSilentGap, answered(4, (5, 5), None));
    // The wrong floor.
    reports(Guarantee::G7NoSilentGap, answered(4, (5, 6), Some(7)));
    reports(Guarantee::G7NoSilentGap, answered(2, (5, 6), Some(4)));
    reports(Guarantee::G7NoSilentGap, answered(5, (4, 6), Some(5)));
    reports(Guarantee::G8SinceFloor, answered(5, (4, 5), Some(5)));
    reports(Guarantee::G8SinceFloor, answered(6, (4, 5), Some(7)));

    let compacted = |floor| Delivery::Ended(RecvError::Compacted { floor });
    passes(verify_since(10, record([event(1), compacted(50)])));
    passes(verify_since(10, record([event(1), compacted(11)])));
    reports(
        Guarantee::G7NoSilentGap,
        verify_since(10, record([event(1), compacted(10)])),
    );
    reports(
        Guarantee::G7NoSilentGap,
        verify_since(
            10,
            record([event(1), Delivery::Progress(15), compacted(15)]),
        ),
    );
}

#[test]
fn the_checker_reports_a_violation_of_g09_mark() {
    let mark = Delivery::Progress;
    passes(verify_since(
        10,
        record([
            event(1),
            mark(10),
            event(2),
            mark(29),
            event(3),
            mark(49),
            mark(49),
        ]),
    ));
    passes(verify_live(record([
        event(1),
        Delivery::Lagged(1),
        mark(20),
        event(3),
    ])));
    passes(verify_live(record([
        event(1),
        Delivery::Lagged(2),
        mark(20),
        event(5),
    ])));
    // Before an emit of its value, before one below, after one above, and falling.
    reports(Guarantee::G9Progress, verify_since(10, record([mark(10)])));
    reports(
        Guarantee::G9Progress,
        verify_since(10, record([event(1), mark(35)])),
    );
    reports(Guarantee::G9Progress, verify_live(record([mark(10)])));
    reports(
        Guarantee::G9Progress,
        verify_live(record([event(1), Delivery::Lagged(1), mark(30)])),
    );
    reports(
        Guarantee::G9Progress,
        verify_since(30, record([event(3), mark(45), mark(44)])),
    );
    let checker = ten_emits();
    let log = checker.subscribed(.."m", None, Seq::new(2));
    record([mark(20), event(2)])(&log);
    reports(Guarantee::G9Progress, checker.verify().map(drop));
}

#[test]
fn a_floor_that_the_history_never_had_is_a_g07_violation() {
    let compacted = |floor| Delivery::Ended(RecvError::Compacted { floor });
    // All emits are below 1,000,000, so this would excuse any that is missing.
    reports(
        Guarantee::G7NoSilentGap,
        verify_since(10, record([event(1), compacted(1_000_000)])),
    );
    passes(verify_since(10, record([event(1), compacted(101)])));
    reports(
        Guarantee::G7NoSilentGap,
        verify_since(10, record([event(1), compacted(102)])),
    );
    // The floor was observed after the last emit.
    let observed = |floor| {
        let checker = ten_emits();
        checker.observed(Seq::new(10), Some(100), 50);
        let log = checker.subscribed_since(.."m", 10);
        record([event(1), compacted(floor)])(&log);
        checker.verify().map(drop)
    };
    passes(observed(50));
    reports(Guarantee::G7NoSilentGap, observed(51));
    // It was observed before the last emits, which may have raised it.
    let checker = ten_emits();
    checker.observed(Seq::new(8), Some(80), 50);
    let log = checker.subscribed_since(.."m", 10);
    record([event(1), compacted(70)])(&log);
    passes(checker.verify().map(drop));
    // A receive that found nothing had read the history up to there.
    reports(
        Guarantee::G7NoSilentGap,
        verify_since(60, |log| {
            record([6, 7].map(event))(log);
            log.caught_up(Seq::new(7));
            log.record(compacted(70));
        }),
    );
    // A bus without history has no floor.
    let checker = Checker::new();
    let log = checker.subscribed(.., None, None);
    log.record(compacted(1));
    reports(Guarantee::G7NoSilentGap, checker.verify().map(drop));
}

#[test]
fn a_mark_above_the_head_is_a_g09_violation() {
    let mark = Delivery::Progress;
    let rest = || (1..=10).filter(|i| *i != 4).map(event);
    passes(verify_since(10, record(rest().chain([mark(100)]))));
    reports(
        Guarantee::G9Progress,
        verify_since(10, record(rest().chain([mark(101)]))),
    );
    let checker = ten_emits();
    let log = checker.subscribed_since(.."m", 10);
    record(rest().chain([mark(110)]))(&log);
    reports(Guarantee::G9Progress, checker.verify().map(drop));
    // The bus had advanced.
    checker.observed(Seq::new(10), Some(110), 0);
    passes(checker.verify().map(drop));
}

#[test]
fn what_the_bus_advanced_and_compacted_to_is_observed() {
    let history = History::events(4);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    let checker = Checker::new();
    checker.emit(&bus, 1, ["a"]).unwrap();
    let (mut sub, log) = checker
        .subscribe(&bus, .., |builder| builder.events(1))
        .unwrap();
    checker.emit(&bus, 2, ["a"]).unwrap();
    checker.emit(&bus, 3, ["a"]).unwrap();
    bus.advance(50).unwrap();
    bus.compact(51).unwrap();
    sub.request_progress().unwrap();
    log.record(&sub.try_recv_item().unwrap());
    let Err(TryRecvError::Compacted { floor }) = sub.try_recv() else {
        panic!("the history of a parked subscription is gone");
    };
    log.record(RecvError::Compacted { floor });
    reports(Guarantee::G7NoSilentGap, checker.verify().map(drop));
    checker.observe(&bus);
    passes(checker.verify().map(drop));
}

#[test]
fn a_conservative_span_needs_a_reason_g13() {
    // Of a store without history, from the value on that was asked for.
    let since = |value, record: &dyn Fn(&Log)| {
        let (bus, checker) = (RangeWatchBus::new(), Checker::new());
        for i in 1..=5 {
            checker.emit(&bus, i * 10, ["a"]).unwrap();
        }
        let (_sub, log) = checker
            .subscribe_since(&bus, .."m", value, |builder| builder.wake())
            .unwrap();
        for i in 6..=10 {
            checker.emit(&bus, i * 10, ["a"]).unwrap();
        }
        record(&log);
        checker.verify().map(drop)
    };
    passes(since(20, &|log| {
        log.record(conservative(20, 7, 2));
        log.record(span(8, 10, 3));
        log.caught_up(Seq::new(10));
    }));
    reports(
        Guarantee::G13ExactSpan,
        since(20, &|log| log.record(conservative(10, 7, 2))),
    );
    reports(
        Guarantee::G13ExactSpan,
        since(20, &|log| log.record(conservative(20, 7, 3))),
    );
    reports(
        Guarantee::G3Reliable,
        since(20, &|log| {
            log.record(conservative(20, 7, 2));
            log.record(span(9, 10, 2));
        }),
    );
    reports(
        Guarantee::G13ExactSpan,
        since(20, &|log| {
            log.record(conservative(20, 7, 2));
            log.record(conservative(20, 8, 1));
        }),
    );

    // A subscription since a value that was emitted before begins with one.
    for deliveries in [vec![event(6)], vec![span(6, 10, 5)]] {
        let verified = since(20, &|log| record(deliveries.clone())(log));
        reports(Guarantee::G3Reliable, verified);
    }
    passes(since(60, &|log| record([event(6), event(7)])(log)));

    // Cut by a start.
    let started = |deliveries: Vec<Delivery>| {
        verify_live(|log| {
            log.started_after(20);
            record(deliveries)(log);
        })
    };
    passes(started(vec![conservative(21, 5, 4), event(6)]));
    passes(started(vec![span(3, 5, 2), event(6)]));
    reports(
        Guarantee::G13ExactSpan,
        started(vec![conservative(21, 5, 5)]),
    );
    reports(
        Guarantee::G13ExactSpan,
        started(vec![conservative(20, 5, 2)]),
    );
    reports(
        Guarantee::G13ExactSpan,
        verify_live(record([conservative(21, 5, 2)])),
    );
    reports(Guarantee::G6FutureStart, started(vec![span(2, 5, 3)]));
    reports(
        Guarantee::G18ExactLag,
        started(vec![Delivery::Lagged(9), conservative(21, 5, 4)]),
    );
}

#[test]
fn a_start_after_a_value_excuses_what_was_missed_before() {
    passes(verify_live(|log| {
        log.record(event(1));
        log.started_after(35);
        record([event(5), event(6)])(log);
    }));
    // Events 1 to 3 are left out by the start, and event 5 is missed; event 4 does not match.
    passes(verify_live(|log| {
        log.started_after(35);
        record([Delivery::Lagged(1), event(6)])(log);
    }));
    for missed in [1, 2] {
        passes(verify_live(|log| {
            record([event(1), Delivery::Lagged(missed)])(log);
            log.started_after(35);
            log.record(event(5));
        }));
    }
    for missed in [2, 3, 4] {
        reports(
            Guarantee::G18ExactLag,
            verify_live(|log| {
                log.started_after(35);
                record([Delivery::Lagged(missed), event(6)])(log);
            }),
        );
    }
    // Event 5 was reported as missed.
    reports(
        Guarantee::G3Reliable,
        verify_live(|log| {
            record([event(1), Delivery::Lagged(3)])(log);
            log.started_after(15);
            log.record(event(5));
        }),
    );
    reports(
        Guarantee::G3Reliable,
        verify_live(|log| {
            log.record(event(1));
            log.started_after(35);
            log.record(event(6));
        }),
    );
    // After the next delivery a lag is exact again.
    reports(
        Guarantee::G18ExactLag,
        verify_live(|log| {
            log.started_after(35);
            record([event(5), Delivery::Lagged(3), event(8)])(log);
        }),
    );
}

#[test]
fn the_checker_reports_a_violation_of_g19_disconnect() {
    let end = |resume| Delivery::Ended(RecvError::Disconnected { resume });
    passes(verify_live(record([event(1), end(20), end(20)])));
    passes(verify_live(record([end(10)])));
    passes(verify_live(|log| {
        record([event(1), end(20)])(log);
        log.caught_up(Seq::new(10));
    }));
    let started = |resume| {
        verify_live(|log| {
            log.record(event(1));
            log.started_after(25);
            log.record(end(resume));
        })
    };
    passes(started(26));
    passes(started(30));
    reports(Guarantee::G19Disconnect, started(20));
    reports(
        Guarantee::G19Disconnect,
        verify_live(record([event(1), end(30)])),
    );
    reports(
        Guarantee::G19Disconnect,
        verify_live(record([event(1), end(11)])),
    );
    reports(Guarantee::G19Disconnect, verify_live(record([end(20)])));
    reports(
        Guarantee::G19Disconnect,
        verify_live(record([span(1, 10, 9), end(110)])),
    );
    reports(
        Guarantee::G27Draining,
        verify_live(record([event(1), end(20), event(2)])),
    );
    reports(
        Guarantee::G27Draining,
        verify_live(record([event(1), end(20), end(30)])),
    );
}

#[test]
fn the_checker_reports_a_violation_of_g27_end() {
    let closed = Delivery::Ended(RecvError::Closed);
    passes(verify_live(record([
        span(1, 10, 9),
        closed.clone(),
        closed.clone(),
    ])));
    passes(verify_live(record([
        span(1, 9, 8),
        Delivery::Lagged(1),
        closed.clone(),
    ])));
    passes(verify_live(|log| {
        log.record(event(1));
        log.discarded();
        log.record(closed.clone());
    }));
    reports(
        Guarantee::G27Draining,
        verify_live(record([span(1, 9, 8), closed.clone()])),
    );
    reports(
        Guarantee::G27Draining,
        verify_live(record([closed.clone()])),
    );
    reports(
        Guarantee::G27Draining,
        verify_live(record([
            span(1, 10, 9),
            closed.clone(),
            Delivery::Progress(100),
        ])),
    );
    reports(
        Guarantee::G27Draining,
        verify_live(record([span(1, 8, 7), Delivery::Lagged(1), closed])),
    );
}

#[test]
fn a_delivery_after_a_close_without_draining_is_a_g27_violation() {
    reports(
        Guarantee::G27Draining,
        verify_live(|log| {
            log.record(event(1));
            log.discarded();
            log.record(event(2));
        }),
    );
}

#[test]
fn a_start_after_a_value_moves_the_value_to_resume_from() {
    let end = |resume| Delivery::Ended(RecvError::Disconnected { resume });
    let then = |resume| {
        verify_live(|log| {
            record([event(1), end(20)])(log);
            log.started_after(35);
            log.record(end(resume));
        })
    };
    passes(then(36));
    reports(Guarantee::G27Draining, then(20));
}

#[test]
fn the_checker_reports_a_violation_of_g28_edit() {
    let edited = |deliveries: Vec<Delivery>| {
        verify_live(|log| {
            log.selectors_set(seq(5), "y"..);
            log.selectors_removed(seq(8), "x"..);
            log.selectors_added(seq(8), Selector::key("a"));
            record(deliveries)(log);
        })
    };
    let z = |i| event_with(i, &["z"]);
    passes(edited(vec![
        event(1),
        event(2),
        event(3),
        z(5),
        z(6),
        z(7),
        event(8),
    ]));
    // Too late, too early, and with keys of the other time.
    reports(
        Guarantee::G28Edit,
        edited(vec![event(1), event(2), event(3), event(5)]),
    );
    reports(
        Guarantee::G28Edit,
        edited(vec![event(1), event(2), event(3), z(4)]),
    );
    let both = event_with(2, &["a", "z"]);
    reports(Guarantee::G28Edit, edited(vec![event(1), both]));

    // A match that only the edit makes is missing.
    let checker = ten_emits();
    let log = checker.subscribed(Selector::key("z"), None, None);
    log.selectors_removed(seq(5), Selector::key("z"));
    record([z(1), z(2), z(3)])(&log);
    log.caught_up(Seq::new(10));
    reports(Guarantee::G28Edit, checker.verify().map(drop));
}

#[test]
fn the_checker_reports_a_violation_of_g35_conservation() {
    let (bus, checker) = (RangeWatchBus::new(), Checker::new());
    let (mut sub, log) = checker
        .subscribe(&bus, .."m", |builder| builder.events(2))
        .unwrap();
    let (mut other, _) = checker
        .subscribe(&bus, .."m", |builder| builder.events(2))
        .unwrap();
    for value in 1..=5 {
        checker.emit(&bus, value, ["a", "z"]).unwrap();
    }
    let head = bus.last_seq();
    log.at_rest(head, sub.stats());
    match sub.try_recv() {
        Err(TryRecvError::Lagged(missed)) => log.record(RecvError::Lagged(missed)),
        other => panic!("{other:?}"),
    }
    log.at_rest(head, sub.stats());
    log.record(&sub.try_recv_item().unwrap());
    log.at_rest(head, sub.stats());
    checker.at_rest(bus.stats());
    passes(checker.verify().map(drop));

    // Another's statistics, those of a later time, and those of less than was emitted.
    let violated = |record: &dyn Fn(&Checker, &Log)| {
        let checker = Checker::new();
        for i in 1..=5 {
            checker.emitted(seq(i), i, ["a", "z"]);
        }
        record(&checker, &checker.subscribed(.."m", None, None));
        reports(Guarantee::G35Conservation, checker.verify().map(drop));
    };
    let _ = other.try_recv();
    let lagged = other.stats();
    violated(&|_, log| log.at_rest(head, lagged));
    violated(&|_, log| log.at_rest(head, sub.stats()));
    violated(&|_, log| {
        log.at_rest(
            Seq::new(4),
            RangeWatchBus::new().subscribe(..).wake().unwrap().stats(),
        )
    });
    violated(&|checker, _| checker.at_rest(bus.stats()));
    violated(&|checker, _| checker.at_rest(RangeWatchBus::new().stats()));
}

#[test]
fn a_recorded_bus_with_history_passes() {
    let bus = RangeWatchBus::builder()
        .history(History::events(4))
        .build()
        .unwrap();
    let checker = Checker::new();
    for _ in 0..8 {
        checker.emit_next(&bus, ["a", "z"]).unwrap();
    }
    let since = |value| checker.subscribe_since(&bus, .."m", value, |builder| builder.events(2));
    assert!(since(4).is_err());
    let (mut sub, log) = since(5).unwrap();
    let (mut coalescing, gap_log) = checker
        .subscribe(&bus, .., |builder| {
            builder.overflow(Overflow::Coalesce).events(1)
        })
        .unwrap();
    futures::executor::block_on(async {
        for value in 9..=11 {
            checker.emit_async(&bus, value, ["a"]).await.unwrap();
        }
    });
    sub.request_progress().unwrap();
    let seq = sub.add_selectors("m".."n").unwrap();
    log.selectors_added(seq, "m".."n");
    checker.emit(&bus, 12, ["m", "a"]).unwrap();
    let drain = |sub: &mut rangewatch_bus::EventSubscription, log: &Log| {
        loop {
            match sub.try_recv_item() {
                Ok(item) => log.record(&item),
                Err(TryRecvError::Empty) => break log.caught_up(bus.last_seq()),
                Err(TryRecvError::Compacted { floor }) => {
                    break log.record(RecvError::Compacted { floor });
                }
                Err(other) => panic!("{other}"),
            }
        }
        log.at_rest(bus.last_seq(), sub.stats());
    };
    drain(&mut sub, &log);
    drain(&mut coalescing, &gap_log);
    checker.at_rest(bus.stats());
    let verified = checker.verify().unwrap();
    assert_eq!((verified.n_emits(), verified.n_subscriptions()), (12, 2));
    assert!(verified.n_deliveries() >= 2, "{verified:?}");
    // That the values rise was seen from the bus.
    checker.emitted(Seq::new(13).unwrap(), 1, ["a"]);
    reports(Guarantee::G1Ordered, checker.verify().map(drop));
}
