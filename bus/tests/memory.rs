//! Memory: what is allocated, and what is freed.

#![expect(
    unsafe_code,
    reason = "an allocator that counts can be written in no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::pin::pin;
use std::task::{Context, Waker};

use rangewatch_bus::{
    History, Overflow, RangeWatchBus, Selector, Selectors, WakeSubscription, WatchSet,
};

/// The system's allocator, counting per thread: tests on other threads do not disturb the count.
struct Counting;

thread_local! {
    static N_ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// Counts an allocation, or a deallocation if `bytes` is negative. A thread that is ending is not
/// counted.
fn count(bytes: isize) {
    let _ = LIVE_BYTES.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK_BYTES.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
    if bytes > 0 {
        let _ = N_ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
    }
}

// SAFETY: every call is passed on to the system's allocator as it is, and counting does not
// allocate: the counters are initialized by constants and have no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`, and the block came from `System`.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The number of allocations of this thread in `action`, and by how many bytes what it holds has
/// grown.
fn measure(action: impl FnOnce()) -> (usize, isize) {
    let (n, live) = (N_ALLOCATIONS.get(), LIVE_BYTES.get());
    action();
    (N_ALLOCATIONS.get() - n, LIVE_BYTES.get() - live)
}

/// By how many bytes what this thread holds has grown at most during `action`.
fn measure_peak(action: impl FnOnce()) -> isize {
    let live = LIVE_BYTES.get();
    PEAK_BYTES.set(live);
    action();
    PEAK_BYTES.get() - live
}

#[test]
fn g14_a_million_unread_emits_take_no_memory_of_a_wake_subscription() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe("a".."m").wake().unwrap();
    // The first emit allocates the scratch buffer of the matches.
    bus.emit(0, ["b"]).unwrap();
    let grown = measure(|| {
        for value in 1..1_000_000 {
            bus.emit(value, ["b"]).unwrap();
        }
    });
    assert_eq!(grown, (0, 0));
    assert_eq!(sub.try_recv().unwrap().count(), 1_000_000);
}

#[test]
fn an_emit_of_few_keys_that_matches_nothing_allocates_nothing() {
    let bus = RangeWatchBus::new();
    let _subs: Vec<_> = (0..100)
        .map(|i| {
            bus.subscribe(Selector::key(format!("{i}")))
                .events(10)
                .unwrap()
        })
        .collect();
    // The thread's scratch buffers have their room after the first.
    bus.emit(0, ["x", "y", "z"]).unwrap();
    assert_eq!(
        measure(|| {
            bus.emit(1, ["x", "y", "z"]).unwrap();
        }),
        (0, 0)
    );
    assert_eq!(
        measure(|| {
            bus.emit(2, [""; 0]).unwrap();
        }),
        (0, 0)
    );
}

#[test]
fn events_of_one_emit_share_its_keys() {
    let bus = RangeWatchBus::new();
    let subs: Vec<_> = (0..100)
        .map(|_| bus.subscribe(..).events(4).unwrap())
        .collect();
    // The queues and the lists of the emit have their room after the first.
    let key = vec![b'k'; 10_000];
    bus.emit(1, [&key]).unwrap();
    let (n_allocations, bytes) = measure(|| {
        bus.emit(2, [&key]).unwrap();
    });
    assert_eq!(
        n_allocations, 1,
        "one for the keys, however many subscriptions hold them"
    );
    assert!(
        bytes < 11_000,
        "{bytes} bytes for 100 events of a key of 10,000 bytes"
    );
    drop(subs);
}

