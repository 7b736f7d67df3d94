//! Several instances, pumps, and callbacks that run at the same time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use futures::FutureExt;
use rangewatch_bus::RangeWatchBus;

use super::raw_guest::{RawGuest, Step, Verb, beside, gate};
use crate::{CallError, Guest, InstantiateError, Runtime};

async fn pooled(runtime: &dyn Runtime, calls: u32, callbacks: u32) -> RawGuest {
    RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder.pool(calls, callbacks)
    })
    .await
}

/// Ten watches are ready and two instances receive: at most two callbacks run at a time, and no
/// more instances are made than the pool allows.
pub async fn g31_instances_in_flight_are_bounded(runtime: &dyn Runtime) {
    let n_made = Arc::new(AtomicUsize::new(0));
    let counted = n_made.clone();
    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder.pool(1, 2).wasi_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(rangewatch_wasi::Wasi::builder().build()?)
        })
    })
    .await;
    let mut gates = Vec::new();
    for id in 0..10 {
        raw.follow(&format!("w{id}"), "a", "b").await;
        let (step, arrival, release) = gate();
        raw.plan([step]);
        gates.push((arrival, release));
    }
    assert_eq!(
        n_made.load(Ordering::Relaxed),
        1,
        "the instance of the calls"
    );
    raw.emit(1, "a");
    beside(&raw.guest, async {
        for (n_released, (arrival, release)) in gates.into_iter().enumerate() {
            arrival.await.expect("a callback runs");
            assert!(
                raw.log_len() <= n_released + 2,
                "more than two callbacks run"
            );
            release.send(()).expect("it waits");
        }
    })
    .await;
    assert_eq!(
        n_made.load(Ordering::Relaxed),
        3,
        "one for calls, two for callbacks"
    );
    raw.guest.drive_until_idle().await.expect("an instance");
    assert_eq!(raw.log().len(), 10);
}

/// While a callback of a watch runs, its next value waits, however many instances are free.
pub async fn g31_callbacks_of_one_watch_never_overlap(runtime: &dyn Runtime) {
    let raw = pooled(runtime, 1, 3).await;
    raw.follow("w", "a", "b").await;
    raw.follow("v", "b", "c").await;
    recvs_do_not_overlap(&raw, ["w=1", "v=4", "w=2"]).await;
}

/// While the recv of `a` runs, its later values wait, and the recv of `b` runs beside it. The logs
/// are those of the three recvs: of 1, of 4, and of what follows 1.
pub(super) async fn recvs_do_not_overlap(raw: &RawGuest, [first, beside_it, second]: [&str; 3]) {
    let (step, arrival, release) = gate();
    raw.plan([step]);
    raw.emit(1, "a");
    beside(&raw.guest, async {
        arrival.await.expect("the recv of a runs");
        raw.emit(2, "a");
        raw.emit(3, "a");
        let (step, arrival, go_on) = gate();
        raw.plan([step]);
        raw.emit(4, "b");
        arrival.await.expect("the recv of b runs beside it");
        assert_eq!(raw.log(), [first, beside_it]);
        let (step, arrival, _) = gate();
        raw.plan([step]);
        release.send(()).expect("the recv of a waits");
        arrival.await.expect("a is received again");
        assert_eq!(raw.log(), [second]);
        go_on.send(()).expect("the recv of b waits");
    })
    .await;
}

/// `stop` from a call suspends the guest until the callback that runs on another instance ends;
/// the id is free at once, and no thread is held.
pub async fn stop_waits_for_a_recv_on_another_instance(runtime: &dyn Runtime) {
    let raw = pooled(runtime, 2, 1).await;
    raw.follow("w", "a", "b").await;
    let (step, arrival, release) = gate();
    raw.plan([step]);
    raw.emit(1, "a");
    beside(&raw.guest, async {
        arrival.await.expect("w runs");
        raw.emit(2, "a");
        let mut stop = pin!(raw.verb(Verb::Stop, b"w"));
        for _ in 0..3 {
            assert!(stop.as_mut().now_or_never().is_none(), "the callback runs");
        }
        assert_eq!(
            raw.start("w").await,
            "Watch not found",
            "the id is free already"
        );
        release.send(()).expect("w waits");
        assert_eq!(stop.await.expect("no trap"), "");
    })
    .await;
    assert_eq!(
        raw.drive().await,
        ["w=1"],
        "the value emitted meanwhile is not delivered"
    );
}

