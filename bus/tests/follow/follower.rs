//! Followers of a store that changes while it is scanned, compacts and fails.

use std::collections::BTreeMap;
use std::task::Poll;

use futures::stream::{self, FusedStream};
use futures::{FutureExt, Stream, StreamExt};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rangewatch_bus::{
    Event, Follow, FollowError, History, Overflow, ProgressError, RangeWatchBus, RecvError,
    Selector, SubscribeError,
};

use crate::cases;
use crate::store::{Change, Entry, ScanError, Store};

pub(crate) type Item = Result<Follow<Entry, Change>, FollowError<ScanError>>;

/// What can be received now.
pub(crate) fn next(follower: &mut (impl Stream<Item = Item> + Unpin)) -> Poll<Option<Item>> {
    follower
        .next()
        .now_or_never()
        .map_or(Poll::Pending, Poll::Ready)
}

/// Everything that can be received, with the pending polls of the scan.
pub(crate) fn drain(follower: &mut (impl Stream<Item = Item> + Unpin)) -> Vec<Item> {
    let mut items = Vec::new();
    let mut n_pending = 0;
    while n_pending < 2 {
        match next(follower) {
            Poll::Ready(Some(item)) => {
                items.push(item);
                n_pending = 0;
            }
            Poll::Ready(None) => break,
            Poll::Pending => n_pending += 1,
        }
    }
    items
}

pub(crate) fn values(items: &[Item]) -> Vec<u64> {
    let value = |item: &Item| match item {
        Ok(Follow::Event(event)) => Some(event.value()),
        _ => None,
    };
    items.iter().filter_map(value).collect()
}

pub(crate) fn causes(items: &[Item]) -> Vec<Option<RecvError>> {
    let cause = |item: &Item| match item {
        Ok(Follow::SnapshotBegin { cause }) => Some(*cause),
        _ => None,
    };
    items.iter().filter_map(cause).collect()
}

#[test]
fn g41_a_snapshot_is_followed_by_every_later_change_once() {
    for history in [None, Some(2)] {
        let (store, bus) = (Store::default(), Store::bus(history));
        store.put(&bus, "a1", 10);
        store.put(&bus, "a2", 20);
        let builder = Store::subscribe(&bus, "a", None);
        let mut follower = builder.follow(1, |_| store.scan("a")).unwrap();

        assert_eq!(
            next(&mut follower),
            Poll::Ready(Some(Ok(Follow::SnapshotBegin { cause: None })))
        );
        assert!(next(&mut follower).is_pending());
        // In the middle of the scan, which has stated revision 2.
        store.put(&bus, "a3", 30);
        store.put(&bus, "b", 1);
        let items = drain(&mut follower);
        let entries = [("a1", 1, 10), ("a2", 2, 20), ("a3", 3, 30)];
        let mut expected: Vec<Item> = entries
            .map(|(key, revision, number)| Ok(Follow::Snapshot((key.into(), revision, number))))
            .into();
        expected.push(Ok(Follow::SnapshotEnd { value: 2 }));
        assert_eq!(items[..4], expected);
        assert_eq!((values(&items[4..]), items.len()), (vec![3], 5));

        store.delete(&bus, "a1");
        bus.close();
        let Poll::Ready(Some(Ok(Follow::Event(event)))) = next(&mut follower) else {
            panic!("no event");
        };
        assert!(event.entries().eq([(&b"a1"[..], &None)]));
        assert!(matches!(next(&mut follower), Poll::Ready(None)) && follower.is_terminated());
    }
}

