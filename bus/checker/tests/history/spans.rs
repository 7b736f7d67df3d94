//! Conservative spans.

use rangewatch_bus::{RangeWatchBus, Seq};
use rangewatch_checker::{Checker, Delivery, Guarantee, Log};

use super::{event, passes, record, reports, seq, span, verify_live};

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