/// Two callbacks that run at the same time stop each other, and both return.
pub async fn g24_two_recvs_that_stop_each_other_both_return(runtime: &dyn Runtime) {
    let raw = pooled(runtime, 1, 2).await;
    raw.follow("w", "a", "b").await;
    raw.follow("v", "a", "b").await;
    let (first, first_there, first_go) = gate();
    let (second, second_there, second_go) = gate();
    raw.plan([first, Step::Verb(Verb::Stop, b"v".to_vec())]);
    raw.plan([second, Step::Verb(Verb::Stop, b"w".to_vec())]);
    raw.emit(1, "a");
    beside(&raw.guest, async {
        first_there.await.expect("w runs");
        second_there.await.expect("v runs");
        first_go.send(()).expect("w waits");
        second_go.send(()).expect("v waits");
        raw.follow("x", "c", "d").await;
        let (step, there, _) = gate();
        raw.plan([step]);
        raw.emit(2, "c");
        there.await.expect("the instances are free again");
    })
    .await;
    assert_eq!(raw.log(), ["w=1", "v=1", "x=2"]);
    assert_eq!(raw.guest.n_watches(), 1);
}

/// An instance that trapped is replaced when the next one is needed; the watch stays.
pub async fn a_pool_replaces_an_instance_that_trapped(runtime: &dyn Runtime) {
    let raw = pooled(runtime, 1, 1).await;
    raw.follow("w", "a", "b").await;
    raw.plan([Step::Trap]);
    raw.emit(1, "a");
    assert_eq!(raw.drive().await, ["w=1"]);
    assert_eq!(raw.errors().len(), 1);
    raw.emit(2, "a");
    assert_eq!(raw.drive().await, ["w=2"]);
    assert!(matches!(
        raw.flush(1, b"\0").await,
        Err(CallError::Abi { .. })
    ));
    assert_eq!(raw.stop("w").await, "", "a fresh instance for calls too");
    let module = super::load(runtime, "(module)").await;
    let bus = RangeWatchBus::new();
    let error = Guest::builder(&module, &bus).pool(0, 1).instantiate().await;
    assert!(
        matches!(error, Err(InstantiateError::PoolSize { .. })),
        "{error:?}"
    );
}

/// A pump that waits resolves when its guest is dropped, and not before.
pub async fn a_pump_ends_with_its_guest(runtime: &dyn Runtime) {
    for callbacks in [1, 4] {
        let raw = pooled(runtime, 1, callbacks).await;
        raw.follow("w", "a", "b").await;
        let mut pump = raw.guest.pump();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pump.poll_unpin(&mut cx).is_pending());
        raw.emit(1, "a");
        assert!(pump.poll_unpin(&mut cx).is_pending());
        assert_eq!(raw.log(), ["w=1"]);
        drop(raw);
        pump.await.expect("it ends without an error");
    }
}

/// `close` resolves when the running callbacks have ended; no other callback is started.
pub async fn close_waits_for_the_running_recv(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    let bus = raw.bus.clone();
    raw.follow("w", "a", "b").await;
    raw.follow("v", "a", "b").await;
    let (step, _there, release) = gate();
    raw.plan([step, Step::Emit(2, "a")]);
    let mut log = bus.subscribe("a".."b").events(8).expect("valid");
    raw.emit(1, "a");
    let mut pump = raw.guest.pump();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pump.poll_unpin(&mut cx).is_pending());
    let (delivered, guest) = raw.into_log_and_guest();
    let mut close = pin!(guest.close());
    assert!(close.as_mut().poll(&mut cx).is_pending(), "w runs");
    release.send(()).expect("w waits");
    assert!(
        close.as_mut().poll(&mut cx).is_pending(),
        "w was not polled"
    );
    pump.await.expect("it ends without an error");
    close.await;
    assert_eq!(*delivered.lock(), ["w=1"], "v was not entered");
    assert_eq!(log.try_recv().expect("the host's emit").value(), 1);
    assert_eq!(log.try_recv().expect("w ran to its end").value(), 2);
    assert_eq!(bus.n_subscriptions(), 1, "only ours is left");
    match super::call_err(&guest, "flush").await {
        CallError::Gone { reason } => assert_eq!(reason, "it was closed"),
        error => panic!("{error}"),
    }
    guest.close().await;
}

