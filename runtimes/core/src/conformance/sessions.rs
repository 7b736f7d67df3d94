//! Several calls on one instance.

use std::pin::pin;
use std::task::{Context, Waker};

use futures::FutureExt;

use super::{call, waiting_guest};
use crate::{CallError, Runtime, Val};

/// A guest that keeps a number, in a global and in its memory.
const COUNTER: &str = r#"(module
    (import "test" "wait" (func $wait))
    (memory (export "memory") 1)
    (global $n (mut i32) (i32.const 0))
    (func (export "add") (param i32) (result i32)
        (global.set $n (i32.add (global.get $n) (local.get 0)))
        (call $wait)
        (i32.store (i32.const 0) (global.get $n))
        (global.get $n))
    (func (export "trap") unreachable)
    (func (export "forever") (loop (call $wait) (br 0))))"#;

/// The calls of a session share one instance, which no other call uses meanwhile.
pub async fn a_session_is_one_instance(runtime: &dyn Runtime) {
    let guest = waiting_guest(runtime, COUNTER, Some((3, 1))).await;
    let mut session = guest.session().await.expect("there is an instance");
    for turn in 1..=5 {
        let results = session.call("add", &[Val::I32(10)]).await;
        assert_eq!(results.expect("it returns"), [Val::I32(10 * turn)]);
        let memory = session.memory().expect("the instance is there");
        assert_eq!(memory[..4], (10 * turn).to_le_bytes());
        // On another instance.
        assert_eq!(call(&guest, "add", &[Val::I32(1)]).await, [Val::I32(turn)]);
    }
    let error = session
        .call("add", &[])
        .await
        .expect_err("an argument is missing");
    assert!(matches!(error, CallError::Arguments { .. }), "{error}");
    let results = session.call("add", &[Val::I32(0)]).await;
    assert_eq!(results.expect("the instance is there"), [Val::I32(50)]);
    let error = session
        .data::<String>()
        .expect_err("there is none")
        .to_string();
    assert!(error.contains("String"), "{error}");
}

/// A session waits for the session before it, and its end gives the instance back.
pub async fn sessions_wait_for_each_other(runtime: &dyn Runtime) {
    let guest = waiting_guest(runtime, COUNTER, None).await;
    let mut first = guest.session().await.expect("there is an instance");
    first.call("add", &[Val::I32(1)]).await.expect("it returns");
    let mut second = pin!(guest.session());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(second.poll_unpin(&mut cx).is_pending());
    let mut other_call = pin!(guest.call("add", &[Val::I32(1)]));
    assert!(other_call.poll_unpin(&mut cx).is_pending());
    drop(first);
    let mut second = second.await.expect("the instance is back");
    let results = second.call("add", &[Val::I32(1)]).await;
    assert_eq!(results.expect("it returns"), [Val::I32(2)]);
    drop(second);
    assert_eq!(other_call.await.expect("it returns"), [Val::I32(3)]);
}

/// A call that traps or is dropped loses the instance of its session, and of a guest without a pool
/// its only one.
pub async fn g30_a_session_can_lose_its_instance(runtime: &dyn Runtime) {
    for is_pool in [true, false] {
        for is_trap in [true, false] {
            let guest = waiting_guest(runtime, COUNTER, is_pool.then_some((1, 1))).await;
            let mut session = guest.session().await.expect("there is an instance");
            if is_trap {
                let error = session.call("trap", &[]).await.expect_err("it traps");
                assert!(matches!(error, CallError::Trap { .. }), "{error}");
            } else {
                let mut cx = Context::from_waker(Waker::noop());
                let mut call = Box::pin(session.call("forever", &[]));
                assert!(call.poll_unpin(&mut cx).is_pending());
            }
            let reason = if is_trap { "trapped" } else { "dropped" };
            for error in [
                session.call("add", &[Val::I32(1)]).await.map(drop),
                session.memory().map(drop),
                session.call_bytes("trap", "").await.map(drop),
            ] {
                match error {
                    Err(CallError::Gone { reason: text }) => {
                        assert!(text.contains(reason) && !text.contains("gone"), "{text}");
                    }
                    other => panic!("{other:?}"),
                }
            }
            drop(session);
            let later = guest.call("add", &[Val::I32(1)]).await;
            match later {
                Ok(results) => assert_eq!((is_pool, results), (true, vec![Val::I32(1)])),
                Err(CallError::Gone { reason: text }) => {
                    assert!(!is_pool && text.contains(reason), "{text}");
                    assert!(!text.contains("gone"), "{text}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A session outlives its guest: its calls still run, and a closed guest waits for it.
pub async fn a_session_outlives_its_guest(runtime: &dyn Runtime) {
    let guest = waiting_guest(runtime, COUNTER, None).await;
    let mut session = guest.session().await.expect("there is an instance");
    let mut close = Box::pin(guest.close());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(close.poll_unpin(&mut cx).is_pending());
    session
        .call("add", &[Val::I32(1)])
        .await
        .expect("it returns");
    drop(session);
    close.await;
    let error = guest.session().await.expect_err("it is closed");
    assert!(matches!(error, CallError::Gone { .. }), "{error}");
}
