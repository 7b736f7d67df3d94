//! The checker on traces without history: it accepts valid traces, and reports each violation of
//! each guarantee that it distinguishes.

mod deliveries;

use rangewatch_bus::{RangeWatchBus, Selector, Selectors, Seq};
use rangewatch_checker::{Checker, Delivery, Guarantee, Log, Verified, Violation};

use self::deliveries::{event_with, seq, span};

/// A trace of ten emits, 1 to 10, with ten times their number as value. All have the keys "a" and
/// "z", except 4, which has only "z", and 5, which has "a", "b" and "z".
fn ten_emits() -> Checker {
    let checker = Checker::new();
    for i in 1..=10 {
        checker.emitted(seq(i), i * 10, keys_of(i));
    }
    checker
}

fn keys_of(i: u64) -> &'static [&'static str] {
    match i {
        4 => &["z"],
        5 => &["a", "b", "z"],
        _ => &["a", "z"],
    }
}

/// The event of emit `i` as a subscription to `.."m"` must receive it.
fn event(i: u64) -> Delivery {
    event_with(i, i * 10, &keys_of(i)[..keys_of(i).len() - 1])
}

fn caught_up(through: u64) -> Delivery {
    Delivery::CaughtUp(Seq::new(through))
}

/// Verifies a subscription to `.."m"` that was made between the emits `before` and `after` and
/// received `deliveries`.
fn verify(
    before: u64,
    after: u64,
    deliveries: impl IntoIterator<Item = Delivery>,
) -> Result<Verified, Violation> {
    let checker = ten_emits();
    let log: Log = checker.subscribed(.."m", Seq::new(before), Seq::new(after));
    deliveries
        .into_iter()
        .for_each(|delivery| log.record(delivery));
    checker.verify()
}

#[track_caller]
fn assert_passes(
    before: u64,
    after: u64,
    deliveries: impl IntoIterator<Item = Delivery>,
) -> Verified {
    verify(before, after, deliveries).unwrap_or_else(|violation| panic!("{violation}"))
}

#[track_caller]
fn assert_reports(
    guarantee: Guarantee,
    at: u64,
    (before, after): (u64, u64),
    deliveries: impl IntoIterator<Item = Delivery>,
) {
    match verify(before, after, deliveries) {
        Ok(_) => panic!("a violation of {guarantee} is not reported"),
        Err(violation) => {
            assert_eq!(
                (violation.guarantee(), violation.seq()),
                (guarantee, Seq::new(at)),
                "{violation}"
            );
            assert_eq!(violation.subscription(), Some(0));
            assert!(
                violation
                    .to_string()
                    .starts_with(&format!("{guarantee} is violated on subscription 0"))
            );
        }
    }
}

#[test]
fn a_valid_trace_passes() {
    let matching = [1, 2, 3, 5, 6, 7, 8, 9, 10];
    let verified = assert_passes(0, 0, matching.map(event).into_iter().chain([caught_up(10)]));
    assert_eq!(
        (
            verified.n_emits(),
            verified.n_subscriptions(),
            verified.n_deliveries()
        ),
        (10, 1, 9)
    );
    assert_eq!(verified.n_missed(), 0);

    // A subscription that was dropped before it received everything.
    assert_passes(0, 0, [1, 2, 3].map(event));
    assert_passes(0, 0, []);
    // A subscription may begin at any of the emits that were concurrent with `subscribe`.
    for start in [2, 3, 5, 6] {
        assert_passes(
            1,
            5,
            matching
                .into_iter()
                .filter(|i| *i >= start)
                .map(event)
                .chain([caught_up(10)]),
        );
    }
    assert_passes(1, 5, [caught_up(5), event(6)]);
    assert_passes(10, 10, [caught_up(10)]);
    // A receive found nothing after emit 2, which was concurrent with `subscribe` and not received.
    assert_passes(0, 3, [caught_up(2), event(3)]);
    // Lags: between events, before the first event, and in two reports.
    let verified = assert_passes(0, 0, [event(1), Delivery::Lagged(3), event(6), event(7)]);
    assert_eq!(verified.n_missed(), 3);
    assert_passes(0, 0, [Delivery::Lagged(1), Delivery::Lagged(2), event(5)]);
    assert_passes(0, 3, [Delivery::Lagged(1), event(5)]);
    assert_passes(0, 0, [Delivery::Lagged(4)]);
    // No event is queued after a lag: an event larger than the queue never fits.
    assert_passes(
        0,
        0,
        [event(1), Delivery::Lagged(3), caught_up(5), event(6)],
    );
    assert_passes(0, 0, [event(1), Delivery::Lagged(8)]);
    // Spans.
    let verified = assert_passes(
        0,
        0,
        [span(1, 6, 5), span(7, 7, 1), span(8, 10, 3), caught_up(10)],
    );
    assert_eq!(verified.n_deliveries(), 3);
    assert_passes(0, 3, [span(3, 10, 7), caught_up(10)]);
}

