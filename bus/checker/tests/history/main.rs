//! The checker on traces with history, edits, ends and statistics: it accepts valid traces, and
//! reports each violation of each guarantee that it distinguishes.

#[path = "../deliveries/mod.rs"]
mod deliveries;
mod edits;
mod ends;
mod floors;
mod marks;
mod recorded;
mod restores;
mod spans;
mod starts;

use rangewatch_checker::{Checker, Delivery, Guarantee, Log, Violation};

use self::deliveries::{event_with, seq, span};

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
    event_with(i, i * 10, &["a"])
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
