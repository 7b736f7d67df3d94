//! Owners: namespaces of watches inside a guest, which end as a whole.

use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt;
use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;

use super::raw_guest::{RawGuest, Step, Verb, beside, gate, keys};
use super::text;
use crate::{GuestBus, Limits, Owner, OwnerError, OwnerId, Runtime, yield_now};

async fn pooled(runtime: &dyn Runtime) -> RawGuest {
    RawGuest::on(runtime, &RangeWatchBus::new(), |builder| builder.pool(1, 1)).await
}

/// The same id at two owners and at the guest itself is three watches, and each delivers under its
/// owner.
pub async fn g38_ids_of_an_owner_are_not_visible_to_another(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    let (a, b) = (raw.guest.owner(), raw.guest.owner());
    raw.follow_on(&a, "w", "k", "l").await;
    raw.follow_on(&b, "w", "k", "l").await;
    raw.follow("w", "k", "l").await;
    assert_eq!(
        (a.n_watches(), b.n_watches(), raw.guest.n_watches()),
        (1, 1, 3)
    );
    raw.emit(1, "k");
    assert_eq!(raw.drive().await, ["w=1"; 3]);
    let owners = raw.owners();
    assert_eq!(owners[..2], [a.id(), b.id()]);
    assert!(
        owners[2] != a.id() && owners[2] != b.id(),
        "the guest's own"
    );
    // The end of one leaves the others.
    let stopped = raw.verb_on(&a, Verb::Stop, b"w").await;
    assert_eq!(stopped.expect("no trap"), "");
    for verb in [Verb::Start, Verb::Stop] {
        let found = raw.verb_on(&a, verb, b"w").await;
        assert_eq!(found.expect("no trap"), "Watch not found");
    }
    raw.emit(2, "k");
    assert_eq!(raw.drive().await, ["w=2"; 2]);
    let mut left = raw.owners();
    left.sort_unstable();
    let mut expected = [b.id(), owners[2]];
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert_eq!(
        raw.stop("w").await,
        "",
        "calls that name none have their own owner again"
    );
    assert_eq!((b.n_watches(), raw.guest.n_watches()), (1, 1));
}

/// A recv finds the watches of the owner of its watch, and those that it opens are of that owner.
pub async fn g38_a_recv_runs_under_the_owner_of_its_watch(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    let (a, b) = (raw.guest.owner(), raw.guest.owner());
    raw.follow_on(&a, "w", "k", "l").await;
    raw.follow_on(&b, "v", "x", "y").await;
    raw.plan([
        Step::Verb(Verb::Stop, b"v".to_vec()),
        Step::Verb(Verb::Open, keys(["v", "x", "y"])),
        Step::Verb(Verb::Start, b"v".to_vec()),
    ]);
    raw.emit(1, "k");
    assert_eq!(raw.drive().await, ["w=1", "Watch not found"]);
    assert_eq!((a.n_watches(), b.n_watches()), (2, 1));
    raw.owners();
    raw.emit(2, "x");
    assert_eq!(raw.drive().await, ["v=2", "v=2"]);
    assert_eq!(raw.owners(), [b.id(), a.id()]);
}

