//! Generation 2 of the guest ABI: emits that are gathered, batches of notices, and groups.

use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::ready;
use parking_lot::Mutex;
use rangewatch_bus::{History, RangeWatchBus, Selector, TryRecvError};

use super::abi::verbs_in_every_state;
use super::pools::recvs_do_not_overlap;
use super::raw_guest::{RAW_GUEST_2, RawGuest, Step, Verb, beside, gate, keys, put};
use super::text;
use crate::{CallError, Emits, GuestBus, Limits, Runtime};

async fn raw_guest(runtime: &dyn Runtime) -> RawGuest {
    RawGuest::gen2_on(runtime, &RangeWatchBus::new(), |builder| builder).await
}

async fn limited(runtime: &dyn Runtime, limits: Limits) -> RawGuest {
    RawGuest::gen2_on(runtime, &RangeWatchBus::new(), |builder| {
        builder.limits(limits)
    })
    .await
}

/// What is queued takes effect with the flush, the keys of one value as one emit.
pub async fn g04_what_is_queued_takes_effect_with_the_flush(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    let mut events = raw.bus.subscribe(Selector::all()).events(8).expect("valid");
    let mut next = || {
        let event = events.try_recv().ok()?;
        let keys: Vec<_> = event
            .keys()
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .collect();
        Some((event.value(), keys.join(",")))
    };
    let queue = async |value, list: &[&str]| {
        let queued = raw.queue(value, &keys(list.iter().copied())).await;
        queued.expect("well formed");
    };
    let call = async |export| raw.guest.call(export, &[]).await.expect("no trap");
    queue(1, &["a", ""]).await;
    queue(1, &["b"]).await;
    queue(2, &[]).await;
    queue(2, &["c"]).await;
    assert_eq!(next(), None, "it stays when the call returns");
    call("flush").await;
    assert_eq!(next(), Some((1, "a,,b".to_owned())));
    assert_eq!(next(), Some((2, "c".to_owned())));
    call("flush").await;
    queue(3, &["d"]).await;
    call("clear").await;
    call("flush").await;
    assert_eq!(next(), None, "it was flushed, and it was cleared");
    queue(4, &["e"]).await;
    call("flush").await;
    assert_eq!(next(), Some((4, "e".to_owned())));
}

/// A host that applies commands in one call and flushes in another loses none of them when the
/// instance is above the bound for recycling.
pub async fn an_instance_is_recycled_only_when_nothing_is_queued(runtime: &dyn Runtime) {
    let raw = limited(runtime, Limits::default().recycle_bytes(0)).await;
    let mut events = raw.bus.subscribe(Selector::all()).events(8).expect("valid");
    let first = {
        let mut session = raw.guest.session().await.expect("there is an instance");
        put(session.memory().expect("it lives"), &keys(["k"]));
        session.call("queue", &[]).await.expect("no trap");
        session.instance_id().expect("it lives")
    };
    raw.guest.call("flush", &[]).await.expect("no trap");
    assert!(events.try_recv().is_ok());
    let mut session = raw.guest.session().await.expect("there is an instance");
    assert_ne!(session.instance_id().expect("it lives"), first);
}

/// Each value that matches is one notice with the ids of all watches, in order; one recv has all
/// that are due.
pub async fn every_value_is_delivered_in_order(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    raw.follow("w", "a", "c").await;
    raw.follow("v", "b", "").await;
    raw.emit(1, "a");
    raw.emit(1, "b");
    raw.emit(3, "x");
    raw.bus.emit(2, ["a", "a2", "b", "x"]).expect("open");
    assert_eq!(raw.drive().await, ["1:w 1:w,v 2:w,v"]);
    assert_eq!(raw.drive().await, [""; 0]);
    raw.emit(4, "a");
    raw.emit(5, "b");
    assert_eq!(raw.drive().await, ["4:w 5:w,v"]);
    assert!(raw.errors().is_empty());
}

/// The states and the error texts of a watch are those of generation 1.
pub async fn g26_verbs_of_generation_2_have_the_same_results(runtime: &dyn Runtime) {
    verbs_in_every_state(raw_guest(runtime).await, "2:a").await;
}

/// What matches between open and start is held, and delivered in order; what came before is not.
pub async fn g25_a_start_delivers_every_value_held_since_open(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    raw.follow("live", "k", "l").await;
    assert_eq!(raw.reserve("w").await, "");
    raw.emit(1400, "k");
    assert_eq!(raw.open("w", "k", "l").await, "");
    raw.emit(1500, "k");
    assert_eq!(raw.drive().await, ["1400:live 1500:live"]);
    raw.emit(1600, "k");
    assert_eq!(raw.start("w").await, "");
    raw.emit(1700, "k");
    assert_eq!(raw.drive().await, ["1500:w 1600:live,w 1700:live,w"]);
    // Held without any other watch, and started before anything was delivered.
    assert_eq!(raw.stop("live").await, "");
    assert_eq!(raw.open("late", "k", "l").await, "");
    raw.emit(1800, "k");
    assert_eq!(raw.stop("w").await, "");
    assert_eq!(raw.drive().await, [""; 0]);
    raw.emit(1900, "k");
    assert_eq!(raw.drive().await, [""; 0]);
    assert_eq!(raw.start("late").await, "");
    assert_eq!(raw.drive().await, ["1800:late 1900:late"]);
}