#[test]
fn the_checker_reports_a_violation_of_g01_order() {
    assert_reports(Guarantee::G1Ordered, 5, (0, 6), [event(6), event(5)]);
    assert_reports(
        Guarantee::G1Ordered,
        3,
        (0, 6),
        [span(5, 6, 2), span(3, 3, 1)],
    );

    let checker = ten_emits();
    checker.emitted(seq(7), 70, ["a"]);
    let violation = checker.verify().unwrap_err();
    assert_eq!(
        (violation.guarantee(), violation.seq()),
        (Guarantee::G1Ordered, Seq::new(7))
    );
    assert_eq!(violation.subscription(), None);
}

#[test]
fn the_checker_reports_a_violation_of_g02_uniqueness() {
    assert_reports(
        Guarantee::G2Unique,
        1,
        (0, 0),
        [event(1), event(2), event(1)],
    );
    assert_reports(
        Guarantee::G2Unique,
        2,
        (0, 0),
        [span(1, 3, 3), span(2, 6, 4)],
    );
}

#[test]
fn the_checker_reports_a_violation_of_g03_gap() {
    assert_reports(Guarantee::G3Reliable, 2, (0, 0), [event(1), event(3)]);
    assert_reports(
        Guarantee::G3Reliable,
        9,
        (0, 0),
        [span(1, 8, 7), caught_up(10)],
    );
    assert_reports(
        Guarantee::G3Reliable,
        3,
        (0, 0),
        [span(1, 2, 2), span(5, 10, 6)],
    );
    assert_reports(Guarantee::G3Reliable, 2, (0, 5), [event(1), caught_up(5)]);
    // Delivered, but after a receive that should have found it.
    assert_reports(Guarantee::G3Reliable, 3, (0, 5), [caught_up(5), event(3)]);
}

#[test]
fn the_checker_reports_a_violation_of_g04_event() {
    assert_reports(Guarantee::G4Atomic, 5, (0, 5), [event_with(5, 50, &["a"])]);
    assert_reports(
        Guarantee::G4Atomic,
        5,
        (0, 5),
        [event_with(5, 50, &["b", "a"])],
    );
    assert_reports(
        Guarantee::G4Atomic,
        5,
        (0, 5),
        [event_with(5, 50, &["a", "b", "b"])],
    );
    assert_reports(
        Guarantee::G4Atomic,
        5,
        (0, 5),
        [event_with(5, 50, &["a", "b", "c"])],
    );
    assert_reports(Guarantee::G4Atomic, 5, (0, 5), [event_with(5, 50, &[])]);
    assert_reports(
        Guarantee::G4Atomic,
        5,
        (0, 5),
        [event_with(5, 51, &["a", "b"])],
    );
}

#[test]
fn the_checker_reports_a_violation_of_g05_start() {
    // Emitted after `subscribe` returned, and not received.
    assert_reports(Guarantee::G5SeamlessStart, 3, (1, 2), [event(5)]);
    assert_reports(Guarantee::G5SeamlessStart, 3, (1, 2), [span(5, 10, 6)]);
    assert_reports(Guarantee::G5SeamlessStart, 3, (1, 2), [caught_up(10)]);
    // Emitted before `subscribe` was called, and received.
    assert_reports(Guarantee::G5SeamlessStart, 1, (1, 1), [event(1)]);
    assert_reports(Guarantee::G5SeamlessStart, 1, (1, 1), [span(1, 3, 3)]);
}