#[test]
fn g41_each_kind_of_miss_begins_a_new_snapshot_that_says_so() {
    let gap = |first, last, count| {
        move |cause: &RecvError| match cause {
            RecvError::Coalesced(gap) => {
                (gap.first(), gap.last(), gap.count()) == (first, last, count)
            }
            _ => false,
        }
    };
    type IsCause = Box<dyn Fn(&RecvError) -> bool>;
    let misses: [(Option<usize>, Overflow, IsCause); 4] = [
        (
            None,
            Overflow::Lagged,
            Box::new(|cause| *cause == RecvError::Lagged(4)),
        ),
        (None, Overflow::Coalesce, Box::new(gap(3, 6, 4))),
        (
            None,
            Overflow::Disconnect,
            Box::new(|cause| *cause == RecvError::Disconnected { resume: 3 }),
        ),
        (
            Some(2),
            Overflow::Park,
            Box::new(|cause| *cause == RecvError::Compacted { floor: 5, epoch: 0 }),
        ),
    ];
    for (history, overflow, is_cause) in misses {
        let (store, bus) = (Store::default(), Store::bus(history));
        store.put(&bus, "a", 0);
        let builder = Store::subscribe(&bus, "a", Some(overflow));
        let mut follower = builder.follow(1, |_| store.scan("a")).unwrap();
        let items = drain(&mut follower);
        assert_eq!((items.len(), causes(&items)), (3, vec![None]));
        for number in 1..=5 {
            store.put(&bus, "a", number);
        }
        let items = drain(&mut follower);
        let causes = causes(&items);
        assert!(
            matches!(&causes[..], [Some(cause)] if is_cause(cause)),
            "{overflow:?}: {items:?}"
        );
        let n = items.len();
        let entry = Ok(Follow::Snapshot((b"a".to_vec(), 6, 5)));
        assert_eq!(
            items[n - 2..],
            [entry, Ok(Follow::SnapshotEnd { value: 6 })]
        );
        store.put(&bus, "a", 6);
        assert_eq!(values(&drain(&mut follower)), [7]);
    }
}

#[test]
fn g41_three_snapshots_that_cannot_be_joined_are_the_end() {
    let (store, bus) = (Store::default(), Store::bus(Some(2)));
    store.put(&bus, "a", 0);
    let builder = Store::subscribe(&bus, "a", None);
    let mut n_scans = 0;
    let scan = |_| {
        n_scans += 1;
        store.scan("a")
    };
    let mut follower = builder.follow(1, scan).unwrap();
    let mut items = Vec::new();
    // During each scan more is emitted than the history holds.
    for _ in 0..100 {
        store.put(&bus, "a", 1);
        match next(&mut follower) {
            Poll::Ready(Some(item)) => items.push(item),
            Poll::Ready(None) => break,
            Poll::Pending => {}
        }
    }
    let last = items.pop();
    let n_snapshots = 3;
    assert_eq!(
        last,
        Some(Err(FollowError::SnapshotTooSlow { n_snapshots }))
    );
    assert!(items.iter().all(Result::is_ok) && values(&items).len() < 4);
    assert!(follower.is_terminated());
    drop(follower);
    assert_eq!((n_scans, bus.stats().n_subscriptions()), (3, 0));
}

#[test]
fn g41_a_snapshot_is_not_joined_as_long_as_the_history_is_read() {
    let bus = Store::bus(Some(50_000));
    let mut follower = Store::subscribe(&bus, "a", None)
        .follow(1, |_| {
            let head = bus.head().unwrap_or_default();
            // During the scan: one event in the queue, and many others before the last.
            for value in head + 1..=head + 10_000 {
                let is_watched = value <= head + 2 || value == head + 10_000;
                let key = if is_watched { "a" } else { "b" };
                bus.emit_with(value, [(key, None)]).unwrap();
            }
            async move { Ok((head, stream::empty::<Result<Entry, ScanError>>())) }
        })
        .unwrap();
    for n_snapshots in 1..=3 {
        // The two events, and then a part of the history.
        let mut items = Vec::new();
        while let Poll::Ready(Some(item)) = next(&mut follower) {
            items.push(item);
        }
        assert_eq!((causes(&items).len(), values(&items).len()), (1, 2));
        bus.compact(bus.head().unwrap() + 1).unwrap();
        if n_snapshots == 3 {
            let end = Some(Err(FollowError::SnapshotTooSlow { n_snapshots }));
            assert_eq!(next(&mut follower), Poll::Ready(end));
        }
    }
}

#[test]
fn g41_snapshots_that_are_joined_in_between_are_not_counted() {
    let (store, bus) = (Store::default(), Store::bus(Some(2)));
    let mut follower = Store::subscribe(&bus, "a", None)
        .follow(1, |_| store.scan("a"))
        .unwrap();
    for round in 0..10 {
        let items = drain(&mut follower);
        assert!(items.iter().all(Result::is_ok), "{round}: {items:?}");
        assert_eq!(causes(&items).len(), 1);
        for number in 0..5 {
            store.put(&bus, "a", number);
        }
    }
}