/// The commit hook and the hook at the end of a call find the owner of the call, and in a callback
/// that of its watch, with its id.
pub async fn g38_hooks_run_under_the_owner_of_the_call(runtime: &dyn Runtime) {
    type Seen = (&'static str, OwnerId, Option<Vec<u8>>);
    let (bus, seen) = (
        RangeWatchBus::new(),
        Arc::new(Mutex::new(Vec::<Seen>::new())),
    );
    let (of_commit, of_end) = (seen.clone(), seen.clone());
    let guest_bus = GuestBus::on_commit(&bus, move |cx, staged| {
        let (owner, id) = (cx.owner().id(), cx.watch_id().map(<[u8]>::to_vec));
        of_commit.lock().push(("commit", owner, id));
        async move {
            staged.publish().map_err(|(_, error)| error)?;
            Ok(())
        }
        .boxed()
    });
    let raw = RawGuest::with(runtime, &bus, guest_bus, |builder| {
        builder.on_call_end(move |end| {
            let (owner, id) = (end.owner().id(), end.watch_id().map(<[u8]>::to_vec));
            of_end.lock().push(("end", owner, id));
        })
    })
    .await;
    let a = raw.guest.owner();
    raw.follow_on(&a, "w", "k", "l").await;
    let of_a = |id: Option<&str>| {
        let id = id.map(|id| id.as_bytes().to_vec());
        vec![("commit", a.id(), id.clone()), ("end", a.id(), id)]
    };
    assert_eq!(seen.lock().split_off(0)[2..], of_a(None), "of `start`");
    raw.emit(1, "k");
    raw.drive().await;
    assert_eq!(*seen.lock(), of_a(Some("w")));
    seen.lock().clear();
    // One that reports an error is not committed.
    raw.plan([Step::Report("bad", 3)]);
    raw.emit(2, "k");
    raw.drive().await;
    assert_eq!(*seen.lock(), of_a(Some("w"))[1..]);
    seen.lock().clear();
    assert_eq!(raw.reserve("v").await, "");
    for (_, owner, id) in &*seen.lock() {
        assert!(*owner != a.id() && id.is_none());
    }
}

/// The end frees everything while the callback runs on another instance; what the callback does
/// then to watches fails, its report is dropped, and no other callback of the owner is entered.
pub async fn g38_an_owner_ends_while_a_recv_of_it_runs(runtime: &dyn Runtime) {
    let raw = pooled(runtime).await;
    let (a, b) = (raw.guest.owner(), raw.guest.owner());
    raw.follow_on(&a, "w", "k", "l").await;
    raw.follow_on(&a, "held", "k", "l").await;
    raw.follow_on(&b, "w", "k", "l").await;
    let reserved = raw.verb_on(&a, Verb::Reserve, b"reserved").await;
    assert_eq!(reserved.expect("no trap"), "");
    let (step, arrival, release) = gate();
    raw.plan([
        step,
        Step::Verb(Verb::Open, keys(["v", "k", "l"])),
        Step::Verb(Verb::Stop, b"w".to_vec()),
        Step::Report("bad", 3),
    ]);
    raw.emit(1, "k");
    beside(&raw.guest, async {
        arrival.await.expect("w of a runs");
        raw.emit(2, "k");
        let mut stop = pin!(raw.verb_on(&a, Verb::Stop, b"w"));
        assert!(stop.as_mut().now_or_never().is_none(), "the callback runs");
        a.end();
        assert!(a.is_ended() && a.n_watches() == 0);
        assert_eq!((raw.guest.n_watches(), raw.bus.n_subscriptions()), (1, 1));
        assert!(stop.as_mut().now_or_never().is_none(), "the callback runs");
        release.send(()).expect("it waits");
        assert_eq!(stop.await.expect("no trap"), "");
    })
    .await;
    // A value that comes before the callback of its watch is entered is the one that is delivered.
    assert_eq!(
        raw.drive().await,
        ["w=1", "Watch closed", "Watch closed", "w=1"]
    );
    assert_eq!(raw.owners(), [a.id(), b.id()]);
    assert!(
        raw.errors().is_empty(),
        "the report of an ended owner is dropped"
    );
    assert!(!b.is_ended());
}

/// The handle that a running callback could make of its owner does not keep the owner.
pub async fn g38_dropping_the_last_handle_ends_an_owner(runtime: &dyn Runtime) {
    let raw = pooled(runtime).await;
    let a = raw.guest.owner();
    raw.follow_on(&a, "w", "k", "l").await;
    let second = a.clone();
    assert_eq!(second, a);
    drop(a);
    assert!(!second.is_ended(), "there is another handle");
    let (step, arrival, release) = gate();
    raw.plan([step, Step::Verb(Verb::Reserve, b"v".to_vec())]);
    raw.emit(1, "k");
    beside(&raw.guest, async {
        arrival.await.expect("w runs");
        drop(second);
        assert_eq!((raw.guest.n_watches(), raw.bus.n_subscriptions()), (0, 0));
        release.send(()).expect("it waits");
        raw.follow("x", "x", "y").await;
        let (step, arrival, _) = gate();
        raw.plan([step]);
        raw.emit(2, "x");
        arrival.await.expect("w has returned");
    })
    .await;
    assert_eq!(raw.log(), ["w=1", "Watch closed", "x=2"]);
}

/// A callback may end its own owner, by a host function. Every verb fails from then on.
pub async fn g38_an_owner_ends_inside_its_own_recv(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    let (a, b) = (raw.guest.owner(), raw.guest.owner());
    for owner in [&a, &b] {
        raw.follow_on(owner, "w", "k", "l").await;
    }
    raw.plan([
        Step::End(a.clone()),
        Step::Verb(Verb::Reserve, b"v".to_vec()),
        Step::Verb(Verb::Open, keys(["v", "k", "l"])),
        Step::Verb(Verb::Start, b"w".to_vec()),
        Step::Verb(Verb::Stop, b"w".to_vec()),
        Step::Emit(2, "k"),
        Step::Report("bad", 3),
    ]);
    raw.emit(1, "k");
    let mut expected = vec!["w=1"];
    expected.extend(["Watch closed"; 4]);
    // The emit of the callback is coalesced into the value that is due already.
    expected.push("w=1");
    assert_eq!(raw.drive().await, expected);
    assert_eq!(raw.owners(), [a.id(), b.id()]);
    assert!(raw.errors().is_empty());
    assert_eq!((raw.guest.n_watches(), raw.bus.n_subscriptions()), (1, 1));
    a.end();
    assert!(a.is_ended(), "a second end has no effect");
}

/// The owners of a guest end with it; one that is made later has ended from its beginning.
pub async fn g38_the_end_of_a_guest_ends_its_owners(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    let bus = raw.bus.clone();
    let (a, b) = (raw.guest.owner(), raw.guest.owner());
    for owner in [&a, &b] {
        raw.follow_on(owner, "w", "k", "l").await;
    }
    drop(raw);
    assert!(a.is_ended() && b.is_ended());
    assert_eq!(
        (a.n_watches(), b.n_watches(), bus.n_subscriptions()),
        (0, 0, 0)
    );
    // The same when it is closed, and when its only instance is lost.
    let raw = RawGuest::new(runtime).await;
    let a = raw.guest.owner();
    raw.follow_on(&a, "w", "k", "l").await;
    raw.guest.close().await;
    assert!(a.is_ended() && raw.guest.owner().is_ended());
    let raw = RawGuest::new(runtime).await;
    let a = raw.guest.owner();
    raw.follow_on(&a, "w", "k", "l").await;
    raw.plan([Step::Trap]);
    raw.emit(1, "k");
    assert!(raw.guest.drive_until_idle().await.is_err());
    assert!(a.is_ended() && raw.guest.n_watches() == 0);
}

/// The owners of a guest have its limits together.
pub async fn g38_limits_are_counted_over_all_owners(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let limits = Limits::default().watches(2).watch_bytes(10);
    let raw = RawGuest::on(runtime, &bus, |builder| builder.limits(limits)).await;
    let (a, b) = (raw.guest.owner(), raw.guest.owner());
    let reserve = async |owner: &Owner, id: &str| {
        let reserved = raw.verb_on(owner, Verb::Reserve, id.as_bytes()).await;
        reserved.expect("no trap")
    };
    assert_eq!(reserve(&a, "123456").await, "");
    assert_eq!(
        reserve(&b, "12345").await,
        "Watch limit reached",
        "too many bytes"
    );
    assert_eq!(reserve(&b, "1").await, "");
    assert_eq!(
        raw.reserve("2").await,
        "Watch limit reached",
        "too many watches"
    );
    a.end();
    assert_eq!(raw.reserve("123456").await, "");
    assert_eq!(reserve(&b, "2").await, "Watch limit reached");
    assert_eq!(raw.guest.n_watches(), 2);
}

/// A call under an owner of another guest, or one that has ended, is refused and says what to do.
/// The guest is not entered.
pub async fn g38_calls_need_an_owner_of_their_guest_that_lives(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    let other = RawGuest::new(runtime).await;
    let foreign = other.guest.owner();
    let error = raw.guest.caller().owner(&foreign).call("start", &[]).await;
    assert_eq!(
        text(&error.expect_err("of another guest")),
        format!(
            "`start` cannot run under the owner: {} belongs to another guest: \
             make one of this guest with `Guest::owner`",
            foreign.id()
        )
    );
    let ended = raw.guest.owner();
    ended.end();
    let error = raw.guest.caller().owner(&ended).call("start", &[]).await;
    assert_eq!(
        text(&error.expect_err("it has ended")),
        format!(
            "`start` cannot run under the owner: {} has ended: \
             make another one with `Guest::owner`",
            ended.id()
        )
    );
    let mut session = raw.guest.session().await.expect("an instance");
    let refused = session.set_owner(&ended);
    let source = match refused.expect_err("it has ended") {
        crate::CallError::Owner { source, .. } => source,
        error => panic!("{error}"),
    };
    assert_eq!(source, OwnerError::Ended { owner: ended.id() });
    // An owner that ends while the call waits for its instance.
    let late = raw.guest.owner();
    let mut call = pin!(raw.guest.caller().owner(&late).call("start", &[]));
    assert!(
        call.as_mut().now_or_never().is_none(),
        "the session has the instance"
    );
    late.end();
    drop(session);
    let error = call.await.expect_err("it has ended");
    assert!(text(&error).contains("has ended"), "{error}");
    raw.follow("w", "k", "l").await;
}

/// Two hundred owners on one guest with a pump: they end one after the other while callbacks of all
/// are due. Those that stay receive each value, and those that have ended nothing.
pub async fn g38_two_hundred_owners_end_between_deliveries(runtime: &dyn Runtime) {
    const N: usize = 200;
    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| builder.pool(2, 2)).await;
    let mut owners: Vec<_> = (0..N).map(|_| raw.guest.owner()).collect();
    for owner in &owners {
        raw.follow_on(owner, "w", "k", "l").await;
        raw.follow_on(owner, "v", "k", "l").await;
    }
    beside(&raw.guest, async {
        for value in 1..=10 {
            raw.emit(value, "k");
            let mut received = Vec::new();
            for n_yields in 0..10 {
                let owner = owners.remove((7 * n_yields) % owners.len());
                let id = owner.id();
                match n_yields % 2 {
                    0 => owner.end(),
                    _ => drop(owner),
                }
                received.extend(raw.owners());
                for _ in 0..n_yields {
                    yield_now().await;
                }
                let later = raw.owners();
                assert!(!later.contains(&id), "an ended owner received");
                received.extend(later);
            }
            // The others receive the value twice, under two ids.
            let n_received = |received: &[_]| {
                let of = |owner: &Owner| received.iter().filter(|id| **id == owner.id()).count();
                owners.iter().map(of).collect::<Vec<_>>()
            };
            while n_received(&received).contains(&0) || n_received(&received).contains(&1) {
                yield_now().await;
                received.extend(raw.owners());
            }
            assert_eq!(n_received(&received), vec![2; owners.len()]);
        }
    })
    .await;
    assert_eq!(
        (owners.len(), raw.guest.n_watches()),
        (N - 100, 2 * (N - 100))
    );
    assert_eq!(raw.bus.n_subscriptions(), 2 * (N - 100));
    assert!(raw.errors().is_empty());
    drop(owners);
    assert_eq!((raw.guest.n_watches(), raw.bus.n_subscriptions()), (0, 0));
}

/// A hundred thousand owners, some with watches in all states, leave every count at zero.
pub async fn g38_ended_owners_leave_nothing(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    for i in 0..100_000_u32 {
        let owner = raw.guest.owner();
        if i.is_multiple_of(1_000) {
            raw.follow_on(&owner, "started", "k", "l").await;
            let opened = raw
                .verb_on(&owner, Verb::Open, &keys(["open", "k", "l"]))
                .await;
            assert_eq!(opened.expect("no trap"), "");
            let reserved = raw.verb_on(&owner, Verb::Reserve, b"reserved").await;
            assert_eq!(reserved.expect("no trap"), "");
            raw.emit(u64::from(i), "k");
            assert_eq!((owner.n_watches(), raw.guest.n_watches()), (3, 3));
        }
        drop(owner);
    }
    assert_eq!((raw.guest.n_watches(), raw.bus.n_subscriptions()), (0, 0));
    let stats = raw.bus.stats();
    let n_pending = stats.deliveries().pending();
    assert_eq!((stats.n_subscriptions(), n_pending), (0, 0));
    assert_eq!(raw.drive().await, [""; 0], "nothing is due");
}
