//! Event sets.

mod random;

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use rangewatch_bus::{
    ControlError, Event, EventSet, KeyRange, QueueBudget, RangeWatchBus, Selector, SubscribeError,
    TryRecvError,
};

use random::Random;

fn set(bus: &RangeWatchBus) -> EventSet<u32> {
    EventSet::new(bus, 16, 1 << 10).unwrap()
}

/// The value of the next event and the watches that it matches, sorted.
fn next(set: &mut EventSet<u32>) -> Result<(u64, Vec<u32>), TryRecvError> {
    let mut matched = Vec::new();
    let event: Event = set.try_recv(&mut matched)?;
    matched.sort_unstable();
    Ok((event.value(), matched))
}

/// The set against a reference implementation: a list of watches, and a list of what each emit
/// matched.
#[test]
fn g10_each_event_names_the_watches_that_it_matches() {
    for seed in 1..=200 {
        let mut random = Random(seed * 0x9e37_79b9);
        let bus = RangeWatchBus::new();
        let mut set = EventSet::new(&bus, 1_000, 1 << 20).unwrap();
        let mut watches: BTreeMap<u32, Selector> = BTreeMap::new();
        let mut queue: VecDeque<(u64, Vec<u32>)> = VecDeque::new();
        for value in 0..200 {
            match random.below(6) {
                0 | 1 => {
                    let (key, selectors) = (random.below(20) as u32, random.selectors());
                    let selector = selectors.iter().next().unwrap();
                    set.insert(key, KeyRange::try_from(selector).unwrap())
                        .unwrap();
                    // Another watch of the same key: what the old one matched does not count.
                    for (_, matched) in &mut queue {
                        matched.retain(|other| *other != key);
                    }
                    watches.insert(key, selector.clone());
                }
                2 => {
                    let key = random.below(20) as u32;
                    assert_eq!(set.remove(&key), watches.remove(&key).is_some());
                    for (_, matched) in &mut queue {
                        matched.retain(|other| *other != key);
                    }
                }
                3 | 4 => {
                    let keys = [random.key(), random.key()];
                    let is_matched =
                        |selector: &Selector| keys.iter().any(|k| selector.matches(k.as_bytes()));
                    let matched: Vec<_> = watches
                        .iter()
                        .filter(|(_, selector)| is_matched(selector))
                        .map(|(key, _)| *key)
                        .collect();
                    let emitted = bus.emit(value, &keys).unwrap();
                    assert_eq!(emitted.matched(), usize::from(!matched.is_empty()));
                    assert_eq!(emitted.n_ranges(), matched.len());
                    if !matched.is_empty() {
                        queue.push_back((value, matched));
                    }
                }
                _ => {
                    queue.retain(|(_, matched)| !matched.is_empty());
                    match queue.pop_front() {
                        Some(expected) => assert_eq!(next(&mut set), Ok(expected)),
                        None => assert_eq!(next(&mut set), Err(TryRecvError::Empty)),
                    }
                }
            }
            assert_eq!(set.len(), watches.len());
        }
        queue.retain(|(_, matched)| !matched.is_empty());
        for expected in queue {
            assert_eq!(next(&mut set), Ok(expected));
        }
        assert_eq!(next(&mut set), Err(TryRecvError::Empty));
        assert_eq!(bus.n_subscriptions(), 1);
    }
}

/// The position that an insertion returns is that of the first emit that counts.
#[test]
fn g28_a_watch_is_inserted_and_removed_at_one_position() {
    let bus = RangeWatchBus::new();
    let mut set = set(&bus);
    let first = set.insert(1, KeyRange::key("k")).unwrap();
    assert_eq!(bus.emit(1, ["k"]).unwrap().seq(), first);
    let second = set.insert(2, KeyRange::prefix("k")).unwrap();
    assert_eq!(bus.emit(2, ["k"]).unwrap().seq(), second);
    assert_eq!(next(&mut set), Ok((1, vec![1])), "2 was inserted later");
    assert!(set.remove(&1));
    assert_eq!(next(&mut set), Ok((2, vec![2])), "1 was removed before");
    assert!(set.remove(&2));
    assert_eq!(bus.emit(3, ["k"]).unwrap().matched(), 0);
}

#[test]
fn g19_a_full_set_delivers_its_queue_and_ends_with_the_value_to_resume_from() {
    let bus = RangeWatchBus::new();
    let mut set = EventSet::new(&bus, 2, 1 << 10).unwrap();
    set.insert(1, KeyRange::key("k")).unwrap();
    for value in 1..=4 {
        bus.emit(value, ["k"]).unwrap();
    }
    assert_eq!(set.n_queued(), 2);
    let ended = set.insert(2, KeyRange::key("l"));
    assert_eq!(ended, Err(ControlError::Ended));
    assert!(set.remove(&1) && set.is_empty());
    assert_eq!(
        next(&mut set),
        Err(TryRecvError::Disconnected { resume: 3 }),
        "nothing is received for a watch that was removed"
    );
}