/// Once a stop has returned no batch names the watch, whatever was pending; the others go on.
pub async fn g23_a_stopped_watch_is_in_no_batch(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    raw.follow("w", "k", "l").await;
    raw.follow("v", "k", "l").await;
    raw.emit(1, "k");
    assert_eq!(raw.stop("w").await, "");
    raw.emit(2, "k");
    // Another watch of the same id: what the first one matched is not its.
    raw.follow("w", "k", "l").await;
    raw.emit(3, "k");
    assert_eq!(raw.drive().await, ["1:v 2:v 3:v,w"]);
    raw.emit(4, "k");
    assert_eq!(raw.stop("w").await, "");
    assert_eq!(raw.stop("v").await, "");
    assert_eq!(raw.drive().await, [""; 0]);
    assert_eq!(raw.guest.n_watches(), 0);
    let emitted = raw.bus.emit(5, ["k"]).expect("the bus is open");
    assert_eq!(emitted.matched(), 0, "nothing is queued for the owner");
    let RawGuest { bus, guest, .. } = raw;
    drop(guest);
    assert_eq!(bus.n_subscriptions(), 0);
}

/// A watch that is stopped between two batches of one notice is not in the second, which is not
/// delivered if no watch is left for it. An id that would not fit the buffer is no error then.
pub async fn g23_a_stopped_watch_is_not_in_the_rest_of_a_notice(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    for id in ["a", "b", "c", "d", "e"] {
        raw.follow(id, "k", "l").await;
    }
    // The number of notices, the head of one, and two ids of one byte.
    raw.poke(RawGuest::BUF_CAP, 2 + 10 + 6).await;
    let stop = |id: &str| Step::Verb(Verb::Stop, id.as_bytes().to_vec());
    raw.plan([stop("d"), stop("a")]);
    raw.emit(1, "k");
    assert_eq!(raw.drive().await, ["1:a,b", "1:c,e"]);
    raw.plan([stop("c")]);
    raw.emit(2, "k");
    assert_eq!(raw.drive().await, ["2:e,b"]);
    raw.follow("unfit", "k", "l").await;
    raw.plan([stop("unfit")]);
    raw.emit(3, "k");
    assert_eq!(raw.drive().await, ["3:e,b"]);
    raw.emit(4, "k");
    assert_eq!(raw.drive().await, ["4:e,b"]);
    assert!(raw.errors().is_empty());
}

/// What does not fit the guest's buffer follows in the next recv: notices, and the ids of one. An
/// id that does not fit at all is an error of its watch, and the others go on.
pub async fn a_batch_that_does_not_fit_is_split(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    for id in ["a", "b", "c"] {
        raw.follow(id, "k", "l").await;
    }
    let long = "long".repeat(10);
    raw.follow(&long, "x", "y").await;
    // The number of notices, the head of one, and two ids.
    raw.poke(RawGuest::BUF_CAP, 2 + 10 + 6).await;
    raw.emit(1, "k");
    raw.emit(2, "k");
    raw.emit(3, "x");
    raw.emit(4, "k");
    let log = raw.drive().await;
    assert_eq!(log, ["1:a,b", "1:c", "2:a,b", "2:c", "4:a,b", "4:c"]);
    let errors = raw.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].contains(&long) && errors[0].contains("with value 3 failed"),
        "{errors:?}"
    );
    raw.poke(RawGuest::BUF_CAP, 16_384).await;
    raw.emit(5, "x");
    assert_eq!(raw.drive().await, [format!("5:{long}")]);
    // A buffer that nothing fits.
    raw.poke(RawGuest::BUF_CAP, 1).await;
    raw.emit(6, "x");
    raw.emit(7, "k");
    assert_eq!(raw.drive().await, [""; 0]);
    assert_eq!(raw.errors().len(), 4, "each id that could not be delivered");
    raw.poke(RawGuest::BUF_CAP, 16_384).await;
    raw.emit(8, "k");
    assert_eq!(raw.drive().await, ["8:a,b,c"]);
}

/// A batch is written into the memory of the guest, or nowhere: each notice that cannot be
/// delivered is reported.
pub async fn g30_a_buffer_outside_of_memory_is_reported(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    raw.follow("w", "k", "l").await;
    raw.poke(RawGuest::BUF_CAP, u32::MAX).await;
    raw.emit(1, "k");
    raw.emit(2, "k");
    assert_eq!(raw.drive().await, [""; 0]);
    let errors = raw.errors();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[1].contains("value 2") && errors[1].contains("outside of the memory"));
    raw.poke(RawGuest::BUF_CAP, 16_384).await;
    raw.emit(3, "k");
    assert_eq!(raw.drive().await, ["3:w"]);
}

