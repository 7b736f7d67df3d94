//! Every error is reached once and says what to do, and no misuse panics.

use std::error::Error;
use std::time::Duration;

use futures::executor::block_on;
use rangewatch_bus::{
    BuildError, Closed, CompactError, ControlError, EmitError, History, Overflow, ProgressError,
    RangeWatchBus, RecvError, Selector, SubscribeError, TryRecvError, TryWakeError,
};

fn with_history(n_events: usize) -> RangeWatchBus {
    let history = History::events(n_events);
    RangeWatchBus::builder().history(history).build().unwrap()
}

/// That `error` is `expected` and says `text`, in lower case and without a full stop.
#[track_caller]
fn says<E: Error + PartialEq>(error: E, expected: E, text: &str) {
    assert_eq!(error, expected);
    let message = error.to_string();
    assert!(message.contains(text), "{message}");
    assert!(
        message.starts_with(|first: char| first.is_lowercase()),
        "{message}"
    );
    assert!(
        !message.ends_with('.') && !message.contains("  "),
        "{message:?}"
    );
}

#[test]
fn g26_a_bus_that_cannot_be_built_says_why() {
    let build = |history, head| {
        let mut builder = RangeWatchBus::builder();
        if let Some(history) = history {
            builder = builder.history(history);
        }
        if let Some(head) = head {
            builder = builder.head(head);
        }
        builder.build().map(|bus| bus.head())
    };
    let error = |history, head| build(history, head).unwrap_err();
    let empty = "at least one event and one byte";
    says(
        error(Some(History::events(0)), None),
        BuildError::EmptyHistory,
        empty,
    );
    let no_bytes = History::events(1).bytes(0);
    says(
        error(Some(no_bytes), Some(1)),
        BuildError::EmptyHistory,
        empty,
    );
    says(
        error(None, Some(1)),
        BuildError::HeadWithoutHistory,
        "call `history`",
    );
    says(
        RangeWatchBus::builder().epoch(0).build().unwrap_err(),
        BuildError::EpochWithoutHistory,
        "call `history`",
    );
    let huge = History::events(usize::MAX).bytes(usize::MAX);
    for head in [u64::MAX, u64::MAX - 1] {
        says(
            error(Some(huge), Some(head)),
            BuildError::LastHead,
            "below u64::MAX - 1",
        );
    }
    assert_eq!(
        build(Some(huge), Some(u64::MAX - 2)),
        Ok(Some(u64::MAX - 2))
    );
    let refused = RangeWatchBus::builder().max_subscriptions(0).build();
    says(
        refused.unwrap_err(),
        BuildError::ZeroSubscriptions,
        "more than 0",
    );
}

#[test]
fn g26_a_subscription_that_is_refused_says_why() {
    let (bus, plain) = (with_history(1), RangeWatchBus::new());
    bus.emit(7, ["k"]).unwrap();
    bus.emit(9, ["k"]).unwrap();
    let empty = SubscribeError::EmptyRange {
        from: (*b"b").into(),
        to: (*b"a").into(),
    };
    let refused = bus.subscribe(Selector::range("b", "a")).events(1);
    says(refused.unwrap_err(), empty, "holds no key");
    let refused = bus.subscribe(..).events(0).unwrap_err();
    says(refused, SubscribeError::ZeroCapacity, "more than 0");
    let refused = bus.subscribe(..).queue_bytes(0).events(1).unwrap_err();
    says(refused, SubscribeError::ZeroCapacity, "one byte");
    let builder = bus.subscribe(..).progress_every(Duration::ZERO);
    let refused = builder.events(1).unwrap_err();
    says(refused, SubscribeError::ZeroInterval, "above zero");
    for builder in [
        bus.subscribe(..).overflow(Overflow::Lagged),
        bus.subscribe(..).queue_bytes(1),
        bus.subscribe(..).progress_every(Duration::MAX),
    ] {
        let refused = builder.wake().unwrap_err();
        says(refused, SubscribeError::NoQueue, "subscribe for events");
    }
    let full = RangeWatchBus::builder().max_subscriptions(1);
    let full = full.build().unwrap();
    let _only = full.reserve().wake().unwrap();
    says(
        full.subscribe(..).events(1).unwrap_err(),
        SubscribeError::TooManySubscriptions { max: 1 },
        "drop those",
    );
    let refused = bus.reserve().since(9).wake().unwrap_err();
    says(refused, SubscribeError::SinceReserved, "subscribe and hold");
    let refused = bus.reserve().since(9).events(1).unwrap_err();
    says(refused, SubscribeError::SinceReserved, "subscribe and hold");
    let held = bus.subscribe(..).hold().events(1).unwrap().try_recv();
    says(held.unwrap_err(), TryRecvError::NotStarted, "start it");
    let held = bus.reserve().wake().unwrap().try_recv();
    says(held.unwrap_err(), TryWakeError::NotStarted, "start it");
    let refused = bus.subscribe(..).since(7).events(1).unwrap_err();
    says(
        refused,
        SubscribeError::Compacted { floor: 8, epoch: 0 },
        "since 8 or later",
    );
    for builder in [
        plain.subscribe(..).since(0),
        plain.subscribe(..).overflow(Overflow::Park),
        plain.subscribe(..).progress_every(Duration::MAX),
    ] {
        let refused = builder.events(1).unwrap_err();
        says(refused, SubscribeError::NoHistory, "history");
    }
    plain.close();
    let refused = plain.subscribe(..).wake().unwrap_err();
    says(refused, SubscribeError::Closed, "closed");
    let refused = plain.reserve().events(1).unwrap_err();
    says(refused, SubscribeError::Closed, "closed");
}

