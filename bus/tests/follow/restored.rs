//! Followers and mirrors of a store and a bus that are restored.

use std::cell::Cell;
use std::collections::BTreeMap;

use futures::FutureExt;
use futures::stream::{self, FusedStream};
use proptest::collection::vec;
use proptest::prelude::*;
use rangewatch_bus::{Follow, FollowError, RangeWatchBus, RecvError};

use crate::cases;
use crate::follower::{Item, Step, causes, drain, next, step, values};
use crate::mirror::{drive, entries};
use crate::store::{Change, ScanError, Store};

/// Restores the store, and then the bus.
fn restore(store: &Store, bus: &RangeWatchBus<Change>, epoch: u64, revision: u64) {
    store.roll_back(revision);
    bus.restore(epoch, Some(revision)).unwrap();
}

fn snapshot(items: &[Item]) -> Vec<(&[u8], u64, u64)> {
    items
        .iter()
        .filter_map(|item| match item {
            Ok(Follow::Snapshot((key, revision, number))) => Some((&**key, *revision, *number)),
            _ => None,
        })
        .collect()
}

#[test]
fn g41_a_restore_begins_a_new_snapshot_after_what_was_emitted_before() {
    for (epoch, lost) in [(1, 3), (1, 0), (0, 3), (0, 0)] {
        let (store, bus) = (Store::default(), Store::bus(Some(9)));
        (1..=4).for_each(|number| store.put(&bus, "a1", number));
        let builder = Store::subscribe(&bus, "a", None);
        let mut follower = builder.follow(9, |_| store.scan("a")).unwrap();
        assert_eq!(drain(&mut follower).len(), 3);
        assert_eq!(follower.epoch(), Some(0));
        store.put(&bus, "a2", 5);
        restore(&store, &bus, epoch, 5 - lost);
        store.put(&bus, "a3", 6);

        let items = drain(&mut follower);
        let floor = 5 - lost + 1;
        assert_eq!(values(&items[..1]), [5], "it was emitted before");
        assert_eq!(
            causes(&items),
            [Some(RecvError::Compacted { floor, epoch })]
        );
        assert_eq!(snapshot(&items).last(), Some(&(&b"a3"[..], floor, 6)));
        assert_eq!(
            items.last(),
            Some(&Ok(Follow::SnapshotEnd { value: floor }))
        );
        assert_eq!(follower.epoch(), Some(epoch));
        store.put(&bus, "a1", 7);
        assert_eq!(values(&drain(&mut follower)), [floor + 1]);
    }
}

#[test]
fn g41_a_scan_of_before_a_restore_is_not_joined_with_events_after_it() {
    let (store, bus) = (Store::default(), Store::bus(Some(9)));
    (1..=5).for_each(|number| store.put(&bus, "a1", number));
    // The first scan is of a replica that lags, and the restore comes before it states its value.
    let n_scans = Cell::new(0);
    let scan = |_| {
        n_scans.set(n_scans.get() + 1);
        if n_scans.get() == 1 {
            restore(&store, &bus, 1, 2);
            (3..=4).for_each(|number| store.put(&bus, "a1", 10 * number));
        }
        let value = if n_scans.get() == 1 {
            4
        } else {
            store.revision()
        };
        let entries = [Ok::<_, ScanError>((b"a1".to_vec(), value, 0))];
        async move { Ok((value, stream::iter(entries))) }
    };
    let builder = Store::subscribe(&bus, "a", None);
    let mut follower = builder.follow(9, scan).unwrap();
    let items = drain(&mut follower);
    // As if the new value 4 were the old one, it would be left out.
    let compacted = RecvError::Compacted { floor: 3, epoch: 1 };
    assert_eq!(causes(&items), [None, Some(compacted)]);
    assert_eq!(
        (n_scans.get(), items.last()),
        (2, Some(&Ok(Follow::SnapshotEnd { value: 4 })))
    );
}

#[test]
fn g41_a_checkpoint_of_another_epoch_begins_with_a_snapshot() {
    let (store, bus) = (Store::default(), Store::bus(Some(9)));
    (1..=5).for_each(|number| store.put(&bus, "a1", number));
    restore(&store, &bus, 1, 3);
    (4..=5).for_each(|number| store.put(&bus, "a2", number));
    let resumed = |epoch| {
        let builder = Store::subscribe(&bus, "a", None)
            .since_after(4)
            .epoch(epoch);
        drain(&mut builder.follow(9, |_| store.scan("a")).unwrap())
    };
    assert_eq!(values(&resumed(1)), [5]);
    let items = resumed(0);
    assert_eq!(
        causes(&items),
        [Some(RecvError::Compacted { floor: 4, epoch: 1 })]
    );
    assert_eq!(items.last(), Some(&Ok(Follow::SnapshotEnd { value: 5 })));
}

