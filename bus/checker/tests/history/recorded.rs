//! Traces and statistics that are recorded from a bus.

use rangewatch_bus::{History, Overflow, RangeWatchBus, RecvError, Seq, TryRecvError};
use rangewatch_checker::{Checker, Guarantee, Log};

use super::{passes, reports, seq};

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
    let Err(TryRecvError::Compacted { floor, epoch }) = sub.try_recv() else {
        panic!("the history of a parked subscription is gone");
    };
    log.record(RecvError::Compacted { floor, epoch });
    reports(Guarantee::G7NoSilentGap, checker.verify().map(drop));
    checker.observe(&bus);
    passes(checker.verify().map(drop));
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
                Err(TryRecvError::Compacted { floor, epoch }) => {
                    break log.record(RecvError::Compacted { floor, epoch });
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
