//! Progress marks: never lost, never wrong.

mod count;

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rangewatch_bus::timer::{ManualTimer, Sleep, Timer};
use rangewatch_bus::{
    EventSubscription, History, Item, Overflow, ProgressError, RangeWatchBus, RecvError,
    SubscribeError, TryRecvError,
};

use crate::count::counting;

const MINUTE: Duration = Duration::from_secs(60);

fn with_history(n_events: usize) -> RangeWatchBus {
    let history = History::events(n_events);
    RangeWatchBus::builder().history(history).build().unwrap()
}

fn emit(bus: &RangeWatchBus, values: impl IntoIterator<Item = u64>) {
    for value in values {
        bus.emit(value, ["k"]).unwrap();
    }
}

/// The items in the queue: events by their value, gaps by their last, marks.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Event(u64),
    Gap(u64),
    Mark(u64),
    Lagged(u64),
}

fn items(sub: &mut EventSubscription) -> Vec<Got> {
    let mut items = Vec::new();
    loop {
        items.push(match sub.try_recv_item() {
            Ok(Item::Event(event)) => Got::Event(event.value()),
            Ok(Item::Gap(gap)) => Got::Gap(gap.last()),
            Ok(Item::Progress(mark)) => Got::Mark(mark),
            Err(TryRecvError::Lagged(missed)) => Got::Lagged(missed),
            _ => return items,
        });
    }
}

#[test]
fn g09_a_mark_is_received_by_a_subscription_that_never_matched() {
    let bus = with_history(10);
    let mut sub = bus.subscribe("x"..).events(1).unwrap();
    assert_eq!(sub.request_progress(), Ok(None), "nothing was emitted yet");
    emit(&bus, 1..=3);
    assert_eq!(sub.request_progress(), Ok(Some(3)));
    assert_eq!(items(&mut sub), [Got::Mark(3)]);
    assert_eq!(sub.position(), Some(3));
    bus.advance(9).unwrap();
    assert_eq!(sub.request_progress(), Ok(Some(9)));
    assert_eq!(items(&mut sub), [Got::Mark(9)]);
}

#[test]
fn g09_a_mark_comes_behind_what_is_queued_and_before_what_is_emitted_later() {
    let bus = with_history(10);
    let mut sub = bus.subscribe(..).events(5).unwrap();
    emit(&bus, 1..=2);
    sub.request_progress().unwrap();
    assert_eq!((sub.len(), sub.lag()), (2, 2), "a mark takes no place");
    emit(&bus, [3]);
    sub.request_progress().unwrap();
    let expected = [
        Got::Event(1),
        Got::Event(2),
        Got::Mark(2),
        Got::Event(3),
        Got::Mark(3),
    ];
    assert_eq!(items(&mut sub), expected);
}