/// An owner with more notices than it may have delivers those that fit, and ends with the value to
/// resume from. Other owners are not affected.
pub async fn an_owner_with_too_many_notices_ends(runtime: &dyn Runtime) {
    let raw = limited(runtime, Limits::default().notices(3)).await;
    let stream = raw.guest.owner();
    raw.follow_on(&stream, "w", "k", "l").await;
    raw.follow("v", "k2", "l").await;
    for value in 1..=5 {
        raw.emit(value, "k1");
    }
    raw.emit(6, "k3");
    assert_eq!(raw.drive().await, ["1:w 2:w 3:w", "6:v"]);
    assert!(stream.is_ended());
    let errors = raw.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    for part in [
        format!("{} has ended", stream.id()),
        "`Limits::notices`, which is 3".to_owned(),
        "resume from value 4".to_owned(),
    ] {
        assert!(errors[0].contains(&part), "{errors:?}");
    }
    let call = raw.guest.caller().owner(&stream).call("run", &[]).await;
    let refused = text(&call.expect_err("the owner has ended"));
    assert!(refused.contains("resume from value 4"), "{refused}");
    assert_eq!(raw.guest.n_watches(), 1);
    raw.emit(7, "k3");
    assert_eq!(raw.drive().await, ["7:v"], "the guest and its owner go on");
    // The bound in bytes.
    let raw = limited(runtime, Limits::default().notice_bytes(100)).await;
    raw.follow("w", "k", "l").await;
    raw.emit(1, "k");
    raw.emit(2, &"k".repeat(80));
    assert_eq!(raw.drive().await, ["1:w"]);
    assert!(raw.errors()[0].contains("resume from value 2"));
    assert_eq!(raw.open("v", "k", "l").await, "Watch closed");
}

/// The notices of all groups of a guest have one bound. The group whose notices would exceed it
/// ends, the others go on, and what is delivered or ended gives room.
pub async fn g17_the_notices_of_all_groups_are_bounded(runtime: &dyn Runtime) {
    // Room for two emits of a key of 84 bytes.
    let limits = Limits::default().notice_bytes(220).guest_notice_bytes(260);
    let raw = limited(runtime, limits).await;
    let follow = async |group: &str, from: &str, to: &str| {
        let log = raw.run([
            Step::Verb(Verb::GroupStart, group.as_bytes().to_vec()),
            Step::Verb(Verb::Open, keys([group, from, to])),
            Step::Verb(Verb::Start, group.as_bytes().to_vec()),
        ]);
        assert_eq!(log.await, [""; 0]);
    };
    let emit = |value, key: &str| raw.emit(value, &key.repeat(84));
    follow("g", "a", "b").await;
    follow("h", "b", "c").await;
    emit(1, "a");
    emit(2, "b");
    emit(3, "b");
    let mut log = raw.drive().await;
    log.sort_unstable();
    assert_eq!(log, ["1:g", "2:h"]);
    let errors = raw.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    for part in [
        "`Limits::guest_notice_bytes`, which is 260",
        "resume from value 3",
    ] {
        assert!(errors[0].contains(part), "{errors:?}");
    }
    follow("h", "b", "c").await;
    emit(5, "b");
    emit(6, "b");
    assert_eq!(raw.drive().await, ["5:h 6:h"]);
    // What a start makes due counts as well, until it is delivered.
    let id = "i".repeat(100);
    assert_eq!(raw.open(&id, "i", "j").await, "");
    raw.emit(7, "i");
    assert_eq!(raw.drive().await, [""; 0]);
    assert_eq!(raw.start(&id).await, "");
    emit(8, "b");
    emit(9, "b");
    let mut log = raw.drive().await;
    log.sort_unstable();
    assert_eq!(log, [format!("7:{id}"), "8:h".to_owned()]);
    let errors = raw.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("resume from value 9"), "{errors:?}");
    // The end of an owner gives room.
    let stream = raw.guest.owner();
    for (verb, buf) in [
        (Verb::Open, keys([&id, "i", "j"])),
        (Verb::Start, id.as_bytes().to_vec()),
    ] {
        if verb == Verb::Start {
            raw.emit(10, "i");
            assert_eq!(raw.drive().await, [format!("10:{id}")], "that of the guest");
        }
        let called = raw.verb_on(&stream, verb, &buf).await;
        assert_eq!(called.expect("no trap"), "");
    }
    stream.end();
    emit(11, "a");
    emit(12, "a");
    assert_eq!(raw.drive().await, ["11:g 12:g"]);
    assert!(raw.errors().is_empty());
}