#[test]
fn g41_a_scan_that_fails_is_an_error_and_is_repeated() {
    let (store, bus) = (Store::default(), Store::bus(None));
    store.put(&bus, "a1", 1);
    store.put(&bus, "a2", 2);
    let mut follower = Store::subscribe(&bus, "a", None)
        .follow(8, |_| store.scan("a"))
        .unwrap();
    // At once; after the first entry.
    for n_entries in [0, 2] {
        store.fail_after(n_entries);
        let begin = Poll::Ready(Some(Ok(Follow::SnapshotBegin { cause: None })));
        assert_eq!(next(&mut follower), begin);
        let failed = std::iter::repeat_with(|| next(&mut follower))
            .take(9)
            .find(|item| matches!(item, Poll::Ready(Some(Err(_)))));
        assert_eq!(
            failed,
            Some(Poll::Ready(Some(Err(FollowError::Scan(ScanError)))))
        );
        assert!(!follower.is_terminated());
    }
    store.put(&bus, "a3", 3);
    let items = drain(&mut follower);
    assert_eq!(items.len(), 5, "{items:?}");
    assert_eq!(items[4], Ok(Follow::SnapshotEnd { value: 3 }));
}

#[test]
fn g41_a_follower_that_resumes_begins_with_events_or_with_a_snapshot() {
    let (store, bus) = (Store::default(), Store::bus(Some(3)));
    for number in 1..=6 {
        store.put(&bus, "a", number);
    }
    let follow = |checkpoint: u64| {
        let builder = Store::subscribe(&bus, "a", None).since_after(checkpoint);
        builder.follow(8, |_| store.scan("a")).unwrap()
    };
    let items = drain(&mut follow(3));
    assert_eq!((values(&items), items.len()), (vec![4, 5, 6], 3));
    let items = drain(&mut follow(2));
    assert_eq!(
        causes(&items),
        [Some(RecvError::Compacted { floor: 4, epoch: 0 })]
    );
    assert_eq!(items.last(), Some(&Ok(Follow::SnapshotEnd { value: 6 })));
}

#[test]
fn g26_misuse_of_follow_is_an_error() {
    let bus = RangeWatchBus::new();
    let scan = |_| async { Ok((0, stream::empty::<Result<(&str, u64, ()), ScanError>>())) };
    let error =
        |builder: rangewatch_bus::SubscribeBuilder<'_>| builder.follow(1, scan).unwrap_err();
    assert_eq!(error(bus.reserve()), SubscribeError::FollowReserved);
    assert_eq!(error(bus.subscribe(..).since(1)), SubscribeError::NoHistory);
    assert_eq!(
        error(bus.subscribe(..).overflow(Overflow::Park)),
        SubscribeError::NoHistory
    );
    assert!(matches!(
        error(bus.subscribe("b".."a")),
        SubscribeError::EmptyRange { .. }
    ));
    let none = bus.subscribe(..).follow(0, scan);
    assert_eq!(none.unwrap_err(), SubscribeError::ZeroCapacity);
    let mut follower = bus.subscribe(..).follow(1, scan).unwrap();
    assert_eq!(follower.request_progress(), Err(ProgressError::NoHistory));
    bus.close();
    assert_eq!(error(bus.subscribe(..)), SubscribeError::Closed);
    assert_eq!(bus.stats().n_subscriptions(), 1);

    let history = History::events(1);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    let mirror = |builder: rangewatch_bus::SubscribeBuilder<'_>| {
        builder.mirror(1, scan, |_, ()| Some(())).unwrap_err()
    };
    assert_eq!(
        mirror(bus.subscribe(..).since(0)),
        SubscribeError::SinceMirror
    );
    assert_eq!(mirror(bus.reserve()), SubscribeError::FollowReserved);
    let without = RangeWatchBus::new();
    assert_eq!(mirror(without.subscribe(..)), SubscribeError::NoHistory);
}

#[test]
fn g41_a_bus_that_is_closed_after_a_miss_is_an_error() {
    let (store, bus) = (Store::default(), Store::bus(None));
    let mut follower = Store::subscribe(&bus, "a", None)
        .follow(1, |_| store.scan("a"))
        .unwrap();
    drain(&mut follower);
    store.put(&bus, "a", 1);
    store.put(&bus, "a", 2);
    bus.close();
    let end = FollowError::Subscribe(SubscribeError::Closed);
    assert_eq!(drain(&mut follower), [Err(end)]);
    assert!(follower.is_terminated());
}

