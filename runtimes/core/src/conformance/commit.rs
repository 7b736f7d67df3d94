//! The commit hook.

use std::sync::Arc;
use std::task::{Context, Waker};

use futures::channel::{mpsc, oneshot};
use futures::future::{BoxFuture, join, join_all};
use futures::{FutureExt, StreamExt};
use parking_lot::Mutex;
use rangewatch_bus::{EmitError, EventSubscription, History, RangeWatchBus, Selector};

use super::{call, load, text};
use crate::{
    CallError, CallbackErrorCause, Emits, Guest, GuestBus, HostCx, HostError, Runtime, Staged, Val,
};

/// A guest whose `emit` emits the key `k` with a value, as its recv does with the value 90, after
/// `test.recv` has said whether it reports an error.
const EMITTER: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "test" "recv" (func $recv (result i32)))
    (memory (export "memory") 1)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\50\00\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\04\00\00\00\00\00\00\20\00\00\00\00\00\00\00")
    (data (i32.const 512) "\00\01w\00\01t\00\00")
    (data (i32.const 520) "\00\01k")
    (func (export "__range_watch") (result i32) (i32.const 16))
    (func $buf (param $at i32) (param $len i32)
        (memory.copy (i32.const 256) (local.get $at) (local.get $len))
        (i32.store (i32.const 52) (local.get $len)))
    (func $emit (export "emit") (param $value i64)
        (call $buf (i32.const 520) (i32.const 3))
        (i64.store (i32.const 64) (local.get $value))
        (call $flush))
    (func (export "nothing"))
    (func (export "trap") (call $emit (i64.const 1)) unreachable)
    (func (export "watch")
        (call $buf (i32.const 512) (i32.const 8)) (call $open)
        (call $buf (i32.const 514) (i32.const 1)) (call $start))
    (func (export "__range_watch_recv") (local $report i32)
        (local.set $report (call $recv))
        (call $emit (i64.const 90))
        (i32.store (i32.const 80) (i32.const 0x64616265))
        (i32.store (i32.const 60) (local.get $report))))"#;

/// A hook that is a closure with a future.
fn hook<P, F>(
    f: impl Fn(Staged<P>) -> F + Send + Sync + 'static,
) -> impl for<'a> Fn(&'a mut dyn HostCx, Staged<P>) -> BoxFuture<'a, Result<(), HostError>>
where
    F: Future<Output = Result<(), HostError>> + Send + 'static,
{
    move |_cx, staged| f(staged).boxed()
}

async fn emitter(
    runtime: &dyn Runtime,
    bus: &GuestBus,
    pool: u32,
) -> (Guest, Arc<Mutex<Vec<String>>>) {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let of_guest = errors.clone();
    let module = load(runtime, EMITTER).await;
    let guest = Guest::builder(&module, bus)
        .pool(pool, 1)
        // In vain: with a hook emits are staged.
        .emits(Emits::Immediate)
        .instance_data(|| 0_i32)
        .host_function("test", "recv", |cx, ()| Ok(*cx.data::<i32>()?))
        .on_callback_error(move |error| {
            let kind = match &error.cause {
                CallbackErrorCause::Reported(text) => format!("reported {text}"),
                cause => text(cause),
            };
            of_guest.lock().push(kind);
        })
        .instantiate()
        .await
        .expect("the guest of the scenario starts");
    (guest, errors)
}

fn values(sub: &mut EventSubscription) -> Vec<u64> {
    std::iter::from_fn(|| sub.try_recv().ok())
        .map(|event| event.value())
        .collect()
}

fn emit(value: i64) -> [Val; 1] {
    [Val::I64(value)]
}

/// A bus with a subscription to the key `k`.
fn bus_and_events() -> (RangeWatchBus, EventSubscription) {
    let bus = RangeWatchBus::new();
    let sub = bus.subscribe(Selector::key("k")).events(100);
    (bus, sub.expect("the bus is open"))
}

/// The hook publishes with payloads of its transaction, and the call returns after it. It runs for
/// calls that emit nothing, and not for those that fail.
pub async fn g39_the_hook_publishes_what_a_call_has_staged(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::builder().payloads::<String>();
    let bus = bus.history(History::events(8)).build().expect("bounds");
    let mut sub = bus.subscribe(..).events(8).expect("the bus is open");
    let log = Arc::new(Mutex::new(Vec::new()));
    let (of_hook, look) = (log.clone(), bus.clone());
    let guest_bus = GuestBus::on_commit(&bus, move |cx, staged| {
        let n_calls = cx.data::<i32>().map(|n| {
            *n += 1;
            *n
        });
        let (log, head) = (of_hook.clone(), look.head());
        async move {
            let n_calls = n_calls?;
            log.lock()
                .push((n_calls, head, staged.n_emits(), staged.n_keys()));
            let published = staged
                .publish_with(|value, key| format!("{value} {} {n_calls}", key.escape_ascii()));
            published.map_err(|(_, error)| error)?;
            Ok(())
        }
        .boxed()
    });
    let (guest, _) = emitter(runtime, &guest_bus, 1).await;
    call(&guest, "emit", &emit(5)).await;
    assert_eq!(bus.head(), Some(5));
    call(&guest, "nothing", &[]).await;
    let error = guest.call("trap", &[]).await.expect_err("it traps");
    assert!(
        matches!(error, CallError::Discarded { n_emits: 1, .. }),
        "{error}"
    );
    call(&guest, "emit", &emit(7)).await;
    // The instance that trapped took its data with it.
    let expected = [(1, None, 1, 1), (2, Some(5), 0, 0), (1, Some(5), 1, 1)];
    assert_eq!(*log.lock(), expected);
    for payload in ["5 k 1", "7 k 1"] {
        let event = sub.try_recv().expect("it was published");
        let payloads: Vec<_> = event
            .entries()
            .map(|(_, payload)| payload.clone())
            .collect();
        assert_eq!(payloads, [payload]);
    }
}