/// The first poll of `close` ends the guest for later calls, also if its future is dropped. A call
/// that waited before it is served.
pub async fn a_close_that_is_dropped_ends_the_guest(runtime: &dyn Runtime) {
    let guest = RawGuest::new(runtime).await.guest;
    let session = guest.session().await.expect("an instance");
    let mut before = pin!(guest.call("flush", &[]));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(before.as_mut().poll(&mut cx).is_pending());
    assert!(guest.close().now_or_never().is_none(), "there is a session");
    drop(session);
    before.await.expect("it was made before the end");
    for error in [
        super::call_err(&guest, "flush").await,
        guest
            .call_bytes("flush", "")
            .await
            .expect_err("it is closed"),
        guest.session().await.expect_err("it is closed"),
    ] {
        match error {
            CallError::Gone { reason } => assert_eq!(reason, "it was closed"),
            error => panic!("{error}"),
        }
    }
    guest.close().await;
}

/// A pump that is dropped after it was woken, before it has an instance, notifies another pump.
pub async fn g12_a_dropped_pump_notifies_another(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    raw.follow("v", "b", "c").await;
    assert_eq!(raw.drive().await, [""; 0], "both wait for a ready watch");
    let (step, _there, release) = gate();
    raw.plan([step]);
    let (n_wakes, waker) = counting_waker();
    let mut first = raw.guest.pump();
    let mut second = raw.guest.pump();
    let mut third = raw.guest.pump();
    let mut cx = Context::from_waker(Waker::noop());
    let mut counted = Context::from_waker(&waker);
    // The third has the one instance; the first and the second wait for a ready watch.
    raw.emit(1, "a");
    assert!(third.poll_unpin(&mut cx).is_pending());
    assert!(first.poll_unpin(&mut cx).is_pending());
    assert!(second.poll_unpin(&mut counted).is_pending());
    raw.emit(2, "b");
    assert!(
        first.poll_unpin(&mut cx).is_pending(),
        "it was woken and waits for the instance"
    );
    let before = n_wakes.load(Ordering::Relaxed);
    drop(first);
    assert!(
        n_wakes.load(Ordering::Relaxed) > before,
        "the second is woken in its place"
    );
    release.send(()).expect("w waits");
    assert!(third.poll_unpin(&mut cx).is_pending());
    drop(third);
    assert!(second.poll_unpin(&mut counted).is_pending());
    assert_eq!(raw.log(), ["w=1", "v=2"]);
}

/// A callback that emits into the range of its own watch does not block the thread: a pump yields
/// to the executor after every callback.
pub async fn g33_a_pump_yields_between_callbacks(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    for value in 2..=50 {
        raw.plan([Step::Emit(value, "a")]);
    }
    raw.emit(1, "a");
    let mut pump = raw.guest.pump();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pump.poll_unpin(&mut cx).is_pending());
    assert!(
        raw.log_len() <= 2,
        "{} callbacks in one poll",
        raw.log_len()
    );
    drop(pump);
    raw.guest.drive_until_idle().await.expect("an instance");
    assert_eq!(raw.log_len(), 50);
}