/// What watches hold is bounded, too. The value to resume from is the first that was not delivered.
pub async fn held_notices_are_bounded(runtime: &dyn Runtime) {
    let raw = limited(runtime, Limits::default().notices(3)).await;
    raw.follow("w", "a", "z").await;
    assert_eq!(raw.open("held", "k", "l").await, "");
    for value in 1..=4 {
        raw.emit(value, "k");
        assert_eq!(raw.drive().await, [format!("{value}:w")]);
    }
    let errors = raw.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("resume from value 1"), "{errors:?}");
    assert_eq!(raw.guest.n_watches(), 0);
    // Never driven.
    let raw = limited(runtime, Limits::default().notices(3)).await;
    assert_eq!(raw.open("held", "k", "l").await, "");
    for value in 1..=4 {
        raw.emit(value, "k");
    }
    assert_eq!(raw.start("held").await, "");
    assert_eq!(raw.drive().await, ["1:held 2:held 3:held"]);
    assert!(raw.errors()[0].contains("resume from value 4"));
    // The ids of what is started count.
    let limits = Limits::default().notices(100).notice_bytes(2_000);
    let raw = limited(runtime, limits).await;
    let id = "i".repeat(500);
    raw.follow("w", "a", "b").await;
    assert_eq!(raw.open(&id, "k", "l").await, "");
    for value in 1..=9 {
        raw.emit(value, "k");
        assert_eq!(raw.drive().await, [""; 0]);
    }
    assert_eq!(raw.start(&id).await, "");
    assert_eq!(raw.drive().await, [format!("1:{id} 2:{id} 3:{id}")]);
    assert!(raw.errors()[0].contains("resume from value 4"));
}

/// The verbs of a call are of the group that it has selected; a recv is of the group of its
/// watches.
pub async fn g38_a_group_is_an_owner_inside_the_guest(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    let group = |id: &str| Step::Verb(Verb::GroupStart, id.as_bytes().to_vec());
    let stop = |id: &str| Step::Verb(Verb::GroupStop, id.as_bytes().to_vec());
    let open = |id: &str| Step::Verb(Verb::Open, keys([id, "k", "l"]));
    let start = |id: &str| Step::Verb(Verb::Start, id.as_bytes().to_vec());
    raw.follow("w", "k", "l").await;
    let log = raw
        .run([group("g"), open("w"), start("w"), group("h"), open("w")])
        .await;
    assert_eq!(log, [""; 0]);
    assert_eq!(raw.guest.n_watches(), 3);
    assert_eq!(
        raw.start("h").await,
        "Watch not found",
        "a group is no watch"
    );
    raw.emit(1, "k");
    assert_eq!(raw.drive().await, ["1:w", "1:w"]);
    let owners = raw.owners();
    assert_ne!(owners[0], owners[1]);
    // A group is selected again by another call, and left at the end of each.
    let log = raw
        .run([open("w"), group("h"), start("w"), open("w")])
        .await;
    assert_eq!(log, ["Watch already open", "Watch already open"]);
    assert_eq!(raw.drive().await, ["1:w"]);
    assert_eq!(raw.run([group("h")]).await, [""; 0]);
    assert_eq!(raw.reserve("own").await, "");
    assert_eq!(
        raw.run([start("own"), group("h"), open("own"), open("own")])
            .await,
        ["Watch not found", "Watch already open"],
        "the guest's own is reserved"
    );
    assert_eq!(raw.stop("own").await, "");
    // In a recv of a group the verbs are of it, and of the group that the recv selects.
    assert_eq!(raw.stop("w").await, "");
    assert_eq!(raw.run([stop("h")]).await, [""; 0]);
    raw.plan([open("v"), group("i"), open("v"), stop("i"), start("v")]);
    raw.emit(2, "k");
    assert_eq!(raw.drive().await, ["2:w"]);
    assert_eq!(raw.guest.n_watches(), 2, "w and v of g");
    raw.emit(3, "k");
    assert_eq!(raw.drive().await, ["3:w,v"]);
    // The end frees everything at once.
    raw.emit(4, "k");
    let log = raw.run([stop("g"), stop("g"), stop("none")]).await;
    assert_eq!(log, ["Group not found", "Group not found"]);
    assert_eq!((raw.guest.n_watches(), raw.drive().await.len()), (0, 0));
    assert_eq!(
        raw.run([group("g"), open("w"), stop("g"), open("w")]).await,
        [""; 0]
    );
    assert_eq!(raw.guest.n_watches(), 1, "of the guest");
}