/// Emits are published in the order of the hooks, and nothing before its hook.
pub async fn g39_hooks_may_end_in_another_order(runtime: &dyn Runtime) {
    let (bus, mut sub) = bus_and_events();
    let gates = Arc::new(Mutex::new(Vec::new()));
    let of_hook = gates.clone();
    let commit = hook(move |staged: Staged| {
        let (open, opened) = oneshot::channel::<()>();
        of_hook.lock().push(open);
        async move {
            opened.await?;
            staged.publish().map_err(|(_, error)| error)?;
            Ok(())
        }
    });
    let (guest, _) = emitter(runtime, &GuestBus::on_commit(&bus, commit), 2).await;
    let mut cx = Context::from_waker(Waker::noop());
    let (one, two) = (emit(1), emit(2));
    let mut first = Box::pin(guest.call("emit", &one));
    assert!(first.poll_unpin(&mut cx).is_pending());
    let mut second = Box::pin(guest.call("emit", &two));
    assert!(second.poll_unpin(&mut cx).is_pending());
    assert_eq!(values(&mut sub), [0; 0]);
    let [open_first, open_second] = <[_; 2]>::try_from(std::mem::take(&mut *gates.lock()))
        .expect("two calls are in their hooks");
    open_second.send(()).expect("it waits");
    second.await.expect("it is committed");
    assert!(first.poll_unpin(&mut cx).is_pending());
    assert_eq!(values(&mut sub), [2]);
    open_first.send(()).expect("it waits");
    first.await.expect("it is committed");
    assert_eq!(values(&mut sub), [1]);
}

/// A hook that fails or panics refuses the call: nothing is published, and the instance is lost.
pub async fn g39_a_hook_can_refuse(runtime: &dyn Runtime) {
    let (bus, mut sub) = bus_and_events();
    let commit = hook(|staged: Staged| async move {
        let value = staged.emits().next().map(|(value, _)| value);
        match value {
            Some(1) => Err("the disk is full".into()),
            Some(2) => panic!("a bug of the host"),
            _ => {
                staged.publish().map_err(|(_, error)| error)?;
                Ok(())
            }
        }
    });
    let (guest, _) = emitter(runtime, &GuestBus::on_commit(&bus, commit), 1).await;
    for (value, expected) in [(1, "the disk is full"), (2, "a bug of the host")] {
        let error = guest.call("emit", &emit(value)).await.expect_err("refused");
        assert!(
            matches!(error, CallError::NotCommitted { n_emits: 1, .. }),
            "{error}"
        );
        assert!(text(&error).contains(expected), "{}", text(&error));
    }
    call(&guest, "emit", &emit(3)).await;
    assert_eq!(values(&mut sub), [3]);
}

/// A call that is dropped before its hook has handed the emits on publishes nothing; after that it
/// changes nothing.
pub async fn g39_a_dropped_call_is_published_if_it_was_handed_on(runtime: &dyn Runtime) {
    let (bus, mut sub) = bus_and_events();
    let (hand_on, mut handed_on) = mpsc::unbounded::<Staged>();
    let commit = hook(move |staged: Staged| {
        let hand_on = hand_on.clone();
        async move {
            let is_handed_on = staged.emits().next().is_some_and(|(value, _)| value == 2);
            let _kept = if is_handed_on {
                hand_on.unbounded_send(staged)?;
                None
            } else {
                Some(staged)
            };
            std::future::pending().await
        }
    });
    let (guest, _) = emitter(runtime, &GuestBus::on_commit(&bus, commit), 1).await;
    let mut cx = Context::from_waker(Waker::noop());
    for value in [1, 2] {
        let args = emit(value);
        let mut call = Box::pin(guest.call("emit", &args));
        assert!(call.poll_unpin(&mut cx).is_pending());
        drop(call);
    }
    assert_eq!(values(&mut sub), [0; 0]);
    let staged = handed_on.next().await.expect("it was handed on");
    staged.publish().expect("the bus is open");
    assert_eq!(values(&mut sub), [2]);
    drop(guest);
    assert!(handed_on.next().await.is_none());
}