/// The history of a closed bus is not read for a store that lags.
#[test]
fn g41_a_bus_that_is_closed_before_a_scan_of_a_store_that_lags_is_an_error() {
    let (store, bus) = (Store::default(), Store::bus(Some(8)));
    (1..=4).for_each(|number| store.put(&bus, "a", number));
    for (n_revisions, is_complete) in [(0, true), (1, false)] {
        store.lag(n_revisions);
        let follow = |bus| {
            let builder = Store::subscribe(bus, "a", None);
            builder.follow(1, |_| store.scan("a")).unwrap()
        };
        let bus = Store::bus(Some(8));
        bus.advance(4).unwrap();
        let mut follower = follow(&bus);
        bus.close();
        let last = drain(&mut follower).pop();
        let end = FollowError::Subscribe(SubscribeError::Closed);
        match is_complete {
            true => assert_eq!(last, Some(Ok(Follow::SnapshotEnd { value: 4 }))),
            false => assert_eq!(last, Some(Err(end))),
        }
        assert!(follower.is_terminated());
    }
}

/// What a consumer makes of the items, checked against the store.
struct Consumer<'a> {
    store: &'a Store,
    staged: BTreeMap<Vec<u8>, (u64, u64)>,
    current: BTreeMap<Vec<u8>, (u64, u64)>,
    /// Everything up to this revision was received.
    seen: u64,
    in_snapshot: bool,
    /// Snapshots in a row after which nothing but a miss was received.
    n_unjoined: u32,
    joins: bool,
    /// The last revision during the scan.
    last_in_scan: u64,
}

impl<'a> Consumer<'a> {
    const fn new(store: &'a Store) -> Self {
        Self {
            store,
            staged: BTreeMap::new(),
            current: BTreeMap::new(),
            seen: 0,
            in_snapshot: false,
            n_unjoined: 0,
            joins: false,
            last_in_scan: 0,
        }
    }

    fn take(&mut self, item: Item) -> Result<(), TestCaseError> {
        match item {
            Ok(Follow::SnapshotBegin { .. }) => {
                // The scan before was too far behind, or could not be joined.
                self.n_unjoined += u32::from(std::mem::take(&mut self.joins) || self.in_snapshot);
                self.staged.clear();
                self.in_snapshot = true;
            }
            Ok(Follow::Snapshot((key, revision, number))) => {
                prop_assert!(self.in_snapshot);
                prop_assert!(self.staged.insert(key, (revision, number)).is_none());
            }
            Ok(Follow::SnapshotEnd { value }) => {
                prop_assert!(std::mem::take(&mut self.in_snapshot));
                self.current = std::mem::take(&mut self.staged);
                self.seen = value;
                self.last_in_scan = self.store.revision();
                self.joins = self.last_in_scan > 0;
                self.check_snapshot()?;
            }
            Ok(Follow::Event(event)) => self.apply(&event)?,
            Ok(Follow::Progress(mark)) => {
                let missed = self.store.next_change("a", self.seen);
                prop_assert!(missed.is_none_or(|missed| missed > mark));
                self.seen = mark;
            }
            Err(FollowError::Scan(ScanError)) => self.in_snapshot = false,
            Err(FollowError::SnapshotTooSlow { n_snapshots }) => {
                prop_assert_eq!(self.n_unjoined + 1, n_snapshots);
                prop_assert!(self.joins || self.in_snapshot);
            }
            Err(error) => prop_assert!(false, "{error:?}"),
        }
        Ok(())
    }

    fn joined(&mut self) {
        self.joins = false;
        self.n_unjoined = 0;
    }

    fn apply(&mut self, event: &Event<Change>) -> Result<(), TestCaseError> {
        if event.value() >= self.last_in_scan {
            self.joined();
        }
        prop_assert!(!self.in_snapshot);
        prop_assert_eq!(Some(event.value()), self.store.next_change("a", self.seen));
        self.seen = event.value();
        for (key, change) in event.entries() {
            if self
                .current
                .get(key)
                .is_some_and(|(revision, _)| *revision > event.value())
            {
                continue;
            }
            match change {
                Some(number) => self.current.insert(key.to_vec(), (event.value(), *number)),
                None => self.current.remove(key),
            };
        }
        Ok(())
    }

    /// Each key is as of a revision that is not below the one that the scan has stated.
    fn check_snapshot(&self) -> Result<(), TestCaseError> {
        for key in self.store.keys().iter().filter(|key| key.starts_with(b"a")) {
            let has = self.current.get(key).map(|(_, number)| *number);
            let revisions = self.seen..=self.store.revision();
            let mut states =
                revisions.map(|at| self.store.at(key, at).and_then(|(_, number)| number));
            prop_assert!(states.any(|state| state == has), "{key:?}: {has:?}");
        }
        Ok(())
    }

