//! What [`Profile::Extended`](crate::Profile::Extended) adds.

use super::{call, call_err, guest, plain, try_load};
use crate::{CallError, Limits, LoadError, Proposal, Runtime, TrapKind, Val};

/// A loop of a million tail calls returns.
pub async fn tail_calls_take_no_stack(runtime: &dyn Runtime) {
    let text = r#"(module
        (func $count (export "count") (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 7))))
            (return_call $count (i32.sub (local.get 0) (i32.const 1)))))"#;
    if !has(runtime, Proposal::TailCalls, text).await {
        return;
    }
    let guest = guest(runtime, text, plain).await;
    let results = call(&guest, "count", &[Val::I32(1_000_000)]).await;
    assert_eq!(results, [Val::I32(7)]);
}

const EXCEPTIONS: &str = r#"(module
    (tag $failed (param i32))
    (table 100000 exnref)
    (func $throw (param i32) (throw $failed (local.get 0)))
    (func $catch (export "catch") (param i32) (result i32)
        (block $caught (result i32)
            (try_table (catch $failed $caught) (call $throw (local.get 0)))
            (unreachable)))
    (func (export "repeat") (param $n i32) (result i32)
        (local $sum i32)
        (loop $next
            (local.set $sum (i32.add (local.get $sum) (call $catch (i32.const 1))))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $next (local.get $n)))
        (local.get $sum))
    (func (export "throw") (call $throw (i32.const 7)))
    (func (export "keep") (param $n i32)
        (loop $next
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (table.set 0 (local.get $n)
                (block $caught (result exnref)
                    (try_table (catch_all_ref $caught) (call $throw (local.get $n)))
                    (unreachable)))
            (br_if $next (local.get $n)))))"#;

/// The payload of an exception arrives where it is caught.
pub async fn an_exception_is_caught_inside_the_guest(runtime: &dyn Runtime) {
    if !has(runtime, Proposal::ExceptionHandling, EXCEPTIONS).await {
        return;
    }
    let guest = guest(runtime, EXCEPTIONS, plain).await;
    let results = call(&guest, "catch", &[Val::I32(7)]).await;
    assert_eq!(results, [Val::I32(7)]);
}

/// An exception that leaves the export is a trap of its own kind.
pub async fn an_uncaught_exception_is_a_trap(runtime: &dyn Runtime) {
    if !has(runtime, Proposal::ExceptionHandling, EXCEPTIONS).await {
        return;
    }
    let guest = guest(runtime, EXCEPTIONS, plain).await;
    let error = call_err(&guest, "throw").await;
    assert!(is_trap(&error, TrapKind::UncaughtException), "{error}");
}

/// Exceptions that nothing refers to are freed: a guest throws more of them than its memory holds.
/// A loop that throws is ended by fuel.
pub async fn exceptions_are_collected_and_counted(runtime: &dyn Runtime) {
    if !has(runtime, Proposal::ExceptionHandling, EXCEPTIONS).await {
        return;
    }
    let bounded = guest(runtime, EXCEPTIONS, |builder| {
        builder.limits(Limits::default().memory_bytes(128 << 10))
    })
    .await;
    let results = call(&bounded, "repeat", &[Val::I32(50_000)]).await;
    assert_eq!(results, [Val::I32(50_000)]);
    let bounded = guest(runtime, EXCEPTIONS, |builder| {
        builder.limits(Limits::default().fuel_per_call(100_000))
    })
    .await;
    let error = bounded.call("repeat", &[Val::I32(0)]).await;
    let error = error.expect_err("2^32 rounds");
    assert!(is_trap(&error, TrapKind::OutOfFuel), "{error}");
}

/// The heap of the exceptions that a guest keeps is bounded by the limit on its memory.
pub async fn g30_exceptions_that_are_kept_are_bounded(runtime: &dyn Runtime) {
    if !has(runtime, Proposal::ExceptionHandling, EXCEPTIONS).await {
        return;
    }
    let few = guest(runtime, EXCEPTIONS, plain).await;
    call(&few, "keep", &[Val::I32(100)]).await;
    let many = guest(runtime, EXCEPTIONS, |builder| {
        builder.limits(Limits::default().memory_bytes(64 << 10))
    })
    .await;
    let kept = many.call("keep", &[Val::I32(100_000)]).await;
    kept.expect_err("100,000 exceptions do not fit");
}

/// Whether the engine has a proposal; if not, it refuses `text` by its name.
async fn has(runtime: &dyn Runtime, proposal: Proposal, text: &str) -> bool {
    assert!(runtime.profile().proposals().contains(&proposal));
    if !runtime.lacking().contains(&proposal) {
        return true;
    }
    match try_load(runtime, text).await {
        Err(LoadError::NotInEngine { proposals, engine }) => {
            assert_eq!(proposals, [proposal]);
            assert_eq!(engine, runtime.name());
        }
        other => panic!("{other:?}"),
    }
    false
}

fn is_trap(error: &CallError, expected: TrapKind) -> bool {
    matches!(error, CallError::Trap { kind, .. } if *kind == expected)
}
