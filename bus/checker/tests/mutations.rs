//! Mutates traces of a real bus, and requires that the checker reports every mutation that violates
//! a guarantee.

mod trace;

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rangewatch_bus::{RecvError, Seq};
use rangewatch_checker::{Delivery, fingerprint};

use trace::{Edit, Entry, Sub, Trace};

/// Above every value and every `Seq` of a trace.
const FAR: u64 = 1_000_000;

fn cases() -> u32 {
    let cases = std::env::var("RANGEWATCH_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(100)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_mutation_that_violates_a_guarantee_is_reported(
        history in any::<bool>(),
        steps in vec(trace::step(), 1..40),
    ) {
        let trace = Trace::run(history, &steps);
        let verified = trace.verify();
        prop_assert!(verified.is_ok(), "{}: {trace:#?}", verified.unwrap_err());
        for (name, mutant) in mutants(&trace) {
            prop_assert!(mutant.verify().is_err(), "{name} is accepted: {mutant:#?}\nof {trace:#?}");
        }
    }
}

#[test]
fn the_traces_have_every_kind_of_delivery_and_of_mutation() {
    let mut names = BTreeSet::new();
    let mut runner = TestRunner::deterministic();
    for i in 0..400 {
        let steps = vec(trace::step(), 20..40).new_tree(&mut runner).unwrap();
        let trace = Trace::run(i % 2 == 0, &steps.current());
        names.extend(mutants(&trace).into_iter().map(|(name, _)| name));
    }
    let expected = [
        "drop an event",
        "drop an exact span",
        "drop a report of missed events",
        "count one missed event more",
        "move a mark before an event",
        "move the value to resume from",
        "invent a floor",
        "drop the span of a restore",
        "count less in the span of a restore",
        "change the epoch of an end",
        "go on across a restore",
        "an exact span across a restore",
        "move an edit to what was received",
        "accept what was compacted",
        "refuse what was served",
    ];
    for name in expected {
        assert!(names.contains(name), "no trace has: {name}");
    }
}