#[test]
fn an_emit_allocates_no_more_for_many_consumers_that_wait() {
    const N: usize = 1_000;
    let bus = RangeWatchBus::new();
    let mut events: Vec<_> = (0..N)
        .map(|_| bus.subscribe(Selector::key("e")).events(4).unwrap())
        .collect();
    let mut spans: Vec<_> = (0..N)
        .map(|_| bus.subscribe(Selector::key("w")).wake().unwrap())
        .collect();
    let cx = &mut Context::from_waker(Waker::noop());
    for n_allocations in [None, None, Some((1, 0))] {
        events
            .iter_mut()
            .for_each(|sub| assert!(sub.poll_recv(cx).is_pending()));
        spans
            .iter_mut()
            .for_each(|sub| assert!(sub.poll_recv(cx).is_pending()));
        let emit = |key| measure(|| assert_eq!(bus.emit(1, [key]).unwrap().woken(), N)).0;
        let counted = (emit("e"), emit("w"));
        assert_eq!(counted, n_allocations.unwrap_or(counted));
        for (events, span) in events.iter_mut().zip(&mut spans) {
            assert_eq!(events.try_recv().unwrap().value(), 1);
            assert_eq!(span.try_recv().unwrap().last(), 1);
        }
    }
}

#[test]
fn an_emit_to_sixty_thousand_subscriptions_reuses_its_scratch_buffer() {
    let bus = RangeWatchBus::new();
    let _subs: Vec<_> = (0..60_000)
        .map(|_| bus.subscribe("a".."z").wake().unwrap())
        .collect();
    for n_allocations in [None, None, Some(0)] {
        let (counted, _) = measure(|| assert_eq!(bus.emit(1, ["k"]).unwrap().matched(), 60_000));
        assert_eq!(counted, n_allocations.unwrap_or(counted));
    }
}

#[test]
fn g17_a_full_queue_takes_no_more_memory() {
    let bus = RangeWatchBus::new();
    let sub = bus.subscribe(..).events(8).unwrap();
    // Once through both of its buffers, each of which holds as many as the queue.
    (0..24).for_each(|value| {
        bus.emit(value, ["k"]).unwrap();
    });
    let (_, bytes) = measure(|| {
        (0..10_000).for_each(|value| {
            bus.emit(value, ["k"]).unwrap();
        })
    });
    assert_eq!(bytes, 0);
    assert_eq!(sub.len(), 8);
}

#[test]
fn g17_a_huge_capacity_reserves_nothing() {
    let bus = RangeWatchBus::new();
    let mut sub = None;
    let (_, bytes) = measure(|| sub = Some(bus.subscribe(..).events(usize::MAX).unwrap()));
    assert!(bytes < 4096, "{bytes} bytes");
    bus.emit(1, ["k"]).unwrap();
    assert_eq!(sub.unwrap().try_recv().unwrap().value(), 1);
}

#[test]
fn g23_a_hundred_thousand_subscribe_and_drop_cycles_leave_nothing() {
    let bus = RangeWatchBus::new();
    let (_, bytes) = measure(|| {
        let mut held = std::collections::VecDeque::new();
        for i in 0..50_000_u32 {
            let selectors =
                Selectors::from([Selector::key(i.to_be_bytes()), Selector::prefix("p")]);
            held.push_back((
                bus.subscribe(&selectors).wake().unwrap(),
                bus.subscribe(selectors).events(4).unwrap(),
            ));
            if i % 16 == 0 {
                bus.emit(1, ["p"]).unwrap();
            }
            if held.len() > 10 {
                // By turns the oldest and the newest, so that places are given back in no fixed
                // order.
                drop(if i % 2 == 0 {
                    held.pop_front()
                } else {
                    held.pop_back()
                });
                assert_eq!(bus.n_subscriptions(), 20);
            }
        }
    });
    assert_eq!(bus.n_subscriptions(), 0);
    assert_eq!(bus.emit(1, ["p"]).unwrap().matched(), 0);
    assert!(
        bytes < 4096,
        "{bytes} bytes are left of 100,000 subscriptions"
    );
}