    fn check_end(&self) -> Result<(), TestCaseError> {
        let keys = self.store.keys();
        let now = keys
            .iter()
            .filter(|key| key.starts_with(b"a"))
            .filter_map(|key| {
                let (revision, number) = self.store.at(key, u64::MAX)?;
                Some((key.clone(), (revision, number?)))
            });
        prop_assert!(self.current.iter().map(|(k, v)| (k.clone(), *v)).eq(now));
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Commit(Vec<(Vec<u8>, Change)>),
    Poll(usize),
    Compact(u64),
    FailAfter(usize),
    /// The next scan is of a replica that is so many revisions behind.
    Lag(u64),
    Progress,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 0..60)
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let key = select(&["a1", "a2", "a3", "b1"][..]).prop_map(|key| key.as_bytes().to_vec());
    let change = (key, proptest::option::weighted(0.7, 0..9_u64));
    prop_oneof![
        6 => vec(change, 1..3).prop_map(Step::Commit),
        6 => (1..6_usize).prop_map(Step::Poll),
        1 => (0..4_u64).prop_map(Step::Compact),
        1 => (0..5_usize).prop_map(Step::FailAfter),
        1 => (1..4_u64).prop_map(Step::Lag),
        1 => Just(Step::Progress),
    ]
}

fn follows(
    steps: &[Step],
    history: Option<usize>,
    overflow: Option<Overflow>,
    capacity: usize,
) -> Result<(), TestCaseError> {
    let (store, bus) = (Store::default(), Store::bus(history));
    let builder = Store::subscribe(&bus, "a", overflow);
    let mut follower = builder.follow(capacity, |_| store.scan("a")).unwrap();
    let mut consumer = Consumer::new(&store);
    for step in steps {
        match step {
            Step::Commit(changes) => store.commit(&bus, changes),
            Step::Poll(n) => {
                for _ in 0..*n {
                    match next(&mut follower) {
                        Poll::Ready(Some(item)) => consumer.take(item)?,
                        // Nothing was missed since the snapshot.
                        Poll::Pending if !consumer.in_snapshot && consumer.joins => {
                            if store.next_change("a", consumer.seen).is_none() {
                                consumer.joined();
                            }
                        }
                        Poll::Pending => {}
                        Poll::Ready(None) => {
                            prop_assert!(follower.is_terminated());
                            return Ok(());
                        }
                    }
                }
            }
            Step::Compact(n) => {
                if history.is_some() {
                    let _ = bus.compact((store.revision() + 1).saturating_sub(*n));
                }
            }
            Step::FailAfter(n) => store.fail_after(*n),
            Step::Lag(n) => {
                if history.is_some() {
                    store.lag(*n);
                }
            }
            Step::Progress => {
                let requested = follower.request_progress();
                prop_assert_eq!(requested.is_err(), history.is_none());
            }
        }
    }
    for item in drain(&mut follower) {
        consumer.take(item)?;
    }
    // A scan that fails last is repeated by the next poll.
    for item in drain(&mut follower) {
        consumer.take(item)?;
    }
    if !follower.is_terminated() {
        consumer.check_end()?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases::config())]

    #[test]
    fn g41_a_follower_of_a_store_that_changes_compacts_and_fails_misses_nothing(
        steps in steps(),
        (history, overflow) in select(vec![
            (Some(2), None),
            (Some(4), Some(Overflow::Lagged)),
            (Some(4), Some(Overflow::Coalesce)),
            (Some(4), Some(Overflow::Disconnect)),
            (None, None),
            (None, Some(Overflow::Coalesce)),
            (None, Some(Overflow::Disconnect)),
        ]),
        capacity in 1..4_usize,
    ) {
        follows(&steps, history, overflow, capacity)?;
    }
}

#[test]
fn g41_cancelling_a_next_loses_nothing() {
    let (store, bus) = (Store::default(), Store::bus(None));
    store.put(&bus, "a", 1);
    let mut follower = Store::subscribe(&bus, "a", None)
        .follow(4, |_| store.scan("a"))
        .unwrap();
    // Each `now_or_never` that is pending drops its future in the middle of the scan.
    let items = drain(&mut follower);
    assert_eq!(items.len(), 3, "{items:?}");
    assert_eq!(store.revision(), 1);
}

#[test]
fn a_follower_is_send_if_its_parts_are() {
    fn is_send<T: Send + Unpin>(_: &T) {}
    let bus = RangeWatchBus::new();
    let scan = |_| async { Ok((0, stream::empty::<Result<(String, u64, ()), ScanError>>())) };
    is_send(&bus.subscribe(Selector::all()).follow(1, scan).unwrap());
}
