//! Mirrors of a store that changes while it is scanned, compacts and fails.

use std::cell::OnceCell;
use std::sync::Arc;
use std::task::Context;

use futures::FutureExt;
use futures::stream::{self, Stream};
use proptest::prelude::*;
use rangewatch_bus::{
    FollowError, History, Mirror, MirrorDriver, MirrorStopped, Overflow, RangeWatchBus, Selector,
};

use crate::cases;
use crate::count::counting;
use crate::follower::{Step, steps};
use crate::store::{Change, Entry, ScanError, Store};

/// Polls the driver until it waits. Returns what it has returned.
macro_rules! drive {
    ($driver:expr) => {{
        // The scan of the store is pending at every other poll.
        let mut done = None;
        for _ in 0..64 {
            done = $driver.run().now_or_never();
            if done.is_some() {
                break;
            }
        }
        done
    }};
}

macro_rules! mirror {
    ($store:expr, $bus:expr) => {
        Store::subscribe(&$bus, "a", None)
            .mirror(4, |_| $store.scan("a"), |_, change: &Change| *change)
            .unwrap()
    };
}

pub(crate) use drive;

pub(crate) fn entries(mirror: &Mirror<u64>) -> Vec<(String, u64)> {
    let entries = mirror.range(..).unwrap().into_iter();
    let text = |key: Arc<[u8]>| String::from_utf8(key.to_vec()).unwrap();
    entries.map(|(key, number)| (text(key), number)).collect()
}

#[test]
fn g41_a_mirror_has_the_snapshot_and_every_later_change() {
    let (store, bus) = (Store::default(), Store::bus(Some(8)));
    store.put(&bus, "a1", 10);
    store.put(&bus, "a2", 20);
    store.put(&bus, "b", 1);
    let (mirror, mut driver) = mirror!(store, bus);
    assert_eq!((mirror.value(), mirror.len()), (None, 0));
    assert!(drive!(driver).is_none());
    assert_eq!((mirror.value(), mirror.get("a1")), (Some(3), Some(10)));

    store.delete(&bus, "a1");
    store.commit(&bus, &[(b"a3".into(), Some(1)), (b"a3".into(), Some(30))]);
    assert!(drive!(driver).is_none());
    let expected = [("a2", 20), ("a3", 30)].map(|(key, number)| (key.to_owned(), number));
    assert_eq!(
        (mirror.value(), entries(&mirror)),
        (Some(5), expected.to_vec())
    );
    assert!(!mirror.contains_key("a1") && mirror.contains_key("a2") && !mirror.is_empty());
    let a2 = mirror
        .range([Selector::key("a2"), Selector::prefix("a2")])
        .unwrap();
    assert_eq!(a2, [(Arc::from(&b"a2"[..]), 20)]);
    assert!(mirror.range("b".."a").is_err());
}

#[test]
fn g41_what_a_scan_has_seen_is_not_taken_back_by_an_older_event() {
    let (store, bus) = (Store::default(), Store::bus(Some(8)));
    store.put(&bus, "a1", 1);
    let scan = |_| {
        // States the revision of before, and shows what is there after.
        let before = store.revision();
        store.put(&bus, "a1", 2);
        store.put(&bus, "a1", 3);
        let entries = [
            Ok::<_, ScanError>(("a1", store.revision(), 3)),
            Ok(("b1", 1, 1)),
        ];
        async move { Ok((before, stream::iter(entries))) }
    };
    let shown = OnceCell::<Mirror<u64>>::new();
    let mut seen = Vec::new();
    let change = |_: &[u8], change: &Change| {
        seen.push(shown.get().and_then(|mirror| mirror.get("a1")));
        *change
    };
    let (mirror, mut driver) = Store::subscribe(&bus, "a", None)
        .mirror(4, scan, change)
        .unwrap();
    shown.set(mirror.clone()).unwrap();
    assert!(driver.run().now_or_never().is_none());
    assert_eq!(
        (mirror.value(), entries(&mirror)),
        (Some(3), vec![("a1".to_owned(), 3)])
    );
    drop(driver);
    // Before the events of the values 2 and 3.
    assert_eq!(seen, [Some(3), Some(3)]);
}

