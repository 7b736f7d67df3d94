//! Floors of the history, and ends by compaction.

use rangewatch_bus::{RecvError, Seq};
use rangewatch_checker::{Checker, Delivery, Guarantee};

use super::{event, passes, record, reports, ten_emits, verify_since};

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

    let compacted = |floor| Delivery::Ended(RecvError::Compacted { floor, epoch: 0 });
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
fn a_floor_that_the_history_never_had_is_a_g07_violation() {
    let compacted = |floor| Delivery::Ended(RecvError::Compacted { floor, epoch: 0 });
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
