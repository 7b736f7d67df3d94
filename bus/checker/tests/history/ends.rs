//! Ends of subscriptions: by overflow, and by the close of the bus.

use rangewatch_bus::{RecvError, Seq};
use rangewatch_checker::{Delivery, Guarantee};

use super::{event, passes, record, reports, span, verify_live};

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