#[test]
fn the_checker_reports_a_violation_of_g10_match() {
    // An emit that does not match, one that was not recorded, and a key that is not selected.
    assert_reports(
        Guarantee::G10ExactMatch,
        4,
        (0, 3),
        [event_with(4, 40, &["z"])],
    );
    assert_reports(Guarantee::G10ExactMatch, 4, (0, 3), [span(4, 5, 1)]);
    assert_reports(
        Guarantee::G10ExactMatch,
        11,
        (0, 10),
        [event_with(11, 110, &["a"])],
    );
    assert_reports(
        Guarantee::G10ExactMatch,
        5,
        (0, 4),
        [event_with(5, 50, &["a", "b", "z"])],
    );
}

#[test]
fn the_checker_reports_a_violation_of_g11_delivery() {
    assert_reports(Guarantee::G11OneDelivery, 5, (0, 4), [event(5), event(5)]);
    assert_reports(
        Guarantee::G11OneDelivery,
        5,
        (0, 4),
        [event(5), event_with(5, 50, &["b"])],
    );
    assert_reports(
        Guarantee::G11OneDelivery,
        3,
        (0, 0),
        [span(1, 3, 3), span(3, 5, 2)],
    );
}

#[test]
fn the_checker_reports_a_violation_of_g13_span() {
    assert_reports(Guarantee::G13ExactSpan, 1, (0, 0), [span(1, 6, 6)]);
    assert_reports(Guarantee::G13ExactSpan, 1, (0, 0), [span(1, 6, 4)]);
    assert_reports(Guarantee::G13ExactSpan, 3, (0, 3), [span(3, 1, 1)]);
    let wrong = |first, last| Delivery::Span {
        first_seq: seq(1),
        last_seq: seq(3),
        first,
        last,
        count: 3,
        is_conservative: false,
    };
    assert_reports(Guarantee::G13ExactSpan, 1, (0, 0), [wrong(10, 31)]);
    assert_reports(Guarantee::G13ExactSpan, 1, (0, 0), [wrong(11, 30)]);
}

#[test]
fn the_checker_reports_a_violation_of_g18_lag() {
    // Reports of too few and of too many missed events, of 0, and without an event after them.
    assert_reports(
        Guarantee::G18ExactLag,
        5,
        (0, 0),
        [event(1), Delivery::Lagged(1), event(5)],
    );
    assert_reports(
        Guarantee::G18ExactLag,
        5,
        (0, 0),
        [event(1), Delivery::Lagged(3), event(5)],
    );
    assert_reports(
        Guarantee::G18ExactLag,
        2,
        (0, 0),
        [event(1), Delivery::Lagged(1), event(2)],
    );
    assert_reports(
        Guarantee::G18ExactLag,
        6,
        (0, 2),
        [Delivery::Lagged(1), event(6)],
    );
    assert_reports(
        Guarantee::G18ExactLag,
        3,
        (0, 2),
        [Delivery::Lagged(3), event(3)],
    );
    assert_reports(
        Guarantee::G18ExactLag,
        1,
        (0, 0),
        [event(1), Delivery::Lagged(0)],
    );
    assert_reports(
        Guarantee::G18ExactLag,
        1,
        (0, 0),
        [event(1), Delivery::Lagged(4), caught_up(5)],
    );
    assert_reports(
        Guarantee::G18ExactLag,
        1,
        (0, 0),
        [event(1), Delivery::Lagged(2), caught_up(5)],
    );
    assert_reports(
        Guarantee::G18ExactLag,
        0,
        (0, 0),
        [Delivery::Lagged(u64::MAX), Delivery::Lagged(1)],
    );
}