/// A pump that cannot instantiate fails after the running callbacks have ended.
pub async fn a_pump_that_fails_lets_running_callbacks_end(runtime: &dyn Runtime) {
    let n_made = Arc::new(AtomicUsize::new(0));
    let counted = n_made.clone();
    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder
            .pool(1, 2)
            .wasi_with(move || match counted.fetch_add(1, Ordering::Relaxed) {
                2 => Err("no third instance".into()),
                _ => Ok(rangewatch_wasi::Wasi::builder().build()?),
            })
    })
    .await;
    raw.follow("w", "a", "b").await;
    raw.follow("v", "a", "b").await;
    let (step, _there, release) = gate();
    raw.plan([step, Step::Emit(2, "c")]);
    raw.emit(1, "a");
    let mut pump = raw.guest.pump();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(
        pump.poll_unpin(&mut cx).is_pending(),
        "w runs, and v has no instance"
    );
    assert_eq!(n_made.load(Ordering::Relaxed), 3);
    release.send(()).expect("w waits");
    let error = pump.await.expect_err("v has no instance");
    assert!(matches!(error, CallError::Instantiate { .. }), "{error}");
    assert_eq!(
        raw.bus.last_seq().map(|seq| seq.get()),
        Some(2),
        "w ran to its end"
    );
    assert_eq!(raw.drive().await, ["w=1", "v=1"], "v is still due");
}

/// One emit that makes many watches ready wakes one of the waiting pumps, once.
pub async fn one_emit_wakes_a_pump_once(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    for id in 0..100 {
        raw.follow(&id.to_string(), "a", "b").await;
    }
    let (n_wakes, waker) = counting_waker();
    let mut pumps = [raw.guest.pump(), raw.guest.pump(), raw.guest.pump()];
    let mut counted = Context::from_waker(&waker);
    // A future may wake its task for its first polls.
    let mut n_before = usize::MAX;
    while n_wakes.load(Ordering::Relaxed) != n_before {
        n_before = n_wakes.load(Ordering::Relaxed);
        for pump in &mut pumps {
            assert!(pump.poll_unpin(&mut counted).is_pending());
        }
    }
    raw.emit(1, "a");
    assert_eq!(n_wakes.load(Ordering::Relaxed), n_before + 1);
    drop(pumps);
    assert_eq!(raw.drive().await.len(), 100);
}

/// When the only instance of a guest traps, the watches of the guest are freed at once.
pub async fn g23_the_watches_of_a_lost_instance_are_freed(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("w", "a", "b").await;
    raw.follow("v", "b", "c").await;
    assert_eq!(raw.reserve("r").await, "");
    let mut pump = raw.guest.pump();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pump.poll_unpin(&mut cx).is_pending());
    raw.flush(1, b"\0").await.expect_err("a key list cut short");
    assert_eq!((raw.guest.n_watches(), raw.bus.n_subscriptions()), (0, 0));
    let error = pump.await.expect_err("no instance is left");
    assert!(matches!(error, CallError::Gone { .. }), "{error}");
    let error = raw.guest.drive_until_idle().await;
    let error = error.expect_err("no instance is left");
    assert!(matches!(error, CallError::Gone { .. }), "{error}");
}

/// An id that does not fit the buffer of the receiving instance is reported; the watch and the
/// instance stay.
pub async fn an_id_longer_than_the_buffer_is_reported(runtime: &dyn Runtime) {
    let raw = RawGuest::new(runtime).await;
    raw.follow("long", "a", "b").await;
    raw.poke(RawGuest::BUF_CAP, 3).await;
    raw.emit(1, "a");
    assert_eq!(raw.drive().await, [""; 0]);
    let errors = raw.errors();
    assert!(
        errors[0].contains("takes 4 bytes") && errors[0].contains("buf_cap is 3"),
        "{errors:?}"
    );
    raw.poke(RawGuest::BUF_CAP, 4).await;
    raw.emit(2, "a");
    assert_eq!(raw.drive().await, ["long=2"]);
}

/// A waker that counts.
fn counting_waker() -> (Arc<AtomicUsize>, Waker) {
    struct Counter(Arc<AtomicUsize>);
    impl std::task::Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let n_wakes = Arc::<AtomicUsize>::default();
    (n_wakes.clone(), Waker::from(Arc::new(Counter(n_wakes))))
}