#[test]
fn g41_a_reader_waits_until_a_value_is_reached_whatever_it_changes() {
    let (store, bus) = (Store::default(), Store::bus(Some(8)));
    let (mirror, mut driver) = mirror!(store, bus);
    let (waker, count) = counting();
    let cx = &mut Context::from_waker(&waker);
    let (driver_waker, driven) = counting();
    let driver_cx = &mut Context::from_waker(&driver_waker);

    let mut first = Box::pin(mirror.wait_until(0));
    assert!(first.poll_unpin(cx).is_pending());
    assert!(drive!(driver).is_none());
    assert_eq!(
        (first.poll_unpin(cx).is_ready(), count.n_wakes()),
        (true, 1)
    );

    // Emitted before the wait, and not watched; emitted during it; a head without an emit.
    store.put(&bus, "b", 1);
    assert!(driver.run().poll_unpin_boxed(driver_cx));
    assert_eq!(mirror.value(), Some(0));
    for (n, commit) in [
        None,
        Some(Box::new(|| store.put(&bus, "b", 2)) as Box<dyn Fn()>),
        Some(Box::new(|| bus.advance(3).unwrap())),
        Some(Box::new(|| store_at(&bus, 4, "a1"))),
    ]
    .into_iter()
    .enumerate()
    {
        let value = n as u64 + 1;
        let mut wait = Box::pin(mirror.wait_until(value));
        let before = (count.n_wakes(), driven.n_wakes());
        assert!(wait.poll_unpin(cx).is_pending());
        assert!(driven.n_wakes() > before.1, "the driver is not woken");
        assert!(driver.run().poll_unpin_boxed(driver_cx));
        if let Some(commit) = commit {
            assert!(wait.poll_unpin(cx).is_pending());
            let before = driven.n_wakes();
            commit();
            assert!(
                driven.n_wakes() > before,
                "{value}: the driver is not woken"
            );
            assert!(driver.run().poll_unpin_boxed(driver_cx));
        }
        assert_eq!(count.n_wakes(), before.0 + 1, "{value}");
        assert!(matches!(wait.now_or_never(), Some(Ok(()))));
        assert_eq!(mirror.value(), Some(value));
    }
}

fn store_at(bus: &RangeWatchBus<Change>, value: u64, key: &str) {
    bus.emit_with(value, [(key, Some(1))]).unwrap();
}

/// Polls a future once, and says whether it is pending.
trait PollOnce: Future + Sized {
    fn poll_unpin_boxed(self, cx: &mut Context<'_>) -> bool {
        Box::pin(self).poll_unpin(cx).is_pending()
    }
}

impl<F: Future> PollOnce for F {}