type Mutants = Vec<(&'static str, Trace)>;

/// All mutations of a trace, each of which violates a guarantee.
fn mutants(trace: &Trace) -> Mutants {
    let mut mutants = Vec::new();
    mutate_bus(trace, &mut mutants);
    for i in 0..trace.subs.len() {
        for (name, sub) in mutate_sub(trace, &trace.subs[i]) {
            let mut mutant = trace.clone();
            mutant.subs[i] = sub;
            mutants.push((name, mutant));
        }
    }
    mutants
}

/// What is recorded of the bus.
fn mutate_bus(trace: &Trace, mutants: &mut Mutants) {
    let mut add = |name, mutate: &dyn Fn(&mut Trace)| {
        let mut mutant = trace.clone();
        mutate(&mut mutant);
        mutants.push((name, mutant));
    };
    let n_emits = trace.emits.len();
    for i in 0..n_emits {
        if 0 < i && i + 1 < n_emits {
            add("leave out an emit", &|trace| drop(trace.emits.remove(i)));
        }
        let is_of_one_epoch = |i: usize| {
            let is_first = |(first, ..): &(Seq, u64, Option<u64>)| *first == trace.emits[i].0;
            !trace.restores.iter().any(is_first)
        };
        if trace.history && i > 0 && is_of_one_epoch(i) {
            add("exchange two values", &|trace| {
                let value = trace.emits[i].1;
                trace.emits[i].1 = std::mem::replace(&mut trace.emits[i - 1].1, value);
            });
        }
        add("repeat a position", &|trace| {
            let emit = trace.emits[i].clone();
            trace.emits.push(emit);
        });
        let was_event = |entry: &Entry| matches!(entry, Entry::Delivery(Delivery::Event { seq, .. }) if *seq == trace.emits[i].0);
        if trace
            .subs
            .iter()
            .any(|sub| sub.entries.iter().any(was_event))
        {
            add("take the keys from a delivered emit", &|trace| {
                trace.emits[i].2.clear();
            });
        }
    }
    for (i, (since, (floor, _), compacted)) in trace.since_results.iter().enumerate() {
        match compacted {
            Some(_) => {
                add("accept what was compacted", &|trace| {
                    trace.since_results[i].2 = None
                });
                add("raise the floor of an error", &|trace| {
                    trace.since_results[i].2 = Some(floor + 1);
                });
            }
            None => add("refuse what was served", &|trace| {
                trace.since_results[i].2 = Some(since + 1);
            }),
        }
    }
}

/// What is recorded of one subscription.
fn mutate_sub(trace: &Trace, sub: &Sub) -> Vec<(&'static str, Sub)> {
    let mut mutants = Vec::new();
    let mut add = |name, mutate: &dyn Fn(&mut Vec<Entry>)| {
        let mut mutant = sub.clone();
        mutate(&mut mutant.entries);
        mutants.push((name, mutant));
    };
    let entries = &sub.entries;
    // A start after a value may excuse what is missing before it.
    let is_cut = entries
        .iter()
        .any(|it| matches!(it, Entry::StartedAfter(_)));
    let is_edited = entries.iter().any(|it| matches!(it, Entry::Edited(..)));
    // The span of one of several restores between two emits may be that of another.
    let firsts: BTreeSet<_> = trace.restores.iter().map(|(first, ..)| *first).collect();
    let is_restored_twice = firsts.len() < trace.restores.len();
    let next_delivery = |i: usize| {
        entries[i + 1..].iter().find_map(|entry| match entry {
            Entry::Delivery(delivery) => Some(delivery),
            _ => None,
        })
    };
    for i in 0..entries.len() {
        let delivery = match &entries[i] {
            Entry::Delivery(delivery) => delivery,
            Entry::Edited(_, edit, selectors) => {
                let edited = |seq| Entry::Edited(seq, *edit, selectors.clone());
                add("move an edit behind the last emit", &|entries| {
                    entries[i] = edited(Seq::new(trace.emits.len() as u64 + 2).unwrap());
                });
                if let Some(last) = entries[..i].iter().filter_map(trace::received_seq).max() {
                    add("move an edit to what was received", &|entries| {
                        entries[i] = edited(last);
                    });
                }
                continue;
            }
            _ => continue,
        };
        let set = |new: Delivery| {
            move |entries: &mut Vec<Entry>| entries[i] = Entry::Delivery(new.clone())
        };
        let remove = |entries: &mut Vec<Entry>| drop(entries.remove(i));
        let repeat = |entries: &mut Vec<Entry>| entries.insert(i, entries[i].clone());
        // `Compacted` excuses what is missing directly before it.
        let is_excused = is_cut
            || matches!(
                next_delivery(i),
                Some(Delivery::Ended(RecvError::Compacted { .. }))
            );
        // A report that comes after the start counts nothing that the start left out.
        let is_report = |entry: &Entry| matches!(entry, Entry::Delivery(Delivery::Lagged(_)));
        let is_after_cut = !entries[..i].iter().any(is_report)
            && !entries[i..]
                .iter()
                .any(|it| matches!(it, Entry::StartedAfter(_)));
        match delivery {
            Delivery::Event {
                seq, value, keys, ..
            } => {
                if !is_excused {
                    add("drop an event", &remove);
                }
                add("repeat an event", &repeat);
                add("repeat an event at the end", &|entries| {
                    let event = entries[i].clone();
                    entries.push(event);
                });
                if let Some(Entry::Delivery(Delivery::Event { .. })) = entries.get(i + 1) {
                    add("exchange two events", &|entries| entries.swap(i, i + 1));
                }
                add("change a payload", &|entries| {
                    if let Entry::Delivery(Delivery::Event { payloads, .. }) = &mut entries[i] {
                        payloads[0] += 1;
                    }
                });
                add("change a value", &set(event(*seq, value + 1, keys.clone())));
                let other = Seq::new(seq.get() + 1).unwrap();
                add(
                    "change a position",
                    &set(event(other, *value, keys.clone())),
                );
                add(
                    "leave out a key",
                    &set(event(*seq, *value, keys[1..].to_vec())),
                );
                let twice = [keys.as_slice(), keys].concat();
                add("repeat the keys", &set(event(*seq, *value, twice)));
                let foreign = [keys.as_slice(), &[(*b"zz").into()]].concat();
                add("invent a key", &set(event(*seq, *value, foreign)));
            }
            &Delivery::Span {
                first_seq,
                last_seq,
                first,
                last,
                count,
                is_conservative,
            } => {
                let span = |first_seq, last_seq, first, last, count| Delivery::Span {
                    first_seq,
                    last_seq,
                    first,
                    last,
                    count,
                    is_conservative,
                };
                let is_of_restore = is_conservative && first == 0;
                if is_of_restore && is_restored_twice {
                    continue;
                }
                if is_of_restore {
                    let is_shown = match next_delivery(i) {
                        Some(Delivery::Span { first_seq, .. }) => *first_seq > last_seq,
                        Some(Delivery::CaughtUp(through)) => *through >= firsts.last().copied(),
                        _ => false,
                    };
                    if is_shown && !is_edited && !sub.selectors.is_empty() {
                        add("drop the span of a restore", &remove);
                    }
                    if count > 0 && !is_cut {
                        let fewer = span(first_seq, last_seq, first, last, count - 1);
                        add("count less in the span of a restore", &set(fewer));
                    }
                } else if !is_excused {
                    let name = if is_conservative {
                        "drop a conservative span"
                    } else {
                        "drop an exact span"
                    };
                    add(name, &remove);
                }
                add("repeat a span", &repeat);
                let later = span(first_seq, last_seq, first, last + 1, count);
                add("raise the last value of a span", &set(later));
                let later = span(first_seq, last_seq, first + 1, last, count);
                if !is_of_restore || !is_cut {
                    add("raise the first value of a span", &set(later));
                }
                let more = span(first_seq, last_seq, first, last, count + FAR);
                add("count more in a span", &set(more));
                if !is_conservative {
                    let fewer = span(first_seq, last_seq, first, last, count - 1);
                    add("count less in a span", &set(fewer));
                    if first_seq < last_seq {
                        let reversed = span(last_seq, first_seq, last, first, count);
                        add("reverse a span", &set(reversed));
                        let shorter = span(first_seq, first_seq, first, first, 1);
                        if !is_excused {
                            add("cut a span", &set(shorter));
                        }
                    }
                }
            }
            &Delivery::Progress(mark) => {
                let above = trace.head().unwrap() + 1;
                add(
                    "raise a mark above the head",
                    &set(Delivery::Progress(above)),
                );
                if let trace::Start::Since(since) = sub.start {
                    if since > 0 {
                        add(
                            "a mark below the start",
                            &set(Delivery::Progress(since - 1)),
                        );
                    }
                }
                if let Some(Entry::Delivery(Delivery::Event { value, .. })) =
                    i.checked_sub(1).map(|before| &entries[before])
                {
                    assert!(*value <= mark);
                    add("move a mark before an event", &|entries| {
                        entries.swap(i - 1, i)
                    });
                }
            }
            &Delivery::Lagged(missed) if !is_cut || is_after_cut => {
                add("drop a report of missed events", &remove);
                add("repeat a report of missed events", &repeat);
                add(
                    "count one missed event more",
                    &set(Delivery::Lagged(missed + 1)),
                );
                add(
                    "count one missed event less",
                    &set(Delivery::Lagged(missed - 1)),
                );
            }
            Delivery::Ended(RecvError::Disconnected { resume }) => {
                let end = |resume| Delivery::Ended(RecvError::Disconnected { resume });
                add("move the value to resume from", &set(end(resume + FAR)));
                if !is_cut {
                    add("resume one value later", &set(end(resume + 1)));
                    add("resume one value earlier", &set(end(resume - 1)));
                }
            }
            &Delivery::Ended(RecvError::Compacted { epoch, floor }) => {
                let end = |floor, epoch| Delivery::Ended(RecvError::Compacted { floor, epoch });
                add("invent a floor", &set(end(FAR, epoch)));
                let highest = match trace.observed[..] {
                    [(.., floor)] => floor,
                    // What an earlier epoch had is not known exactly.
                    _ => trace.head().unwrap() + 1,
                };
                add("raise a floor", &set(end(highest + 1, epoch)));
                if trace.restores.iter().all(|(_, _, head)| head.is_some()) {
                    add("lower a floor", &set(end(0, epoch)));
                }
                if sub.epoch > 0 {
                    add("change the epoch of an end", &set(end(floor, epoch + FAR)));
                }
            }
            Delivery::CaughtUp(_) => {
                let later = Seq::new(FAR);
                add(
                    "catch up with what was not emitted",
                    &set(Delivery::CaughtUp(later)),
                );
                if let Some(Entry::Delivery(Delivery::Event { .. })) =
                    i.checked_sub(1).map(|before| &entries[before])
                {
                    add("catch up too early", &|entries| entries.swap(i - 1, i));
                }
            }
            _ => {}
        }
    }
    invent(trace, sub, is_cut, &mut add);
    mutants
}

/// Inserts deliveries at every place of a log.
fn invent(
    trace: &Trace,
    sub: &Sub,
    is_cut: bool,
    add: &mut impl FnMut(&'static str, &dyn Fn(&mut Vec<Entry>)),
) {
    let head = trace.head().unwrap_or(0);
    let next = Seq::new(trace.emits.len() as u64 + 1).unwrap();
    for i in 0..=sub.entries.len() {
        let mut insert = |name, delivery: Delivery| {
            add(name, &move |entries| {
                entries.insert(i, Entry::Delivery(delivery.clone()));
            });
        };
        insert(
            "invent an event",
            event(next, head + 1, vec![(*b"a").into()]),
        );
        insert("invent a mark", Delivery::Progress(head + 1));
        let end = |end| Delivery::Ended(end);
        insert(
            "invent a floor",
            end(RecvError::Compacted {
                floor: FAR,
                epoch: 0,
            }),
        );
        let resume = FAR;
        insert(
            "invent a disconnect",
            end(RecvError::Disconnected { resume }),
        );
        let next = sub.entries[i..].iter().find_map(|entry| match entry {
            Entry::Delivery(delivery) => Some(delivery),
            _ => None,
        });
        let is_at_end = matches!(next, Some(Delivery::Ended(RecvError::Compacted { .. })));
        if !is_cut && !is_at_end {
            insert("invent missed events", Delivery::Lagged(1));
        }
        let is_followed = sub.entries[i..].iter().any(|entry| {
            matches!(entry, Entry::Delivery(delivery) if !matches!(delivery, Delivery::CaughtUp(_)))
        });
        if is_followed {
            insert("end before the last delivery", end(RecvError::Closed));
        }
        for (seq, value, keys) in &trace.emits {
            let n_restores = trace
                .restores
                .iter()
                .filter(|(first, ..)| first <= seq)
                .count();
            let is_edited = sub.entries.iter().any(|it| matches!(it, Entry::Edited(..)));
            if n_restores > sub.epoch && !is_edited && !sub.selectors.is_empty() {
                let keys = keys.iter().filter(|key| sub.selectors.matches(key));
                let keys: Vec<_> = keys.map(|key| key.as_slice().into()).collect();
                if !sub.is_wake {
                    insert("go on across a restore", event(*seq, *value, keys));
                } else if i == 0 {
                    let one = Delivery::Span {
                        first_seq: *seq,
                        last_seq: *seq,
                        first: *value,
                        last: *value,
                        count: 1,
                        is_conservative: false,
                    };
                    insert("an exact span across a restore", one);
                }
            }
            let is_ever_selected = |key: &Vec<u8>| {
                let edits = sub.entries.iter().any(|entry| match entry {
                    Entry::Edited(_, Edit::Add | Edit::Set, selectors) => selectors.matches(key),
                    _ => false,
                });
                edits || sub.selectors.matches(key)
            };
            if !keys.iter().any(is_ever_selected) {
                let keys = keys.iter().map(|key| key.as_slice().into()).collect();
                insert("deliver what does not match", event(*seq, *value, keys));
            }
        }
    }
}

/// An event without payloads.
fn event(seq: Seq, value: u64, keys: Vec<Box<[u8]>>) -> Delivery {
    let payloads = vec![fingerprint(&()); keys.len()];
    Delivery::Event {
        seq,
        value,
        keys,
        payloads,
    }
}
