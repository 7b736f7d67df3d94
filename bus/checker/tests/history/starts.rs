//! Subscriptions that start in the past, in the future, or after a value.

use rangewatch_bus::Seq;
use rangewatch_checker::{Delivery, Guarantee};

use super::{event, passes, record, reports, span, verify_live, verify_since};

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