#[test]
fn g23_many_subscriptions_at_once_leave_nothing_when_all_are_dropped() {
    let bus = RangeWatchBus::new();
    let cycle = || {
        let subs: Vec<_> = (0..10_000)
            .map(|i| bus.subscribe(Selector::key(format!("{i}"))).wake().unwrap())
            .collect();
        let all: Vec<_> = (0..10_000)
            .map(|_| bus.subscribe(Selector::key("all")).wake().unwrap())
            .collect();
        assert_eq!(bus.emit(2, ["all"]).unwrap().matched(), 10_000);
        drop((subs, all));
    };
    // The thread's scratch buffers have their room after the first.
    cycle();
    assert_eq!(measure(cycle).1, 0);
}

#[test]
fn g23_a_dropped_queue_is_free_also_while_an_emitter_waits_for_its_room() {
    let bus = RangeWatchBus::new();
    let key = vec![b'k'; 60_000];
    let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
    let sub = builder.events(100).unwrap();
    let (_, held) = measure(|| {
        (0..100).for_each(|value| {
            bus.emit(value, [&key]).unwrap();
        });
    });
    let mut emit = Box::pin(bus.emit_async(100, ["k"]));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(emit.as_mut().poll(&mut cx).is_pending());
    let (_, freed) = measure(|| drop(sub));
    assert!(-freed > held / 2, "{freed} of {held} bytes");
    drop(emit);
}

#[test]
fn a_hundred_thousand_wake_subscriptions_take_under_370_bytes_each() {
    const N: isize = 100_000;
    let key = |i| format!("/registry/pods/ns-{:03}/pod-{i:05}", i % 100);
    let kinds: [&dyn Fn(isize) -> Selector; 3] = [
        &|i| Selector::key(key(i)),
        &|i| Selector::prefix(key(i)),
        &|i| Selector::range(format!("{i:016x}"), format!("{:016x}", i + 10_000)),
    ];
    for selector in kinds {
        let bus = RangeWatchBus::new();
        let mut subs = Vec::with_capacity(N as usize);
        let (_, bytes) = measure(|| {
            (0..N).for_each(|i| subs.push(bus.subscribe(selector(i)).wake().unwrap()));
        });
        let handles = N * size_of::<WakeSubscription>() as isize;
        let each = (bytes + handles) / N;
        assert!(each < 370, "{each} bytes for {:?}", selector(0));
    }
}

fn with_history(n_events: usize) -> RangeWatchBus {
    let history = History::events(n_events);
    RangeWatchBus::builder().history(history).build().unwrap()
}

#[test]
fn an_emit_allocates_once_when_events_match_or_a_history_keeps_it_and_else_not_at_all() {
    for bus in [with_history(16), RangeWatchBus::new()] {
        let mut wake = bus.subscribe("w".."x").wake().unwrap();
        let mut events = bus.subscribe("e".."f").events(4).unwrap();
        let n_kept = usize::from(bus.floor().is_some());
        let mut value = 0;
        let mut emit = |key| {
            value += 1;
            measure(|| {
                bus.emit(value, [key]).unwrap();
            })
            .0
        };
        for _ in 0..100 {
            emit("e");
            let _ = (events.try_recv(), wake.try_recv());
        }
        assert_eq!((emit("nothing"), emit("w"), emit("e")), (n_kept, n_kept, 1));
        // Receiving allocates nothing.
        let (n_allocations, _) = measure(|| {
            events.try_recv().unwrap();
            wake.try_recv().unwrap();
        });
        assert_eq!(n_allocations, 0);
    }
}

/// One allocation for the payloads and one for the record that shares them.
#[test]
fn g40_an_emit_with_payloads_allocates_at_most_twice_however_many_hold_it() {
    for n_subscriptions in [0, 1, 100] {
        for history in [None, Some(History::events(4))] {
            let builder = RangeWatchBus::builder().payloads::<u64>();
            let bus = match history {
                Some(history) => builder.history(history).build().unwrap(),
                None => builder.build().unwrap(),
            };
            let subs: Vec<_> = (0..n_subscriptions)
                .map(|_| bus.subscribe(..).overflow(Overflow::Lagged))
                .map(|sub| sub.events(2).unwrap())
                .collect();
            let mut emit = |value| {
                let entries = || (0..16_u64).map(|i| (i.to_be_bytes(), value + i));
                let (n_allocations, _) = measure(|| {
                    bus.emit_with(value, entries()).unwrap();
                });
                n_allocations
            };
            // Queues and scratch buffers grow.
            (1..10).map(&mut emit).for_each(drop);
            let n_needed = 1 + usize::from(history.is_some() || n_subscriptions > 0);
            assert_eq!((10..20).map(emit).max(), Some(n_needed));
            drop(subs);
        }
    }
}

