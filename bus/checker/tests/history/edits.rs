//! Edits of the selectors of a subscription.

use rangewatch_bus::{Selector, Seq};
use rangewatch_checker::{Delivery, Guarantee};

use super::{event, event_with, passes, record, reports, seq, ten_emits, verify_live};

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
    let z = |i| event_with(i, i * 10, &["z"]);
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
    let both = event_with(2, 20, &["a", "z"]);
    reports(Guarantee::G28Edit, edited(vec![event(1), both]));

    // A match that only the edit makes is missing.
    let checker = ten_emits();
    let log = checker.subscribed(Selector::key("z"), None, None);
    log.selectors_removed(seq(5), Selector::key("z"));
    record([z(1), z(2), z(3)])(&log);
    log.caught_up(Seq::new(10));
    reports(Guarantee::G28Edit, checker.verify().map(drop));
}