/// A bus that refuses at publish tells the hook, which has the emits still and can roll back.
pub async fn g39_a_bus_that_refuses_tells_the_hook(runtime: &dyn Runtime) {
    let (bus, mut sub) = bus_and_events();
    let rolled_back = Arc::new(Mutex::new(Vec::new()));
    let (of_hook, closing) = (rolled_back.clone(), bus.clone());
    let commit = hook(move |staged: Staged| {
        let rolled_back = of_hook.clone();
        closing.close();
        async move {
            let (staged, error) = staged.publish().expect_err("the bus is closed");
            assert_eq!(error, EmitError::Closed);
            let emits = staged.emits();
            rolled_back
                .lock()
                .extend(emits.map(|(value, keys)| (value, keys.count())));
            Err(error.into())
        }
    });
    let (guest, _) = emitter(runtime, &GuestBus::on_commit(&bus, commit), 1).await;
    let error = guest.call("emit", &emit(4)).await.expect_err("refused");
    assert!(text(&error).contains("closed"), "{}", text(&error));
    assert_eq!(*rolled_back.lock(), [(4, 1)]);
    assert_eq!(values(&mut sub), [0; 0]);
}

/// Publishing nothing succeeds on a closed bus: calls that only read still return.
pub async fn nothing_is_published_on_a_closed_bus(runtime: &dyn Runtime) {
    let (bus, _sub) = bus_and_events();
    let commit = hook(|staged: Staged| async move {
        let published = staged.publish().map_err(|(_, error)| error)?;
        assert_eq!(published.n_emits(), 0);
        Ok(())
    });
    let (guest, _) = emitter(runtime, &GuestBus::on_commit(&bus, commit), 1).await;
    bus.close();
    let returned = guest.call("nothing", &[]).await;
    returned.expect("it has staged nothing");
    let error = guest.call("emit", &emit(1)).await.expect_err("refused");
    assert!(matches!(error, CallError::NotCommitted { .. }), "{error}");
}

/// A callback that reports an error is not committed: its emits are dropped, and its watch is
/// closed.
pub async fn g39_a_callback_that_reports_is_not_committed(runtime: &dyn Runtime) {
    for has_hook in [true, false] {
        for reports in [false, true] {
            let (bus, mut sub) = bus_and_events();
            let n_hooks = Arc::new(Mutex::new(0));
            let of_hook = n_hooks.clone();
            let commit = hook(move |staged: Staged| {
                *of_hook.lock() += 1;
                async move {
                    staged.publish().map_err(|(_, error)| error)?;
                    Ok(())
                }
            });
            let module = load(runtime, EMITTER).await;
            let guest_bus = if has_hook {
                GuestBus::on_commit(&bus, commit)
            } else {
                GuestBus::from(&bus)
            };
            let errors = Arc::new(Mutex::new(Vec::new()));
            let of_guest = errors.clone();
            let guest = Guest::builder(&module, &guest_bus)
                .emits(Emits::Staged)
                .host_function("test", "recv", move |_cx, ()| {
                    Ok(if reports { 4_i32 } else { 0 })
                })
                .on_callback_error(move |error| of_guest.lock().push(text(&error)))
                .instantiate()
                .await
                .expect("the guest of the scenario starts");
            call(&guest, "watch", &[]).await;
            bus.emit(1, ["t"]).expect("the bus is open");
            guest
                .drive_until_idle()
                .await
                .expect("there is an instance");
            let expected: &[u64] = if reports { &[] } else { &[90] };
            assert_eq!(values(&mut sub), expected);
            assert_eq!(guest.n_watches(), usize::from(!reports));
            // `watch` is a call of its own.
            let n_committed = if has_hook {
                1 + usize::from(!reports)
            } else {
                0
            };
            assert_eq!(*n_hooks.lock(), n_committed);
            assert_eq!(errors.lock().len(), usize::from(reports));
        }
    }
}

/// Three concurrent calls are committed together, by a task of the embedder's own.
pub async fn g39_three_calls_in_one_group_commit(runtime: &dyn Runtime) {
    let (bus, mut sub) = bus_and_events();
    let (send, receive) = mpsc::unbounded::<(Staged, oneshot::Sender<()>)>();
    let commit = hook(move |staged: Staged| {
        let send = send.clone();
        async move {
            let (done, is_done) = oneshot::channel();
            send.unbounded_send((staged, done))?;
            is_done.await?;
            Ok(())
        }
    });
    let (guest, errors) = emitter(runtime, &GuestBus::on_commit(&bus, commit), 3).await;
    let calls = join_all([6, 5, 4].map(async |value| {
        let args = emit(value);
        guest.call("emit", &args).await.expect("it is committed");
    }));
    let group = async {
        let mut group: Vec<_> = receive.take(3).collect().await;
        // One write and one sync of the disk, for all of them; then in the order of their values.
        group.sort_by_key(|(staged, _)| staged.emits().next().map(|(value, _)| value));
        for (staged, done) in group {
            staged.publish().expect("the bus is open");
            done.send(()).expect("the call waits");
        }
    };
    join(calls, group).await;
    assert_eq!(values(&mut sub), [4, 5, 6]);
    assert_eq!(*errors.lock(), [""; 0]);
}