#[test]
fn g17_no_policy_takes_more_memory_for_what_a_full_queue_is_not_to_hold() {
    for overflow in [
        Overflow::Lagged,
        Overflow::Coalesce,
        Overflow::Disconnect,
        Overflow::Park,
        Overflow::Backpressure,
    ] {
        let bus = with_history(64);
        let mut sub = bus.subscribe(..).overflow(overflow).events(8).unwrap();
        let emit = |n: u64| {
            for _ in 0..n {
                bus.emit_next(["k"]).unwrap();
            }
        };
        emit(200);
        let (_, bytes) = measure(|| emit(10_000));
        assert_eq!(bytes, 0, "{overflow:?}");
        let (_, bytes) = measure(|| {
            for _ in 0..1_000 {
                let _ = sub.request_progress();
                emit(1);
            }
        });
        assert!(bytes < 1024, "{bytes} bytes of marks with {overflow:?}");
    }
}

#[test]
fn g21_emitters_that_stop_waiting_leave_nothing() {
    let bus = RangeWatchBus::new();
    let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
    let _sub = builder.events(1).unwrap();
    bus.emit(1, ["k"]).unwrap();
    let cancel = || {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(bus.emit_async(2, ["k"])).poll(&mut cx).is_pending());
    };
    cancel();
    let (_, bytes) = measure(|| (0..10_000).for_each(|_| cancel()));
    assert_eq!(bytes, 0);
}

#[test]
fn g23_a_hundred_thousand_cycles_in_every_state_leave_nothing() {
    let bus = with_history(4);
    let live = || bus.subscribe(Selector::prefix("p")).events(1).unwrap();
    let cycle = || {
        let reserved = bus.reserve().events(1).unwrap();
        let mut open = bus.reserve().wake().unwrap();
        open.open("p".."q").unwrap();
        let held = bus.subscribe(..).hold().events(4).unwrap();
        let (parked, ended) = (live(), bus.subscribe(..).overflow(Overflow::Disconnect));
        let mut ended = ended.events(1).unwrap();
        let behind = bus.subscribe(..).since(bus.floor().unwrap());
        let mut behind = behind.events(1).unwrap();
        for _ in 0..2 {
            bus.emit_next(["p"]).unwrap();
        }
        // Those that have ended refuse it.
        let _ = (ended.try_recv(), ended.add_selectors("x"..));
        let _ = (behind.try_recv(), behind.add_selectors("x"..));
        (reserved, open, held, parked, ended, behind)
    };
    (0..100).for_each(|_| drop(cycle()));
    let (_, bytes) = measure(|| (0..100_000 / 6).for_each(|_| drop(cycle())));
    assert!(
        bytes < 4096,
        "{bytes} bytes are left of 100,000 subscriptions"
    );
    let stats = bus.stats();
    assert_eq!((stats.n_subscriptions(), stats.n_parked()), (0, 0));
    assert_eq!(stats.deliveries().pending(), 0);
}

#[test]
fn an_emit_of_many_bytes_holds_no_memory_when_it_has_been_received() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(1).unwrap();
    let (_, bytes) = measure(|| {
        bus.emit(1, [vec![b'k'; 1 << 20]]).unwrap();
        drop(sub.try_recv().unwrap());
    });
    assert!(bytes < 100 << 10, "{bytes} bytes");
}