/// Groups are of the owner of the call, end with it, and are limited.
pub async fn g38_groups_end_with_their_owner(runtime: &dyn Runtime) {
    let raw = limited(runtime, Limits::default().groups(2)).await;
    let owner = raw.guest.owner();
    let on = async |owner, verb, buf: &[u8]| {
        let called = raw.verb_on(owner, verb, buf).await;
        called.expect("no trap")
    };
    assert_eq!(on(&owner, Verb::GroupStart, b"g").await, "");
    assert_eq!(on(&owner, Verb::GroupStart, b"g").await, "");
    let other = raw.guest.owner();
    assert_eq!(on(&other, Verb::GroupStop, b"g").await, "Group not found");
    assert_eq!(on(&other, Verb::GroupStart, b"g").await, "");
    let full = on(&other, Verb::GroupStart, b"h").await;
    assert_eq!(full, "Watch limit reached");
    let mut session = raw.guest.session().await.expect("an instance");
    session.set_owner(&owner).expect("it lives");
    raw.plan([
        Step::Verb(Verb::GroupStart, b"g".to_vec()),
        Step::Verb(Verb::Open, keys(["w", "k", "l"])),
        Step::Verb(Verb::Start, b"w".to_vec()),
    ]);
    session.call("run", &[]).await.expect("no trap");
    drop(session);
    assert_eq!((raw.guest.n_watches(), owner.n_watches()), (1, 0));
    raw.emit(1, "k");
    // The group ends while a recv of it runs.
    raw.plan([
        Step::End(owner.clone()),
        Step::Verb(Verb::Open, keys(["v", "k", "l"])),
        Step::Verb(Verb::GroupStart, b"g".to_vec()),
        Step::Report("dropped", 7),
    ]);
    assert_eq!(raw.drive().await, ["1:w", "Watch closed", "Watch closed"]);
    assert_eq!((raw.guest.n_watches(), raw.bus.n_subscriptions()), (0, 0));
    assert!(raw.errors().is_empty(), "the owner has ended");
    assert_eq!(
        on(&other, Verb::GroupStart, b"h").await,
        "",
        "there is room"
    );
    drop(other);
    let raw = limited(runtime, Limits::default().id_bytes(3)).await;
    let long = raw.verb(Verb::GroupStart, b"long").await;
    assert_eq!(long.expect("no trap"), "id too long");
}

async fn pooled(runtime: &dyn Runtime, calls: u32, callbacks: u32) -> RawGuest {
    RawGuest::gen2_on(runtime, &RangeWatchBus::new(), |builder| {
        builder.pool(calls, callbacks)
    })
    .await
}

/// While a recv of an owner runs, its later notices wait, however many instances are free; another
/// owner receives beside it.
pub async fn g31_batches_of_one_owner_never_overlap(runtime: &dyn Runtime) {
    let raw = pooled(runtime, 1, 3).await;
    let other = raw.guest.owner();
    raw.follow("w", "a", "b").await;
    raw.follow("v", "a", "b").await;
    raw.follow_on(&other, "o", "b", "c").await;
    recvs_do_not_overlap(&raw, ["1:w,v", "4:o", "2:w,v 3:w,v"]).await;
}

/// `stop` from a call waits for the recv of the batch that names the watch, and for no other.
pub async fn stop_waits_for_a_batch_on_another_instance(runtime: &dyn Runtime) {
    let raw = pooled(runtime, 2, 1).await;
    raw.follow("w", "a", "b").await;
    raw.follow("v", "b", "c").await;
    let (step, arrival, release) = gate();
    raw.plan([step]);
    raw.emit(1, "a");
    beside(&raw.guest, async {
        arrival.await.expect("the recv runs");
        raw.emit(2, "a");
        raw.emit(3, "b");
        assert_eq!(raw.stop("v").await, "", "it is not in the batch");
        let mut stop = pin!(raw.verb(Verb::Stop, b"w"));
        for _ in 0..3 {
            assert!(stop.as_mut().now_or_never().is_none(), "the recv runs");
        }
        assert_eq!(raw.start("w").await, "Watch not found", "the id is free");
        release.send(()).expect("it waits");
        assert_eq!(stop.await.expect("no trap"), "");
    })
    .await;
    assert_eq!(
        raw.drive().await,
        ["1:w"],
        "2 and 3 came before their stops"
    );
}

/// Every verb works inside a recv; a stop never waits there, and what the recv emits is delivered
/// by the next one.
pub async fn g24_verbs_work_inside_a_batch(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    raw.follow("w", "a", "b").await;
    raw.follow("v", "a", "b").await;
    raw.plan([
        Step::Emit(2, "a"),
        Step::Verb(Verb::Stop, b"v".to_vec()),
        Step::Verb(Verb::Stop, b"v".to_vec()),
        Step::Verb(Verb::Open, keys(["x", "a", "b"])),
        Step::Verb(Verb::Start, b"x".to_vec()),
        Step::Emit(3, "a"),
    ]);
    raw.emit(1, "a");
    let log = raw.drive().await;
    assert_eq!(log, ["1:w,v", "Watch not found", "2:w 3:w,x"]);
    raw.plan([Step::Verb(Verb::Stop, b"w".to_vec())]);
    raw.emit(4, "a");
    assert_eq!(raw.drive().await, ["4:w,x"]);
    raw.emit(5, "a");
    assert_eq!(raw.drive().await, ["5:x"]);
}

