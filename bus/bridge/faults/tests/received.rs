//! What the fault test and the simulation would find.

use bytes::Bytes;
use rangewatch_bridge_faults::{FIRST, Machine, Received};
use rangewatch_bus::{Event, History, RangeWatchBus, Selector};

const PREFIX: &str = "k/1";
const MACHINE: Machine = Machine::new(7);

/// The events of a subscription that begins with the first value, and one of another machine.
fn events() -> (Vec<Event<Bytes>>, Event<Bytes>) {
    let received = |machine: Machine| {
        let bus = RangeWatchBus::builder().payloads();
        let bus = bus.history(History::events(1000)).build().expect("a bus");
        for value in FIRST..300 {
            bus.emit_with(value, machine.emit(value)).expect("an emit");
        }
        let builder = bus.subscribe(Selector::prefix(PREFIX)).since(0);
        let mut events = builder.events(1000).expect("a subscription");
        std::iter::from_fn(|| events.try_recv().ok()).collect::<Vec<_>>()
    };
    let ours = received(MACHINE);
    let other = received(Machine::new(8)).into_iter();
    let mut other = other.filter(|event| ours.iter().any(|it| it.value() == event.value()));
    let other = other.next().expect("both emit something at a value");
    (ours, other)
}

/// What is found in events.
fn verify<'a>(events: impl IntoIterator<Item = &'a Event<Bytes>>) -> Result<(), String> {
    let mut received = Received::new(MACHINE, PREFIX, 0);
    for event in events {
        received.event(event)?;
    }
    received.verify()
}

fn assert_found(found: Result<(), String>, guarantee: &str) {
    let error = found.unwrap_err();
    assert!(error.contains(guarantee), "{error}");
}

#[test]
fn what_the_machine_emits_is_received() {
    let (events, _) = events();
    assert!(events.len() > 100, "{}", events.len());
    assert_eq!(verify(&events), Ok(()));
    let mut received = Received::new(MACHINE, PREFIX, 0);
    received.lagged(10);
    for event in &events[10..] {
        assert_eq!(received.event(event), Ok(()));
        assert_eq!(received.verify(), Ok(()));
    }
    assert!(received.has_reached(299));
}

#[test]
fn g01_an_event_that_comes_later_is_found() {
    let (mut events, _) = events();
    events.swap(50, 51);
    assert_found(verify(&events), "G3");
}

#[test]
fn g02_an_event_that_is_repeated_is_found() {
    let (events, _) = events();
    let repeated = events[..60].iter().chain(&events[50..]);
    assert_found(verify(repeated), "G2");
}

#[test]
fn g03_an_event_that_is_missing_is_found() {
    let (mut events, _) = events();
    events.remove(50);
    assert_found(verify(&events), "G3");
}

#[test]
fn g04_an_event_of_another_machine_is_found() {
    let (mut events, other) = events();
    let place = events.iter().position(|it| it.value() == other.value());
    events[place.expect("it has an event of that value")] = other;
    assert!(verify(&events).is_err());
}

#[test]
fn g09_a_mark_that_comes_too_early_is_found() {
    let (events, _) = events();
    let mut received = Received::new(MACHINE, PREFIX, 0);
    assert_eq!(received.event(&events[0]), Ok(()));
    assert_eq!(received.progress(events[1].value()), Ok(()));
    assert_found(received.verify(), "G9");
}

#[test]
fn g18_a_wrong_number_of_missed_events_is_found() {
    let (events, _) = events();
    let mut received = Received::new(MACHINE, PREFIX, 0);
    received.lagged(9);
    assert_eq!(received.event(&events[10]), Ok(()));
    assert_found(received.verify(), "G18");
}

#[test]
fn g19_a_wrong_value_to_resume_from_is_found() {
    let (events, _) = events();
    let mut received = Received::new(MACHINE, PREFIX, 0);
    assert_eq!(received.event(&events[0]), Ok(()));
    assert_found(received.disconnected(events[2].value()), "G19");
}