#[test]
fn positions_without_a_recorded_emit_are_g01_violations() {
    let emitted = |seqs: &[u64]| {
        let checker = Checker::new();
        for i in seqs {
            checker.emitted(seq(*i), i * 10, ["a"]);
        }
        checker
    };
    let unrecorded = |checker: &Checker| {
        let violation = checker.verify().unwrap_err();
        assert_eq!(violation.guarantee(), Guarantee::G1Ordered, "{violation}");
        violation.seq().map(Seq::get)
    };
    // In the middle; before the first recorded emit of a subscription; after the last one.
    assert_eq!(unrecorded(&emitted(&[1, 2, 4])), Some(3));
    assert!(emitted(&[3, 4]).verify().is_ok());
    for (before, expected) in [(None, 1), (Seq::new(1), 2)] {
        let checker = emitted(&[3, 4]);
        let _log = checker.subscribed(.., before, before);
        assert_eq!(unrecorded(&checker), Some(expected));
    }
    let checker = emitted(&[1, 2]);
    checker
        .subscribed(.., Seq::new(2), Seq::new(2))
        .caught_up(Seq::new(3));
    assert_eq!(unrecorded(&checker), Some(3));
    let checker = emitted(&[1, 2]);
    let _log = checker.subscribed(.., Seq::new(2), Seq::new(4));
    assert_eq!(unrecorded(&checker), Some(3));
    // What came before the subscription need not be recorded.
    let checker = Checker::new();
    checker
        .subscribed(.., Seq::new(9), Seq::new(9))
        .caught_up(Seq::new(9));
    assert!(checker.verify().is_ok());
}

#[test]
fn an_edit_at_an_impossible_position_is_a_g28_violation() {
    let edited_at = |at: u64| {
        let checker = ten_emits();
        let log = checker.subscribed(.."m", Seq::new(1), Seq::new(1));
        log.record(event(2));
        log.selectors_added(seq(at), "m".."n");
        checker.verify().map(drop)
    };
    assert!(edited_at(3).is_ok() && edited_at(11).is_ok());
    for at in [1, 2, 12] {
        let violation = edited_at(at).unwrap_err();
        assert_eq!(violation.guarantee(), Guarantee::G28Edit, "{violation}");
    }
}

#[test]
fn an_unknown_item_is_a_violation() {
    let violation = verify(0, 0, [Delivery::Unknown("Novel".into())]).unwrap_err();
    assert!(violation.to_string().contains("Novel is unknown"));
}

#[test]
fn a_violation_names_its_subscription() {
    let checker = ten_emits();
    let selectors = [
        Selectors::from(.."m"),
        Selector::key("a").into(),
        Selectors::new(),
    ];
    let logs = selectors.map(|selectors| checker.subscribed(selectors, None, None));
    logs[1].caught_up(Seq::new(1));
    let violation = checker.verify().unwrap_err();
    assert_eq!(violation.subscription(), Some(1));
    assert_eq!(violation.guarantee(), Guarantee::G5SeamlessStart);
}

#[test]
fn a_recorded_bus_passes() {
    let bus = RangeWatchBus::new();
    let checker = Checker::new();
    bus.emit(1, ["unrecorded"]).unwrap();
    let (mut events, events_log) = checker
        .subscribe(&bus, .."m", |builder| builder.events(2))
        .unwrap();
    let (mut wake, wake_log) = checker
        .subscribe(&bus, .."m", |builder| builder.wake())
        .unwrap();
    for value in 0..5 {
        checker.emit(&bus, value, ["a", "z"]).unwrap();
    }
    use futures::{FutureExt, StreamExt};
    while let Some(item) = events.next().now_or_never() {
        match item.unwrap() {
            Ok(event) => events_log.record(&event),
            Err(lagged) => events_log.record(lagged),
        }
    }
    wake_log.record(wake.try_recv().unwrap());
    for log in [&events_log, &wake_log] {
        log.caught_up(bus.last_seq());
    }
    let verified = checker.verify().unwrap();
    assert_eq!(
        (
            verified.n_emits(),
            verified.n_deliveries(),
            verified.n_missed()
        ),
        (5, 3, 3)
    );
    assert!(
        checker
            .subscribe(&bus, .."m", |builder| builder.events(0))
            .is_err()
    );
    bus.close();
    assert!(checker.emit(&bus, 1, ["a"]).is_err());
}