#[test]
fn g41_a_mirror_of_a_store_that_was_restored_has_nothing_of_before() {
    for (epoch, revision) in [(1, 2), (1, 6), (1, 9), (0, 2), (0, 9)] {
        let (store, bus) = (Store::default(), Store::bus(Some(9)));
        store.put(&bus, "a1", 1);
        (2..=6).for_each(|number| store.put(&bus, "a2", number));
        let (mirror, mut driver) = Store::subscribe(&bus, "a", None)
            .mirror(4, |_| store.scan("a"), |_, change: &Change| *change)
            .unwrap();
        assert!(drive!(driver).is_none());
        assert_eq!((mirror.value(), mirror.get("a2")), (Some(6), Some(6)));
        let mut waits = Box::pin(mirror.wait_until(8));
        assert!((&mut waits).now_or_never().is_none());

        restore(&store, &bus, epoch, revision);
        assert_eq!(mirror.get("a2"), Some(6), "it is readable");
        // Until the new snapshot is complete nothing is known of its epoch.
        assert!(driver.run().now_or_never().is_none());
        assert_eq!(mirror.value(), None);
        let mut reads = Box::pin(mirror.wait_until(1));
        assert!((&mut reads).now_or_never().is_none());
        assert!(drive!(driver).is_none());
        assert_eq!(mirror.value(), Some(revision));
        assert_eq!(reads.now_or_never(), Some(Ok(())));
        let of = |key: &str, number| (key.to_owned(), number);
        let a2 = if revision < 6 { 2 } else { 6 };
        assert_eq!(entries(&mirror), [of("a1", 1), of("a2", a2)]);

        // It waits for the value 8 of the new epoch, which changes nothing here.
        assert_eq!((&mut waits).now_or_never().is_some(), revision >= 8);
        while store.revision() < 8 {
            store.put(&bus, "b", 0);
            assert!(drive!(driver).is_none());
        }
        if revision < 8 {
            assert_eq!(waits.now_or_never(), Some(Ok(())));
        }
        store.put(&bus, "a2", 20);
        assert!(drive!(driver).is_none());
        assert_eq!(
            (mirror.value(), mirror.get("a2")),
            (Some(store.revision()), Some(20))
        );
    }
}

#[test]
fn g41_a_mirror_that_is_restored_during_its_snapshot_takes_another_one() {
    let (store, bus) = (Store::default(), Store::bus(Some(9)));
    (1..=6).for_each(|number| store.put(&bus, "a1", number));
    let (mirror, mut driver) = Store::subscribe(&bus, "a", None)
        .mirror(4, |_| store.scan("a"), |_, change: &Change| *change)
        .unwrap();
    // The scan has stated 6.
    assert!(driver.run().now_or_never().is_none());
    restore(&store, &bus, 1, 2);
    assert!(drive!(driver).is_none());
    assert_eq!((mirror.value(), mirror.get("a1")), (Some(2), Some(2)));
    bus.close();
    assert_eq!(drive!(driver), Some(Ok(())));
    assert_eq!(mirror.value(), Some(2));
}

/// A step, or a restore: how many revisions are lost, and whether the epoch stays.
#[derive(Clone, Debug)]
enum Restorable {
    Step(Step),
    Restore(u64, bool),
}

fn steps() -> impl Strategy<Value = Vec<Restorable>> {
    let restore = (0..6_u64, any::<bool>());
    let step = prop_oneof![
        12 => step().prop_map(Restorable::Step),
        1 => restore.prop_map(|(n_lost, stays)| Restorable::Restore(n_lost, stays)),
    ];
    vec(step, 0..60)
}