/// Each generation receives what the other emits, in its own form.
pub async fn guests_of_both_generations_share_a_bus(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let first = RawGuest::on(runtime, &bus, |builder| builder).await;
    let second = RawGuest::gen2_on(runtime, &bus, |builder| builder).await;
    first.follow("w", "k", "l").await;
    second.follow("w", "k", "l").await;
    first.flush(1, &keys(["k1", "k2"])).await.expect("no trap");
    second.queue(2, &keys(["k3"])).await.expect("no trap");
    second.queue(3, &keys(["k4"])).await.expect("no trap");
    second.guest.call("flush", &[]).await.expect("no trap");
    bus.emit(4, ["k5"]).expect("the bus is open");
    assert_eq!(first.drive().await, ["w=1"], "the first of the burst");
    assert_eq!(second.drive().await, ["1:w 2:w 3:w 4:w"]);
}

/// A guest that imports generation 2 under the module of the first is of generation 2.
pub async fn generation_2_is_known_by_its_imports(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let module = "pantopic/ext-range-watch";
    assert_eq!(RAW_GUEST_2.matches(module).count(), 9);
    let renamed = RAW_GUEST_2.replace(module, "pantopic/wazero-range-watch");
    let guest_bus = GuestBus::from(&bus);
    let raw = RawGuest::of_text(runtime, &renamed, &bus, guest_bus, |builder| builder).await;
    raw.follow("w", "k", "l").await;
    raw.queue(1, &keys(["k"])).await.expect("no trap");
    raw.queue(2, &keys(["k"])).await.expect("no trap");
    assert_eq!(raw.drive().await, [""; 0]);
    raw.guest.call("flush", &[]).await.expect("no trap");
    assert_eq!(raw.drive().await, ["1:w 2:w"]);
    let group = raw.verb(Verb::GroupStart, b"g").await;
    assert_eq!(group.expect("no trap"), "");
    let group = raw.verb(Verb::GroupStop, b"g").await;
    assert_eq!(group.expect("no trap"), "");
    raw.queue(3, &keys(["k"])).await.expect("no trap");
    raw.guest.call("clear", &[]).await.expect("no trap");
    raw.guest.call("flush", &[]).await.expect("no trap");
    assert_eq!(raw.drive().await, [""; 0]);
}

/// Malformed and oversized lists trap, and nothing of the guest is emitted.
pub async fn g30_malformed_queues_trap_and_emit_nothing(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let limits = Limits::default().flush_keys(3).flush_bytes(30).key_bytes(9);
    let make =
        async || RawGuest::gen2_on(runtime, &bus, |builder| builder.limits(limits.clone())).await;
    let long = "a".repeat(10);
    let malformed: [(&[&str], Vec<u8>, &str); 7] = [
        (&["a"], b"\0".to_vec(), "cut short"),
        (&["a"], b"\0\x01a\0\x02b".to_vec(), "cut short"),
        (&[], b"\xff\xffa".to_vec(), "cut short"),
        (&[], keys([&*long]), "`Limits::key_bytes` is 9"),
        (&[], keys(["a", "b", "c", "d"]), "more than 3 keys"),
        (&["a", "b"], keys(["c", "d"]), "more than 3 keys"),
        (
            &["aaaaaaaaa", "b"],
            keys(["aaaaaaaaa", "aaaaaa"]),
            "`Limits::flush_bytes` is 30",
        ),
    ];
    for (before, buf, message) in malformed {
        let raw = make().await;
        raw.queue(1, &keys(before.iter().copied()))
            .await
            .expect("well formed");
        let error = raw.queue(2, &buf).await.expect_err("malformed");
        assert!(text(&error).contains(message), "{error}");
        let gone = raw.guest.call("flush", &[]).await;
        assert!(matches!(gone, Err(CallError::Gone { .. })));
    }
    let raw = make().await;
    raw.poke(RawGuest::BUF_CAP, u32::MAX).await;
    raw.poke(RawGuest::BUF_LEN, 65_536).await;
    let error = raw.guest.call("queue", &[]).await.expect_err("outside");
    assert!(text(&error).contains("buf is outside of the memory"));
    for export in ["group_start", "group_stop"] {
        let raw = make().await;
        raw.poke(RawGuest::BUF_LEN, 16_385).await;
        let error = raw.guest.call(export, &[]).await.expect_err("too long");
        assert!(text(&error).contains("buf_cap"), "{error}");
    }
    assert_eq!(bus.last_seq(), None);
    // A list at the limits.
    let raw = make().await;
    let list = keys(["aaaaaaaaa", "aaaaaaaaa", "aaaaaa"]);
    raw.queue(1, &list).await.expect("30 bytes");
    raw.guest.call("flush", &[]).await.expect("no trap");
    assert!(bus.last_seq().is_some());
}