#[test]
fn g28_edits_without_an_emit_in_between_take_no_memory() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(4).unwrap();
    bus.emit(1, ["k"]).unwrap();
    let (_, bytes) = measure(|| {
        for i in 0..10_000_u32 {
            sub.set_selectors(Selector::key(i.to_be_bytes())).unwrap();
        }
    });
    assert!(bytes < 4096, "{bytes} bytes");
    assert!(sub.try_recv().unwrap().keys().eq([b"k"]));
}

#[test]
fn g28_edits_of_a_subscription_that_is_caught_up_take_no_memory() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(Selector::key("a")).events(4).unwrap();
    let (_, bytes) = measure(|| {
        for i in 0..10_000 {
            bus.emit(i, ["k"]).unwrap();
            sub.set_selectors(Selector::key(["a", "b"][i as usize % 2]))
                .unwrap();
        }
    });
    assert!(bytes < 4096, "{bytes} bytes");
}

#[test]
fn g28_what_was_watched_is_forgotten_with_the_last_event_of_its_time() {
    let bus = RangeWatchBus::new();
    let mut sub = bus.subscribe(..).events(4).unwrap();
    bus.emit(0, ["a"]).unwrap();
    let (_, bytes) = measure(|| {
        for i in 1..10_000 {
            sub.set_selectors(["a".."b", "a".."c"][i as usize % 2].clone())
                .unwrap();
            bus.emit(i, ["a"]).unwrap();
            // One is always left.
            assert_eq!(sub.try_recv().unwrap().value(), i - 1);
        }
    });
    assert!(bytes < 4096, "{bytes} bytes");
}

#[test]
fn g28_edits_of_a_consumer_that_does_not_receive_take_no_memory() {
    // By events that are dropped, merged, or left in a history that forgets them.
    for overflow in [Overflow::Lagged, Overflow::Coalesce, Overflow::Park] {
        let bus = with_history(16);
        let mut sub = bus.subscribe(..).overflow(overflow).events(4).unwrap();
        let mut edit = |n: usize| {
            for i in 0..n {
                bus.emit_next(["a"]).unwrap();
                let selectors = ["a".."b", "a".."c"][i % 2].clone();
                sub.set_selectors(selectors).unwrap();
            }
        };
        edit(100);
        let (_, bytes) = measure(|| edit(10_000));
        assert!(bytes < 4096, "{bytes} bytes with {overflow:?}");
    }
}

#[test]
fn an_emit_allocates_once_whatever_its_size_and_however_many_full_queues_it_meets() {
    let bus = RangeWatchBus::new();
    // Of different capacities, so that each drops another event.
    let subs: Vec<_> = (1..100)
        .map(|capacity| bus.subscribe(..).events(capacity).unwrap())
        .collect();
    for key in [vec![b'k'; 10], vec![b'k'; 1 << 20]] {
        for value in 0..300 {
            bus.emit(value, [b"k"]).unwrap();
        }
        let (n_allocations, _) = measure(|| {
            bus.emit(300, [&key]).unwrap();
        });
        assert_eq!(n_allocations, 1, "of {} bytes", key.len());
    }
    assert!(subs.iter().all(|sub| sub.len() == sub.capacity()));
}

#[test]
fn g17_a_key_that_does_not_fit_into_a_batch_is_not_copied() {
    let bus = RangeWatchBus::new();
    let mut batch = bus.batch(100);
    let key = vec![b'k'; 1 << 20];
    let (_, bytes) = measure(|| assert!(batch.stage(1, [&key]).is_err()));
    assert!(bytes < 1024, "{bytes} bytes");
}

#[test]
fn g17_committing_a_batch_takes_memory_in_proportion_to_its_bound() {
    const MAX_BYTES: usize = 1 << 20;
    // Very many emits of a few keys, in ascending order or not.
    for keys in [&["", "a"][..], &["a", ""]] {
        let bus = RangeWatchBus::new();
        let mut batch = bus.batch(MAX_BYTES);
        let full = (0..).find(|value| batch.stage(*value, keys).is_err());
        let n_emits = full.expect("the batch has a bound");
        let peak = measure_peak(|| {
            assert_eq!(batch.commit().unwrap().n_emits() as u64, n_emits);
        });
        assert!(peak < 5 * MAX_BYTES as isize, "{peak} bytes");
    }
}