#[test]
fn g26_an_emit_that_is_refused_says_why() {
    let (bus, plain) = (with_history(1), RangeWatchBus::new());
    bus.emit(7, ["k"]).unwrap();
    let falls = EmitError::NotIncreasing { value: 7, head: 7 };
    says(bus.emit(7, ["k"]).unwrap_err(), falls, "above the head, 7");
    let last = bus.emit(u64::MAX, ["k"]).unwrap_err();
    says(last, EmitError::LastValue, "u64::MAX");
    says(
        plain.emit_next(["k"]).unwrap_err(),
        EmitError::NoHistory,
        "history",
    );
    says(
        plain.advance(1).unwrap_err(),
        EmitError::NoHistory,
        "history",
    );
    says(
        plain.compact(1).unwrap_err(),
        CompactError::NoHistory,
        "history",
    );
    bus.close();
    let closed = block_on(bus.emit_async(8, ["k"])).unwrap_err();
    says(closed, EmitError::Closed, "closed");
    says(bus.advance(8).unwrap_err(), EmitError::Closed, "closed");
    says(
        bus.emit_next(["k"]).unwrap_err(),
        EmitError::Closed,
        "closed",
    );
    assert_eq!(bus.compact(8), Ok(8), "what is closed can be compacted");
}

#[test]
fn g26_a_compaction_that_is_refused_says_why() {
    let bus = with_history(1);
    let error = bus.compact(1).unwrap_err();
    assert_eq!(
        error,
        CompactError::AboveHead {
            value: 1,
            head: None
        }
    );
    bus.emit(7, ["k"]).unwrap();
    match bus.compact(u64::MAX) {
        Err(error @ CompactError::AboveHead { value, head, .. }) => {
            assert_eq!((value, head), (u64::MAX, Some(7)));
            assert!(error.to_string().contains("the head is 7"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn g26_a_receive_without_an_item_says_why() {
    let bus = with_history(2);
    let subscribe = |overflow| bus.subscribe(..).overflow(overflow).events(1).unwrap();
    let mut lagged = subscribe(Overflow::Lagged);
    let mut gap = subscribe(Overflow::Coalesce);
    let mut ended = subscribe(Overflow::Disconnect);
    let mut parked = subscribe(Overflow::Park);
    let mut wake = bus.subscribe(..).wake().unwrap();
    says(
        lagged.try_recv().unwrap_err(),
        TryRecvError::Empty,
        "try again",
    );
    says(
        wake.try_recv().unwrap_err(),
        TryWakeError::Empty,
        "try again",
    );
    for value in 1..=9 {
        bus.emit(value, ["k"]).unwrap();
    }
    says(
        block_on(lagged.recv()).unwrap_err(),
        RecvError::Lagged(8),
        "missed 8 events",
    );
    for sub in [&mut gap, &mut ended, &mut parked] {
        assert_eq!(sub.try_recv().unwrap().value(), 1);
    }
    let coalesced = gap.try_recv().unwrap_err();
    let text = coalesced.to_string();
    assert!(
        text.contains("8 events") && text.contains("from 2 to 9"),
        "{text}"
    );
    let end = RecvError::Disconnected { resume: 2 };
    says(
        block_on(ended.recv()).unwrap_err(),
        end,
        "subscribe again since 2",
    );
    says(
        ended.try_recv().unwrap_err(),
        end.into(),
        "subscribe again since 2",
    );
    let end = RecvError::Compacted { floor: 8, epoch: 0 };
    says(
        block_on(parked.recv()).unwrap_err(),
        end,
        "subscribe again since 8",
    );
    says(
        parked.try_recv().unwrap_err(),
        end.into(),
        "subscribe again since 8",
    );
    assert!(end.is_end() && RecvError::Closed.is_end() && !RecvError::Lagged(1).is_end());
    bus.close();
    lagged.try_recv().unwrap();
    says(
        block_on(lagged.recv()).unwrap_err(),
        RecvError::Closed,
        "closed",
    );
    says(
        lagged.try_recv().unwrap_err(),
        TryRecvError::Closed,
        "closed",
    );
    wake.try_recv().unwrap();
    says(block_on(wake.recv()).unwrap_err(), Closed, "closed");
    says(wake.try_recv().unwrap_err(), TryWakeError::Closed, "closed");
}

#[test]
fn g26_what_a_reserved_subscription_refuses_says_why() {
    let bus = with_history(2);
    let mut events = bus.reserve().events(1).unwrap();
    let mut wake = bus.reserve().wake().unwrap();
    let not_open = "open it with selectors first";
    says(events.start().unwrap_err(), ControlError::NotOpen, not_open);
    says(events.pause().unwrap_err(), ControlError::NotOpen, not_open);
    says(
        events.start_after(1).unwrap_err(),
        ControlError::NotOpen,
        not_open,
    );
    says(
        events.add_selectors(..).unwrap_err(),
        ControlError::NotOpen,
        not_open,
    );
    says(wake.start().unwrap_err(), ControlError::NotOpen, not_open);
    says(wake.pause().unwrap_err(), ControlError::NotOpen, not_open);
    says(
        wake.start_after(1).unwrap_err(),
        ControlError::NotOpen,
        not_open,
    );
    says(
        wake.set_selectors(..).unwrap_err(),
        ControlError::NotOpen,
        not_open,
    );
    assert!(matches!(
        wake.open("b".."a"),
        Err(ControlError::EmptyRange { .. })
    ));
    wake.open(..).unwrap();
    events.open(..).unwrap();
    let open = "already open";
    says(wake.open(..).unwrap_err(), ControlError::AlreadyOpen, open);
    says(
        events.open(..).unwrap_err(),
        ControlError::AlreadyOpen,
        open,
    );
    let mut late = bus.reserve().wake().unwrap();
    bus.close();
    says(late.open(..).unwrap_err(), ControlError::Closed, "closed");
    let plain = RangeWatchBus::new();
    let mut sub = plain.subscribe(..).events(1).unwrap();
    says(
        sub.request_progress().unwrap_err(),
        ProgressError::NoHistory,
        "history",
    );
}

#[test]
fn g26_extreme_values_are_values() {
    for bus in [with_history(usize::MAX), RangeWatchBus::new()] {
        let builder = bus.subscribe(..).queue_bytes(usize::MAX);
        let mut events = builder.events(usize::MAX).unwrap();
        let mut wake = bus.subscribe(..).since(u64::MAX).wake().unwrap();
        let mut none = bus.subscribe(..).queue_bytes(1).events(1).unwrap();
        bus.emit(0, [""]).unwrap();
        bus.emit(u64::MAX - 1, [""]).unwrap();
        // Only without history it is a value to emit.
        let last = bus.emit(u64::MAX, [""]);
        assert_eq!(last.is_ok(), bus.head().is_none());
        let n_expected = if last.is_ok() { 3 } else { 2 };
        assert_eq!(events.lag(), n_expected);
        assert_eq!(wake.lag(), u64::from(last.is_ok()));
        for sub in [&mut events, &mut none] {
            sub.start_after(u64::MAX).unwrap();
            while sub
                .try_recv()
                .is_err_and(|error| error != TryRecvError::Empty)
            {}
        }
        wake.start_after(u64::MAX).unwrap();
        assert!(wake.try_recv().is_err() && events.try_recv().is_err());
        assert_eq!(events.position(), Some(u64::MAX));
        // Nothing lies above it.
        if last.is_ok() {
            assert_eq!(bus.emit(u64::MAX, [""]).unwrap().matched(), 0);
        }
        assert!(events.stats().is_conserved() && wake.stats().is_conserved());
        let _ = (
            bus.compact(u64::MAX),
            bus.advance(u64::MAX),
            events.request_progress(),
        );
    }
}