/// A flush of several values takes effect as a whole or not at all; staged, with the other emits of
/// its call.
pub async fn g32_a_flush_that_is_refused_leaves_no_emit(runtime: &dyn Runtime) {
    let bus = || {
        let builder = RangeWatchBus::builder().history(History::events(8));
        builder.build().expect("a valid history")
    };
    for emits in [Emits::Immediate, Emits::Staged] {
        let bus = bus();
        let raw = RawGuest::gen2_on(runtime, &bus, |builder| builder.emits(emits)).await;
        raw.queue(2, &keys(["a"])).await.expect("no trap");
        raw.queue(1, &keys(["b"])).await.expect("no trap");
        let error = raw.guest.call("flush", &[]).await.expect_err("refused");
        assert!(text(&error).contains("refused the emit"), "{error}");
        assert_eq!(bus.last_seq(), None);
    }
    let bus = bus();
    let raw = RawGuest::gen2_on(runtime, &bus, |builder| builder.pool(1, 1)).await;
    let mut events = bus.subscribe("a".."b").events(8).expect("the bus is open");
    raw.follow("w", "t", "u").await;
    raw.plan([Step::Emit(5, "a"), Step::Trap]);
    raw.emit(1, "t");
    raw.drive().await;
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
    raw.plan([Step::Emit(5, "a1"), Step::Emit(5, "a2")]);
    raw.emit(2, "t");
    raw.drive().await;
    let event = events.try_recv().expect("committed");
    assert_eq!((event.value(), event.keys().count()), (5, 2));
}

/// The commit hook has what was flushed, not what was only queued.
pub async fn g39_the_hook_has_what_was_flushed(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let counts = Arc::new(Mutex::new(Vec::new()));
    let of_hook = counts.clone();
    let guest_bus = GuestBus::on_commit(&bus, move |_cx, staged| {
        of_hook.lock().push((staged.n_emits(), staged.n_keys()));
        ready(match staged.publish() {
            Ok(_) => Ok(()),
            Err((_staged, error)) => Err(error.into()),
        })
        .boxed()
    });
    let raw = RawGuest::of_text(runtime, RAW_GUEST_2, &bus, guest_bus, |builder| builder).await;
    raw.follow("w", "k", "l").await;
    counts.lock().clear();
    raw.queue(1, &keys(["k1", "k2"])).await.expect("no trap");
    raw.queue(2, &keys(["k3"])).await.expect("no trap");
    raw.guest.call("flush", &[]).await.expect("no trap");
    assert_eq!(counts.lock()[..], [(0, 0), (0, 0), (2, 3)]);
    assert_eq!(raw.drive().await, ["1:w 2:w"]);
}

/// A recv that reports an error closes the watches of its batch, and what it has staged is dropped.
/// One that traps keeps them. Both are reported with the first value and the number of notices.
pub async fn a_batch_that_fails_is_reported(runtime: &dyn Runtime) {
    let raw = RawGuest::gen2_on(runtime, &RangeWatchBus::new(), |builder| {
        builder.pool(1, 1).emits(Emits::Staged)
    })
    .await;
    raw.follow("w", "a", "b").await;
    raw.follow("v", "a", "c").await;
    raw.follow("x", "b", "c").await;
    raw.plan([Step::Emit(9, "b"), Step::Report("bad", 3)]);
    raw.emit(1, "a");
    raw.emit(2, "a");
    assert_eq!(raw.drive().await, ["1:w,v 2:w,v"]);
    let errors = raw.errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    for part in ["recv of 2 notices of owner", "from value 1 on", "`bad`"] {
        assert!(errors[0].contains(part), "{errors:?}");
    }
    assert_eq!(raw.guest.n_watches(), 1);
    assert_eq!(raw.reserve("w").await, "", "the id is free");
    raw.plan([Step::Trap]);
    raw.emit(3, "b");
    raw.drive().await;
    let errors = raw.errors();
    assert!(
        errors.len() == 1 && errors[0].contains("recv of 1 notice of"),
        "{errors:?}"
    );
    raw.emit(4, "b");
    assert_eq!(raw.drive().await, ["4:x"], "3 is not delivered again");
    // The text of a verb that was not cleared is no report.
    raw.plan([Step::VerbUnchecked(Verb::Stop, b"none".to_vec())]);
    raw.emit(5, "b");
    assert_eq!(raw.drive().await, ["5:x"]);
    assert!(raw.errors().is_empty());
}

/// What was emitted before the close of the bus is delivered; then the watches are gone.
pub async fn g27_a_closed_bus_is_drained(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    raw.follow("w", "k", "l").await;
    raw.emit(1, "k");
    raw.emit(2, "k");
    raw.bus.close();
    assert_eq!(raw.open("v", "k", "l").await, "Watch closed");
    assert_eq!(raw.drive().await, ["1:w 2:w"]);
    assert_eq!(raw.drive().await, [""; 0]);
    assert_eq!(raw.guest.n_watches(), 0);
    raw.queue(3, &keys(["k"])).await.expect("it is not flushed");
    let error = raw.guest.call("flush", &[]).await.expect_err("closed");
    assert!(text(&error).contains("refused the emit"), "{error}");
}