#[test]
fn g41_a_wait_that_is_dropped_leaves_nothing() {
    let (store, bus) = (Store::default(), Store::bus(Some(8)));
    let (mirror, mut driver) = mirror!(store, bus);
    let (waker, count) = counting();
    let mut wait = Box::pin(mirror.wait_until(1));
    assert!(
        wait.poll_unpin(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(wait);
    drop(waker);
    assert_eq!(Arc::strong_count(&count), 1);
    store.put(&bus, "a", 1);
    assert!(drive!(driver).is_none());
    assert_eq!(count.n_wakes(), 0);
}

#[test]
fn g41_a_mirror_stops_with_its_bus_its_driver_and_its_readers() {
    let (store, bus) = (Store::default(), Store::bus(Some(8)));
    store.put(&bus, "a", 1);
    let (mirror, mut driver) = mirror!(store, bus);
    let waits = mirror.clone();
    let waits = waits.wait_until(9);
    assert!(drive!(driver).is_none());
    store.put(&bus, "a", 2);
    store.put(&bus, "b", 2);
    bus.close();
    assert!(matches!(drive!(driver), Some(Ok(()))));
    assert_eq!((mirror.value(), mirror.get("a")), (Some(3), Some(2)));
    assert_eq!(
        waits.now_or_never(),
        Some(Err(MirrorStopped { value: Some(3) }))
    );

    let bus = Store::bus(Some(8));
    let (mirror, driver) = mirror!(store, bus);
    drop(driver);
    let stopped = MirrorStopped { value: None };
    assert_eq!(mirror.wait_until(0).now_or_never(), Some(Err(stopped)));
    assert!(stopped.to_string().contains("before its first snapshot"));

    let (mirror, mut driver) = mirror!(store, bus);
    let other = mirror.clone();
    assert!(drive!(driver).is_none());
    drop(mirror);
    assert!(drive!(driver).is_none());
    let (waker, driven) = counting();
    assert!(
        driver
            .run()
            .poll_unpin_boxed(&mut Context::from_waker(&waker))
    );
    drop(other);
    assert_eq!(driven.n_wakes(), 1);
    assert!(matches!(driver.run().now_or_never(), Some(Ok(()))));
    drop(driver);
    assert_eq!(bus.stats().n_subscriptions(), 0);
}

#[test]
fn g41_a_mirror_whose_scan_fails_goes_on_with_the_next_run() {
    let (store, bus) = (Store::default(), Store::bus(Some(2)));
    store.put(&bus, "a", 1);
    let (mirror, mut driver) = mirror!(store, bus);
    store.fail_after(2);
    let wait = mirror.wait_until(1);
    assert!(matches!(
        drive!(driver),
        Some(Err(FollowError::Scan(ScanError)))
    ));
    assert_eq!((mirror.value(), mirror.len()), (None, 0));
    assert!(drive!(driver).is_none());
    assert_eq!(wait.now_or_never(), Some(Ok(())));
    // A new snapshot that fails leaves the copy as it is.
    for number in 2..=9 {
        store.put(&bus, "a", number);
    }
    store.fail_after(1);
    assert!(matches!(
        drive!(driver),
        Some(Err(FollowError::Scan(ScanError)))
    ));
    assert_eq!((mirror.value(), mirror.get("a")), (Some(5), Some(5)));
    assert!(drive!(driver).is_none());
    assert_eq!((mirror.value(), mirror.get("a")), (Some(9), Some(9)));
}

#[test]
fn g41_a_scan_of_a_store_that_lags_does_not_take_a_mirror_back() {
    let history = History::events(4);
    let bus = RangeWatchBus::builder()
        .payloads::<Change>()
        .history(history)
        .build()
        .unwrap();
    let mut n_scans = 0;
    let scan = |_| {
        n_scans += 1;
        // The second is of a replica that has seen less.
        let (value, number) = if n_scans == 1 { (5, 5) } else { (3, 3) };
        let entries = [Ok::<_, ScanError>(("a", value, number))];
        async move { Ok((value, stream::iter(entries))) }
    };
    for value in 1..=5 {
        bus.emit_with(value, [("a", Some(value))]).unwrap();
    }
    let shown = OnceCell::<Mirror<u64>>::new();
    let mut seen = Vec::new();
    let change = |_: &[u8], change: &Change| {
        seen.push(shown.get().and_then(|mirror| mirror.get("a")));
        *change
    };
    let builder = bus.subscribe(..).overflow(Overflow::Disconnect);
    let (mirror, mut driver) = builder.mirror(1, scan, change).unwrap();
    shown.set(mirror.clone()).unwrap();
    assert!(driver.run().now_or_never().is_none());
    assert_eq!((mirror.value(), mirror.get("a")), (Some(5), Some(5)));
    // Overflow: a new snapshot, of the value 3. The history has what follows it.
    bus.emit_with(6, [("a", Some(6))]).unwrap();
    bus.emit_with(7, [("a", Some(7))]).unwrap();
    assert!(driver.run().now_or_never().is_none());
    assert_eq!((mirror.value(), mirror.get("a")), (Some(7), Some(7)));
    drop(driver);
    // Before the event 6, and before 4 to 7 of the new copy, which is shown with 6.
    assert_eq!(seen, [5, 6, 6, 6, 6].map(Some));
}

#[test]
fn g41_a_wait_goes_on_when_the_mark_for_it_is_lost() {
    let bus = Store::bus(Some(50_000));
    let mut stated = 1;
    let scan = |_| {
        let value = std::mem::replace(&mut stated, 20_002);
        async move {
            Ok((
                value,
                stream::empty::<Result<(&str, u64, u64), ScanError>>(),
            ))
        }
    };
    bus.emit_with(1, [("a", Some(1))]).unwrap();
    let builder = Store::subscribe(&bus, "a", None);
    let (mirror, mut driver) = builder
        .mirror(1, scan, |_, change: &Change| *change)
        .unwrap();
    assert!(driver.run().now_or_never().is_none());
    // It is parked, and then reads the history, which has no more for it.
    for value in 2..=4 {
        bus.emit_with(value, [("a", Some(value))]).unwrap();
    }
    for value in 5..=20_004 {
        bus.emit_with(value, [("b", None)]).unwrap();
    }
    let mut wait = Box::pin(mirror.wait_until(20_004));
    assert!(wait.as_mut().now_or_never().is_none());
    assert!(driver.run().now_or_never().is_none());
    assert_eq!(mirror.value(), Some(4));
    // The mark is lost with the subscription.
    bus.compact(20_000).unwrap();
    assert!(driver.run().now_or_never().is_none());
    assert_eq!(wait.now_or_never(), Some(Ok(())));
    assert_eq!(mirror.value(), Some(20_004));
}

#[test]
fn a_driver_does_not_keep_its_thread_from_other_tasks() {
    let history = History::events(10_000);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    let scan = |_| async { Ok((0, stream::empty::<Result<(&str, u64, u64), ScanError>>())) };
    let (mirror, mut driver) = bus
        .subscribe(..)
        .mirror(2_000, scan, |_, ()| Some(1))
        .unwrap();
    assert!(driver.run().now_or_never().is_none());
    for value in 1..=1_000 {
        bus.emit(value, ["k"]).unwrap();
    }
    let (waker, count) = counting();
    assert!(
        driver
            .run()
            .poll_unpin_boxed(&mut Context::from_waker(&waker))
    );
    assert!(mirror.value() < Some(1_000) && count.n_wakes() == 1);
    assert!(drive!(driver).is_none());
    assert_eq!(mirror.value(), Some(1_000));
}

/// The mirror shows each key as of a revision that is not below its value.
fn check(store: &Store, mirror: &Mirror<u64>) -> Result<(), TestCaseError> {
    let Some(value) = mirror.value() else {
        prop_assert!(mirror.is_empty());
        return Ok(());
    };
    for key in store.keys() {
        let has = mirror.get(&key);
        if !key.starts_with(b"a") {
            prop_assert_eq!(has, None);
            continue;
        }
        let revisions = value..=store.revision();
        let mut states = revisions.map(|at| store.at(&key, at).and_then(|(_, number)| number));
        prop_assert!(
            states.any(|state| state == has),
            "{key:?} at {value}: {has:?}"
        );
    }
    Ok(())
}

fn run<F, Fut, S>(
    store: &Store,
    bus: &RangeWatchBus<Change>,
    mirror: &Mirror<u64>,
    driver: &mut MirrorDriver<Change, u64, F, Fut, S, impl FnMut(&[u8], &Change) -> Option<u64>>,
    steps: &[Step],
) -> Result<(), TestCaseError>
where
    F: FnMut(rangewatch_bus::Selectors) -> Fut,
    Fut: Future<Output = Result<(u64, S), ScanError>>,
    S: Stream<Item = Result<Entry, ScanError>>,
{
    let mut shown = None;
    for step in steps {
        match step {
            Step::Commit(changes) => store.commit(bus, changes),
            Step::Poll(n) => {
                for _ in 0..*n {
                    match driver.run().now_or_never() {
                        None | Some(Err(FollowError::Scan(ScanError))) => {}
                        Some(Err(FollowError::SnapshotTooSlow { n_snapshots: 3 })) => return Ok(()),
                        Some(done) => prop_assert!(false, "{done:?}"),
                    }
                    prop_assert!(mirror.value() >= shown, "it went back");
                    shown = mirror.value();
                    check(store, mirror)?;
                }
            }
            Step::Compact(n) => {
                let _ = bus.compact((store.revision() + 1).saturating_sub(*n));
            }
            Step::FailAfter(n) => store.fail_after(*n),
            Step::Lag(n) => store.lag(*n),
            Step::Progress => {
                // Waits for what was just written, for one poll.
                let _ = mirror.wait_until(store.revision()).now_or_never();
            }
        }
    }
    let mut wait = Box::pin(mirror.wait_until(store.revision()));
    for _ in 0..200 {
        if let Some(reached) = wait.as_mut().now_or_never() {
            prop_assert_eq!(reached, Ok(()));
            check(store, mirror)?;
            prop_assert_eq!(mirror.value(), Some(store.revision()));
            return Ok(());
        }
        match driver.run().now_or_never() {
            None | Some(Err(FollowError::Scan(ScanError))) => {}
            Some(Err(FollowError::SnapshotTooSlow { n_snapshots: 3 })) => return Ok(()),
            Some(done) => prop_assert!(false, "{done:?}"),
        }
    }
    prop_assert!(false, "the revision is not reached");
    Ok(())
}

proptest! {
    #![proptest_config(cases::config())]

    #[test]
    fn g41_a_mirror_of_a_store_that_changes_compacts_and_fails_is_never_wrong(
        steps in steps(),
        capacity in 1..4_usize,
    ) {
        let (store, bus) = (Store::default(), Store::bus(Some(3)));
        let (mirror, mut driver) = Store::subscribe(&bus, "a", None)
            .mirror(capacity, |_| store.scan("a"), |_, change: &Change| *change)
            .unwrap();
        run(&store, &bus, &mirror, &mut driver, &steps)?;
    }
}