#[test]
fn g17_a_set_is_bounded_in_bytes() {
    let bus = RangeWatchBus::new();
    let mut set = EventSet::new(&bus, 100, 64).unwrap();
    set.insert(1, KeyRange::prefix("k")).unwrap();
    bus.emit(1, ["k".repeat(40)]).unwrap();
    bus.emit(2, ["k".repeat(40)]).unwrap();
    assert_eq!(next(&mut set), Ok((1, vec![1])));
    let end = TryRecvError::Disconnected { resume: 2 };
    assert_eq!(next(&mut set), Err(end));
}

/// Sets that share a budget: the one that would exceed it ends, and its bytes are released with
/// it, however it ends.
#[test]
fn g17_sets_share_a_budget() {
    let bus = RangeWatchBus::new();
    let budget = QueueBudget::new(150);
    let of = |prefix: &str| {
        let mut set = EventSet::with_budget(&bus, 100, 120, &budget).unwrap();
        set.insert(1, KeyRange::prefix(prefix)).unwrap();
        set
    };
    let emit = |value, key: &str| bus.emit(value, [key.repeat(34)]).unwrap();
    let (mut a, mut b) = (of("a"), of("b"));
    emit(1, "a");
    emit(2, "a");
    emit(3, "b");
    assert_eq!(budget.used_bytes(), 150, "each takes 34 bytes and 16");
    emit(4, "b");
    assert_eq!(next(&mut b), Ok((3, vec![1])));
    assert_eq!(budget.used_bytes(), 100);
    let end = TryRecvError::Disconnected { resume: 4 };
    assert_eq!(next(&mut b), Err(end));
    assert_eq!(next(&mut a), Ok((1, vec![1])), "the other goes on");
    emit(5, "a");
    let mut c = of("c");
    emit(6, "c");
    assert_eq!(budget.used_bytes(), 150);
    drop(a);
    assert_eq!(budget.used_bytes(), 50);
    emit(7, "c");
    assert_eq!(next(&mut c), Ok((6, vec![1])));
    bus.close();
    assert_eq!(next(&mut c), Ok((7, vec![1])));
    assert_eq!(next(&mut c), Err(TryRecvError::Closed));
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn g27_a_closed_bus_drains_a_set() {
    let bus = RangeWatchBus::new();
    let mut set = set(&bus);
    set.insert(1, KeyRange::key("k")).unwrap();
    bus.emit(1, ["k"]).unwrap();
    bus.close();
    assert_eq!(set.insert(2, KeyRange::key("k")), Err(ControlError::Closed));
    assert_eq!(next(&mut set), Ok((1, vec![1])));
    assert_eq!(next(&mut set), Err(TryRecvError::Closed));
}

/// Tables of the bus are rebuilt when most of their places are free; ranges keep their places.
#[test]
fn g23_a_set_that_shrinks_keeps_its_watches() {
    let bus = RangeWatchBus::new();
    let mut set = EventSet::new(&bus, 16, 1 << 10).unwrap();
    for i in 0..2_000 {
        set.insert(i, KeyRange::key(i.to_string())).unwrap();
    }
    for i in 0..1_990 {
        assert!(set.remove(&i));
    }
    for i in 1_990..2_000_u32 {
        assert_eq!(bus.emit(1, [i.to_string()]).unwrap().matched(), 1);
        assert_eq!(next(&mut set), Ok((1, vec![i])));
    }
    assert_eq!(bus.emit(1, ["7"]).unwrap().matched(), 0);
    drop(set);
    assert_eq!(bus.n_subscriptions(), 0);
    assert_eq!(bus.emit(1, ["1995"]).unwrap().matched(), 0);
}

#[test]
fn g26_a_set_needs_a_capacity_and_a_bus_that_is_open() {
    let bus = RangeWatchBus::new();
    let refused = |capacity| EventSet::<u32>::new(&bus, capacity, 1).unwrap_err();
    assert_eq!(refused(0), SubscribeError::ZeroCapacity);
    bus.close();
    assert_eq!(refused(1), SubscribeError::Closed);
}

#[test]
fn g12_an_emit_wakes_a_waiting_set() {
    futures::executor::block_on(async {
        let bus = RangeWatchBus::new();
        let mut set = set(&bus);
        set.insert(1, KeyRange::key("k")).unwrap();
        let mut matched = Vec::new();
        let emits = async {
            bus.emit(1, ["l"]).unwrap();
            bus.emit(2, ["k"]).unwrap();
        };
        let (event, ()) = futures::join!(set.recv(&mut matched), emits);
        assert_eq!((event.unwrap().value(), matched), (2, vec![1]));
    });
}

/// One poll takes one event, whatever became of its watches.
#[test]
fn an_event_whose_watches_were_removed_can_be_received() {
    let bus = RangeWatchBus::new();
    let mut set = set(&bus);
    set.insert(1, KeyRange::key("k")).unwrap();
    bus.emit(1, ["k"]).unwrap();
    assert!(set.remove(&1));
    set.insert(2, KeyRange::key("k")).unwrap();
    bus.emit(2, ["k"]).unwrap();
    let mut matched = vec![0];
    let mut next = || {
        let polled = set.poll_recv_any(&mut Context::from_waker(Waker::noop()), &mut matched);
        polled.map(|event| (event.map(|event: Event| event.value()), matched.clone()))
    };
    assert_eq!(next(), Poll::Ready((Ok(1), vec![])));
    assert_eq!(next(), Poll::Ready((Ok(2), vec![2])));
    assert!(next().is_pending());
}