/// `ready` waits for a notice of a started watch, and a loop around it misses none.
pub async fn g12_a_notice_makes_a_guest_ready(runtime: &dyn Runtime) {
    let raw = raw_guest(runtime).await;
    raw.follow("w", "k", "l").await;
    assert_eq!(raw.drive().await, [""; 0]);
    let mut ready = pin!(raw.guest.ready());
    assert!(ready.as_mut().now_or_never().is_none());
    raw.emit(1, "x");
    assert!(ready.as_mut().now_or_never().is_none());
    raw.emit(2, "k");
    ready.await;
    assert_eq!(raw.drive().await, ["2:w"]);
    assert!(raw.guest.ready().now_or_never().is_none());
    for value in 3..100 {
        raw.emit(value, "k");
        raw.guest.ready().await;
        assert_eq!(raw.drive().await, [format!("{value}:w")]);
    }
    // Beside a pump, at once and in one batch or several.
    beside(&raw.guest, async {
        for value in 100..200 {
            raw.emit(value, "k");
        }
        let (step, arrival, _) = gate();
        raw.plan([step]);
        raw.emit(200, "k");
        arrival.await.expect("it is delivered");
    })
    .await;
    let log = raw.log();
    let values: Vec<_> = log
        .iter()
        .flat_map(|batch| batch.split(' '))
        .map(str::to_owned)
        .collect();
    let expected: Vec<_> = (100..=200).map(|value| format!("{value}:w")).collect();
    assert_eq!(values, expected);
}

/// A group that has ended by overflow is opened again by the next `group_start`, without its
/// watches; the owner that it is in goes on.
pub async fn a_group_that_overflows_can_be_opened_again(runtime: &dyn Runtime) {
    let raw = limited(runtime, Limits::default().notices(2).groups(1)).await;
    let group = || Step::Verb(Verb::GroupStart, b"g".to_vec());
    let follow = [
        Step::Verb(Verb::Open, keys(["w", "k", "l"])),
        Step::Verb(Verb::Start, b"w".to_vec()),
    ];
    raw.follow("own", "x", "y").await;
    let [open, start] = follow;
    assert_eq!(raw.run([group(), open, start]).await, [""; 0]);
    for value in 1..=3 {
        raw.emit(value, "k");
    }
    // Until the overflow is delivered the group takes no watch.
    let open = || Step::Verb(Verb::Open, keys(["v", "k", "l"]));
    assert_eq!(raw.run([group(), open()]).await, ["Watch closed"]);
    assert_eq!(raw.drive().await, ["1:w 2:w"]);
    assert!(raw.errors()[0].contains("resume from value 3"));
    assert_eq!(raw.guest.n_watches(), 1);
    let start = Step::Verb(Verb::Start, b"v".to_vec());
    assert_eq!(raw.run([group(), open(), start]).await, [""; 0]);
    raw.emit(4, "k");
    raw.emit(5, "x");
    assert_eq!(raw.drive().await, ["4:v", "5:own"]);
    // It ends, and makes room for another.
    let stop = Step::Verb(Verb::GroupStop, b"g".to_vec());
    let other = Step::Verb(Verb::GroupStart, b"h".to_vec());
    assert_eq!(raw.run([stop, other]).await, [""; 0]);
    assert_eq!(raw.guest.n_watches(), 1);
}

/// The end of an owner frees its notices while a recv of it runs on another instance; none of it is
/// entered any more, and a report of the running one is dropped.
pub async fn g38_an_owner_ends_while_a_batch_of_it_runs(runtime: &dyn Runtime) {
    let raw = pooled(runtime, 1, 1).await;
    let (a, b) = (raw.guest.owner(), raw.guest.owner());
    raw.follow_on(&a, "w", "k", "l").await;
    raw.follow_on(&b, "w", "k", "l").await;
    let (step, arrival, release) = gate();
    raw.plan([
        step,
        Step::Verb(Verb::Open, keys(["v", "k", "l"])),
        Step::Report("bad", 3),
    ]);
    raw.emit(1, "k");
    beside(&raw.guest, async {
        arrival.await.expect("the recv of a runs");
        raw.emit(2, "k");
        a.end();
        assert_eq!((raw.guest.n_watches(), raw.bus.n_subscriptions()), (1, 1));
        release.send(()).expect("it waits");
        let (step, arrival, _) = gate();
        raw.plan([step]);
        arrival.await.expect("b receives");
    })
    .await;
    assert_eq!(raw.drive().await, ["1:w", "Watch closed", "1:w 2:w"]);
    assert_eq!(raw.owners(), [a.id(), b.id()]);
    assert!(raw.errors().is_empty());
}
