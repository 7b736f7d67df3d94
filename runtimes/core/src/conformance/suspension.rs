//! Suspended calls.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::task::noop_waker;
use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;

use super::{call, call_err, guest, plain};
use crate::{CallError, Guest, Limits, Runtime, Val};

/// Returns to the executor once.
pub(super) async fn pending_once() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A guest is suspended inside of nested calls, its memory is accessible meanwhile, and the results
/// are returned to the suspended call.
pub async fn an_async_host_function_suspends_the_guest(runtime: &dyn Runtime) {
    let (send, receive) = oneshot::channel::<i64>();
    let receive = Mutex::new(Some(receive));
    let guest = guest(
        runtime,
        r#"(module
            (import "env" "ask" (func $ask (param i32) (result i64 i32)))
            (memory (export "memory") 1)
            (func $inner (param i32) (result i64)
                (local $n i32)
                (i32.store8 (i32.const 9) (i32.const 77))
                (call $ask (local.get 0))
                (local.set $n)
                (i64.add (i64.extend_i32_u (local.get $n)))
                (i64.add (i64.extend_i32_u (i32.load8_u (i32.const 9)))))
            (func (export "go") (param i32) (result i64)
                (i64.add
                    (i64.extend_i32_u (local.get 0))
                    (call $inner (i32.mul (local.get 0) (i32.const 2)))))
            (func (export "twice") (result i64)
                (i64.add (call $inner (i32.const 1)) (call $inner (i32.const 2)))))"#,
        |builder| {
            builder.host_function_async_cx("env", "ask", move |cx, n: i32| {
                let receive = receive.lock().take();
                Box::pin(async move {
                    assert_eq!(cx.memory()[9], 77);
                    let answer = match receive {
                        Some(receive) => receive.await?,
                        None => {
                            pending_once().await;
                            0
                        }
                    };
                    cx.memory()[9] = 100;
                    Ok((answer, n))
                })
            })
        },
    )
    .await;
    let polls = {
        let args = [Val::I32(5)];
        let mut call = pin!(guest.call("go", &args));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(
                call.as_mut().poll(&mut cx).is_pending(),
                "the host function waits"
            );
        }
        send.send(1_000).expect("the host function waits");
        call.await
    };
    assert_eq!(polls.expect("resumed"), [Val::I64(5 + 1_000 + 10 + 100)]);
    assert_eq!(
        call(&guest, "twice", &[]).await,
        [Val::I64(1 + 100 + 2 + 100)]
    );
}

/// A loop yields to the executor after every slice of fuel: the number of its polls shows it.
pub async fn g33_a_loop_yields_at_every_slice(runtime: &dyn Runtime) {
    let text = r#"(module
        (func (export "count") (param $n i32) (result i32) (local $i i32)
            (loop
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $i) (local.get $n))))
            local.get $i))"#;
    let mut n_polls = Vec::new();
    for slice in [1_000, 10_000] {
        let limits = Limits::default().fuel_slice(slice);
        let guest = guest(runtime, text, |builder| builder.limits(limits)).await;
        let args = [Val::I32(100_000)];
        let mut call = pin!(guest.call("count", &args));
        let mut polls = 0_usize;
        let results = poll_fn(|cx| {
            polls += 1;
            call.as_mut().poll(cx)
        })
        .await;
        assert_eq!(results.expect("it ends"), [Val::I32(100_000)]);
        n_polls.push(polls);
    }
    // An iteration of the loop uses 1 to about 10 units.
    assert!(n_polls[0] >= 100, "{n_polls:?}");
    assert!(
        n_polls[1] >= 10 && n_polls[1] < n_polls[0] / 5,
        "{n_polls:?}"
    );
}

/// Dropping a call that waits in a host function drops what the function holds, ends the instance,
/// and leaves other guests alone.
pub async fn a_call_dropped_while_suspended_ends_the_instance(runtime: &dyn Runtime) {
    struct Held(Arc<AtomicUsize>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let n_dropped = Arc::new(AtomicUsize::new(0));
    let in_function = n_dropped.clone();
    let in_closure = Held(n_dropped.clone());
    let guest = guest(
        runtime,
        r#"(module
            (import "env" "wait" (func $wait))
            (func (export "go") call $wait)
            (func (export "fine")))"#,
        |builder| {
            builder.host_function_async_cx("env", "wait", move |_cx, ()| {
                let held = Held(in_function.clone());
                let _alive = &in_closure;
                Box::pin(async move {
                    let _held = held;
                    std::future::pending::<()>().await;
                    Ok(())
                })
            })
        },
    )
    .await;
    call(&guest, "fine", &[]).await;
    {
        let mut call = pin!(guest.call("go", &[]));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert_eq!(n_dropped.load(Ordering::Relaxed), 0);
    }
    assert_eq!(
        n_dropped.load(Ordering::Relaxed),
        1,
        "the function's future was dropped"
    );
    match call_err(&guest, "fine").await {
        CallError::Gone { reason } => assert!(reason.contains("`go` was dropped"), "{reason}"),
        error => panic!("{error}"),
    }
    drop(guest);
    assert_eq!(
        n_dropped.load(Ordering::Relaxed),
        2,
        "nothing of the guest is left"
    );
    let fresh = super::guest(runtime, "(module (func (export \"fine\")))", plain).await;
    call(&fresh, "fine", &[]).await;
}

/// Dropping a call between two slices of fuel ends the instance as well.
pub async fn a_call_dropped_between_slices_ends_the_instance(runtime: &dyn Runtime) {
    let guest = guest(
        runtime,
        "(module (func (export \"spin\") (loop br 0)) (func (export \"fine\")))",
        |builder| builder.limits(Limits::default().fuel_slice(1_000)),
    )
    .await;
    {
        let mut call = pin!(guest.call("spin", &[]));
        let waker = noop_waker();
        for _ in 0..10 {
            assert!(
                call.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
    }
    assert!(matches!(
        call_err(&guest, "fine").await,
        CallError::Gone { .. }
    ));
}

/// Dropping a guest ends its pump and drops the instance while a callback loops without end.
pub async fn g23_dropping_a_guest_ends_a_pump_whose_callback_loops(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let text = super::RAW_GUEST.replace("(local.set $do (call $received))", "(br $again)");
    let module = super::load(runtime, &text).await;
    let guest = Guest::builder(&module, &bus)
        .host_function("test", "received", |_cx, ()| Ok(0_i32))
        .instantiate()
        .await
        .expect("the guest starts");
    for (verb, buf) in [("open", &b"\0\x01w\0\x01a\0\0"[..]), ("start", b"w")] {
        let put = |memory: &mut [u8]| {
            memory[256..][..buf.len()].copy_from_slice(buf);
            memory[52..56].copy_from_slice(&[buf.len() as u8, 0, 0, 0]);
        };
        guest.with_memory(put).await.expect("there is an instance");
        call(&guest, verb, &[]).await;
    }
    bus.emit(1, ["a"]).expect("the bus is open");
    let mut pump = guest.pump();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(pump.poll_unpin(&mut cx).is_pending(), "the callback loops");
    }
    drop(guest);
    assert_eq!(bus.n_subscriptions(), 0);
    let ended = pump.poll_unpin(&mut cx);
    assert!(matches!(ended, Poll::Ready(Ok(()))), "{ended:?}");
}