#[test]
fn g09_marks_that_are_not_received_are_few_and_the_latest_is_among_them() {
    let bus = with_history(100);
    let mut sub = bus.subscribe(..).events(100).unwrap();
    for value in 1..=50 {
        emit(&bus, [value]);
        sub.request_progress().unwrap();
    }
    let items = items(&mut sub);
    let marks: Vec<_> = items
        .iter()
        .filter(|item| matches!(item, Got::Mark(_)))
        .collect();
    assert!(marks.len() <= 5, "{marks:?}");
    assert_eq!(items.last(), Some(&Got::Mark(50)));
    let mut last = 0;
    for item in items {
        match item {
            Got::Event(value) => assert_eq!(value, std::mem::replace(&mut last, value) + 1),
            Got::Mark(mark) => assert_eq!(mark, last),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn g09_marks_that_were_received_make_place_for_others() {
    let bus = with_history(100);
    let mut sub = bus.subscribe(..).events(100).unwrap();
    for round in 0..10 {
        let mut expected = Vec::new();
        for value in round * 3 + 1..=round * 3 + 3 {
            emit(&bus, [value]);
            sub.request_progress().unwrap();
            expected.extend([Got::Event(value), Got::Mark(value)]);
        }
        assert_eq!(items(&mut sub), expected);
    }
}

#[test]
fn g09_a_mark_survives_every_overflow() {
    let asked = |overflow| {
        let bus = with_history(100);
        let mut sub = bus.subscribe(..).overflow(overflow).events(2).unwrap();
        emit(&bus, 1..=2);
        assert_eq!(sub.request_progress(), Ok(Some(2)));
        emit(&bus, 3..=5);
        items(&mut sub)
    };
    use Got::{Event, Gap, Lagged, Mark};
    assert_eq!(
        asked(Overflow::Lagged),
        [Lagged(3), Mark(2), Event(4), Event(5)]
    );
    // The mark behind the gap is raised.
    assert_eq!(
        asked(Overflow::Coalesce),
        [Event(1), Event(2), Gap(5), Mark(5)]
    );
    assert_eq!(asked(Overflow::Disconnect), [Event(1), Event(2), Mark(2)]);
    let all = [Event(1), Event(2), Event(3), Event(4), Event(5), Mark(5)];
    assert_eq!(asked(Overflow::Park), all);
    assert_eq!(asked(Overflow::Backpressure), all);
}

#[test]
fn g09_a_mark_requested_while_parked_is_received_after_the_replay() {
    let bus = with_history(100);
    emit(&bus, 1..=4);
    let mut sub = bus.subscribe(..).since(1).events(2).unwrap();
    assert_eq!(sub.request_progress(), Ok(Some(4)));
    use Got::{Event, Mark};
    assert_eq!(
        items(&mut sub),
        [Event(1), Event(2), Event(3), Event(4), Mark(4)]
    );
}

#[test]
fn g09_a_mark_below_what_a_subscription_was_started_after_does_not_come() {
    let bus = with_history(100);
    let mut sub = bus.subscribe(..).hold().events(1).unwrap();
    emit(&bus, [1]);
    sub.request_progress().unwrap();
    sub.start_after(5).unwrap();
    assert_eq!(items(&mut sub), []);
    assert_eq!(sub.position(), Some(5));
    emit(&bus, [6]);
    assert_eq!(items(&mut sub), [Got::Event(6)]);
}

#[test]
fn g09_a_mark_between_events_goes_with_those_that_a_start_leaves_out() {
    for (after, expected) in [
        (
            0,
            vec![Got::Event(1), Got::Mark(1), Got::Event(2), Got::Mark(2)],
        ),
        (1, vec![Got::Event(2), Got::Mark(2)]),
        (2, vec![]),
    ] {
        let bus = with_history(100);
        let mut sub = bus.subscribe(..).hold().events(9).unwrap();
        for value in 1..=2 {
            emit(&bus, [value]);
            sub.request_progress().unwrap();
        }
        sub.start_after(after).unwrap();
        assert_eq!(items(&mut sub), expected);
    }
}

#[test]
fn g09_a_closed_bus_gives_the_marks_that_were_asked_for_and_no_others() {
    let bus = with_history(100);
    let mut sub = bus.subscribe(..).events(5).unwrap();
    let mut at_once = bus.subscribe(..).events(5).unwrap();
    emit(&bus, [1]);
    sub.request_progress().unwrap();
    bus.close();
    assert_eq!(
        (sub.request_progress(), at_once.request_progress()),
        (Ok(None), Ok(None))
    );
    assert_eq!(items(&mut sub), [Got::Event(1), Got::Mark(1)]);
    bus.close_now();
    assert_eq!(at_once.request_progress(), Ok(None));
    assert_eq!(at_once.try_recv_item(), Err(TryRecvError::Closed));
}

#[test]
fn g26_marks_without_history_are_refused() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(1).unwrap();
    let error = sub.request_progress().unwrap_err();
    assert_eq!(error, ProgressError::NoHistory);
    assert!(error.to_string().contains("history"), "{error}");
    assert!(matches!(
        bus.subscribe(..).progress_every(MINUTE).events(1),
        Err(SubscribeError::NoHistory)
    ));
}

#[test]
fn g09_marks_come_at_an_interval_also_when_nothing_ever_matches() {
    let timer = ManualTimer::new();
    let bus = RangeWatchBus::builder()
        .history(History::events(10))
        .timer(timer.clone())
        .build()
        .unwrap();
    let mut sub = bus
        .subscribe("x"..)
        .progress_every(MINUTE)
        .events(1)
        .unwrap();
    assert_eq!(timer.n_sleepers(), 0, "time begins with the first receive");
    emit(&bus, 1..=3);
    let (waker, count) = counting();
    let mut cx = Context::from_waker(&waker);
    for round in 1..=3 {
        assert_eq!(sub.poll_recv_item(&mut cx), Poll::Pending);
        timer.advance(MINUTE / 2);
        assert_eq!(sub.poll_recv_item(&mut cx), Poll::Pending);
        assert_eq!(timer.n_sleepers(), 1);
        timer.advance(MINUTE);
        assert_eq!(count.n_wakes(), round);
        assert_eq!(
            sub.poll_recv_item(&mut cx),
            Poll::Ready(Ok(Item::Progress(3)))
        );
    }
    // `recv` skips marks.
    assert_eq!(sub.poll_recv(&mut cx), Poll::Pending);
    timer.advance(2 * MINUTE);
    assert_eq!(sub.poll_recv(&mut cx), Poll::Pending);
    drop(sub);
    assert_eq!(timer.n_sleepers(), 0);
}

/// A timer whose sleeps are over at once.
#[derive(Debug)]
struct Impatient;

impl Timer for Impatient {
    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn g26_a_timer_that_is_always_ready_keeps_neither_events_nor_the_end_from_coming() {
    for interval in [Duration::from_nanos(1), MINUTE, Duration::MAX] {
        let bus = RangeWatchBus::builder()
            .history(History::events(10))
            .timer(Impatient)
            .build()
            .unwrap();
        let mut sub = bus
            .subscribe(..)
            .progress_every(interval)
            .events(5)
            .unwrap();
        let (waker, count) = counting();
        let mut cx = Context::from_waker(&waker);
        assert_eq!(sub.poll_recv(&mut cx), Poll::Pending);
        assert!(count.n_wakes() > 0, "it asks to be polled again");
        emit(&bus, 1..=2);
        for value in 1..=2 {
            match sub.poll_recv_item(&mut cx) {
                Poll::Ready(Ok(Item::Event(event))) => assert_eq!(event.value(), value),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(
            sub.poll_recv_item(&mut cx),
            Poll::Ready(Ok(Item::Progress(2)))
        );
        bus.close();
        let ended =
            (0..3).any(|_| sub.poll_recv_item(&mut cx) == Poll::Ready(Err(RecvError::Closed)));
        assert!(ended, "marks kept the end from coming");
    }
}

#[test]
fn a_sleep_of_a_manual_timer_is_over_when_its_time_has_passed_exactly() {
    let timer = ManualTimer::new();
    let mut cx = Context::from_waker(Waker::noop());
    let mut sleep = timer.sleep(MINUTE);
    assert!(sleep.as_mut().poll(&mut cx).is_pending());
    timer.advance(MINUTE);
    assert_eq!(timer.n_sleepers(), 0);
    assert!(sleep.as_mut().poll(&mut cx).is_ready());
}