/// Runs the steps, and then polls until everything must have been received. `poll` polls the
/// follower or the mirror; it, and this, returns `false` if that has ended.
fn run(
    store: &Store,
    bus: &RangeWatchBus<Change>,
    steps: Vec<Restorable>,
    mut poll: impl FnMut() -> Result<bool, TestCaseError>,
) -> Result<bool, TestCaseError> {
    for step in steps {
        match step {
            Restorable::Restore(n_lost, stays) => {
                let epoch = bus.epoch().unwrap() + u64::from(!stays);
                restore(store, bus, epoch, store.revision().saturating_sub(n_lost));
            }
            Restorable::Step(Step::Commit(changes)) => store.commit(bus, &changes),
            Restorable::Step(Step::Poll(n)) => {
                for _ in 0..n {
                    if !poll()? {
                        return Ok(false);
                    }
                }
            }
            Restorable::Step(Step::Compact(n)) => {
                let _ = bus.compact((store.revision() + 1).saturating_sub(n));
            }
            Restorable::Step(Step::FailAfter(n)) => store.fail_after(n),
            Restorable::Step(Step::Lag(n)) => store.lag(n),
            Restorable::Step(Step::Progress) => {}
        }
    }
    for _ in 0..200 {
        if !poll()? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The keys with "a" of a store.
fn contents(store: &Store) -> BTreeMap<Vec<u8>, u64> {
    let keys = store.keys().into_iter().filter(|key| key.starts_with(b"a"));
    let number = |key: &Vec<u8>| store.at(key, u64::MAX).and_then(|(_, number)| number);
    keys.filter_map(|key| Some((key.clone(), number(&key)?)))
        .collect()
}

proptest! {
    #![proptest_config(cases::config())]

    #[test]
    fn g41_a_follower_ends_with_what_the_store_has_whatever_was_restored(
        steps in steps(),
        capacity in 1..4_usize,
    ) {
        let (store, bus) = (Store::default(), Store::bus(Some(3)));
        let builder = Store::subscribe(&bus, "a", None);
        let mut follower = builder.follow(capacity, |_| store.scan("a")).unwrap();
        let (mut staged, mut copy) = (BTreeMap::new(), BTreeMap::new());
        let complete = run(&store, &bus, steps, || {
            let std::task::Poll::Ready(item) = next(&mut follower) else {
                return Ok(true);
            };
            match item {
                None => return Ok(false),
                Some(Ok(Follow::SnapshotBegin { .. })) => staged.clear(),
                Some(Ok(Follow::Snapshot((key, revision, number)))) => {
                    staged.insert(key, (revision, number));
                }
                Some(Ok(Follow::SnapshotEnd { .. })) => copy = std::mem::take(&mut staged),
                Some(Ok(Follow::Event(event))) => {
                    for (key, change) in event.entries() {
                        let seen = copy.get(key).map(|(revision, _)| *revision);
                        match change {
                            _ if seen > Some(event.value()) => continue,
                            Some(number) => copy.insert(key.to_vec(), (event.value(), *number)),
                            None => copy.remove(key),
                        };
                    }
                }
                Some(Ok(Follow::Progress(_)) | Err(FollowError::Scan(ScanError))) => {}
                Some(Err(FollowError::SnapshotTooSlow { .. })) => return Ok(false),
                Some(Err(error)) => return Err(TestCaseError::fail(format!("{error:?}"))),
            }
            Ok(true)
        })?;
        if complete {
            let copy = copy.into_iter().map(|(key, (_, number))| (key, number));
            prop_assert_eq!(copy.collect::<BTreeMap<_, _>>(), contents(&store));
        } else {
            prop_assert!(follower.is_terminated());
        }
    }

    #[test]
    fn g41_a_mirror_ends_with_what_the_store_has_whatever_was_restored(
        steps in steps(),
        capacity in 1..4_usize,
    ) {
        let (store, bus) = (Store::default(), Store::bus(Some(3)));
        let (mirror, mut driver) = Store::subscribe(&bus, "a", None)
            .mirror(capacity, |_| store.scan("a"), |_, change: &Change| *change)
            .unwrap();
        let complete = run(&store, &bus, steps, || {
            // A reader of what was written last.
            let _ = mirror.wait_until(store.revision()).now_or_never();
            match driver.run().now_or_never() {
                None | Some(Err(FollowError::Scan(ScanError))) => Ok(true),
                Some(Err(FollowError::SnapshotTooSlow { .. })) => Ok(false),
                Some(done) => Err(TestCaseError::fail(format!("{done:?}"))),
            }
        })?;
        if complete {
            let mut waits = Box::pin(mirror.wait_until(store.revision()));
            let reached = (0..200).find_map(|_| {
                let _ = driver.run().now_or_never();
                (&mut waits).now_or_never()
            });
            prop_assert_eq!(reached, Some(Ok(())));
            prop_assert_eq!(mirror.value(), Some(store.revision()));
            let has = entries(&mirror).into_iter().map(|(key, number)| (key.into_bytes(), number));
            prop_assert_eq!(has.collect::<BTreeMap<_, _>>(), contents(&store));
        }
    }
}