#[test]
fn g08_what_a_history_forgets_is_free() {
    let bus = with_history(100_000);
    let (_, bytes) = measure(|| {
        for _ in 0..10_000 {
            bus.emit_next(["k"]).unwrap();
        }
        assert_eq!(bus.compact(10_000), Ok(10_000));
    });
    assert!(bytes < 4096, "{bytes} bytes");
    assert_eq!(bus.stats().n_history_events(), 1);
}

#[test]
fn g23_inserting_and_removing_ready_watches_without_end_takes_no_memory() {
    let bus = RangeWatchBus::new();
    let watches = WatchSet::new();
    let id = vec![b'w'; 1 << 10];
    watches.insert(vec![], bus.subscribe("other".."others").wake().unwrap());
    let cycle = || {
        let sub = bus.subscribe(..).wake().unwrap();
        bus.emit(1, ["k"]).unwrap();
        watches.insert(id.clone(), sub);
        assert_eq!(watches.n_ready(), 1);
        assert!(watches.remove(&id).is_some());
    };
    (0..100).for_each(|_| cycle());
    let (_, grown) = measure(|| (0..10_000).for_each(|_| cycle()));
    // The ready list has room for some numbers of watches that are gone, not for their ids.
    assert!(grown <= 1_024, "{grown} bytes");
}

#[test]
fn g23_a_watch_set_that_was_large_gives_its_memory_back() {
    const N_WATCHES: usize = 10_000;
    let bus = RangeWatchBus::new();
    let watches = WatchSet::new();
    let mut subs: Vec<_> = (0..N_WATCHES)
        .map(|_| bus.subscribe(..).wake().unwrap())
        .collect();
    bus.emit(1, ["k"]).unwrap();
    let (_, grown) = measure(|| {
        for i in 0..N_WATCHES {
            watches.insert(i, subs.pop().unwrap());
        }
        for i in 100..N_WATCHES {
            subs.extend(watches.remove(&i));
        }
    });
    assert!(grown < 100_000, "{grown} bytes for a hundred");
    assert_eq!(watches.n_ready(), 100);
}

#[test]
fn g23_a_bus_that_was_large_gives_its_memory_back_while_some_subscriptions_stay() {
    const N_SUBSCRIPTIONS: usize = 100_000;
    let bus = RangeWatchBus::new();
    let mut kept = Vec::with_capacity(100);
    let (_, grown) = measure(|| {
        let mut subs: Vec<_> = (0..N_SUBSCRIPTIONS)
            .map(|i| {
                Some(
                    bus.subscribe(Selector::key(format!("{i:06}")))
                        .wake()
                        .unwrap(),
                )
            })
            .collect();
        kept.extend(
            subs.iter_mut()
                .step_by(1_000)
                .map(|sub| sub.take().unwrap()),
        );
    });
    assert!(grown < 100_000, "{grown} bytes for a hundred");

    // The remaining ones work as before, also after their places have changed.
    for (i, sub) in kept.iter_mut().enumerate() {
        let key = format!("{:06}", i * 1_000);
        assert!(sub.selectors().iter().eq([&Selector::key(&key)]));
        assert_eq!(bus.emit(1, [&key]).unwrap().matched(), 1);
        assert_eq!(sub.try_recv().unwrap().count(), 1);
        sub.set_selectors(Selector::key("edited")).unwrap();
        assert_eq!(bus.emit(2, [&key]).unwrap().matched(), 0);
        assert_eq!(sub.stats().delivered(), 1);
    }
    assert_eq!(bus.emit(3, ["edited"]).unwrap().matched(), 100);
    drop(kept);
    assert_eq!(bus.n_subscriptions(), 0);
    assert!(bus.stats().deliveries().is_conserved(), "{:?}", bus.stats());
}
