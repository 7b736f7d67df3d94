//! Progress marks.

use rangewatch_bus::Seq;
use rangewatch_checker::{Delivery, Guarantee};

use super::{event, passes, record, reports, ten_emits, verify_live, verify_since};

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
