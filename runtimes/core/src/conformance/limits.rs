//! Limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rangewatch_bus::RangeWatchBus;

use super::{call, call_err, guest, load};
use crate::{CallError, Guest, InstantiateError, Limits, Runtime, TrapKind, Val};

/// Growth beyond the limit fails inside the guest; a module that starts beyond it is refused.
pub async fn memory_is_bounded(runtime: &dyn Runtime) {
    let text = r#"(module
        (memory (export "memory") 2)
        (table (export "table") 1 funcref)
        (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
        (func (export "grow_table") (param i32) (result i32)
            ref.null func local.get 0 table.grow))"#;
    let limits = Limits::default().memory_bytes(3 << 16).table_elements(2);
    let guest = guest(runtime, text, |builder| builder.limits(limits)).await;
    assert_eq!(call(&guest, "grow", &[Val::I32(2)]).await, [Val::I32(-1)]);
    assert_eq!(call(&guest, "grow", &[Val::I32(1)]).await, [Val::I32(2)]);
    assert_eq!(call(&guest, "grow", &[Val::I32(1)]).await, [Val::I32(-1)]);
    assert_eq!(
        call(&guest, "grow_table", &[Val::I32(2)]).await,
        [Val::I32(-1)]
    );
    assert_eq!(
        call(&guest, "grow_table", &[Val::I32(1)]).await,
        [Val::I32(1)]
    );
    let module = load(runtime, text).await;
    let error = Guest::builder(&module, &RangeWatchBus::new())
        .limits(Limits::default().memory_bytes(1 << 16))
        .instantiate()
        .await
        .expect_err("the module starts with more");
    assert!(
        matches!(
            error,
            InstantiateError::Memory {
                bytes: 131_072,
                max_bytes: 65_536
            }
        ),
        "{error}"
    );
}

/// An instance has few tables, so that their number does not get around the limit on each.
pub async fn tables_are_few(runtime: &dyn Runtime) {
    for (n_tables, is_allowed) in [(Limits::MAX_TABLES, true), (Limits::MAX_TABLES + 1, false)] {
        let tables = "(table 1 funcref)".repeat(n_tables);
        let module = load(runtime, &format!("(module {tables})")).await;
        let guest = Guest::builder(&module, &RangeWatchBus::new())
            .instantiate()
            .await;
        assert_eq!(guest.is_ok(), is_allowed, "{n_tables} tables");
    }
}

/// A loop without an end burns its fuel and traps; each call has the whole of it.
pub async fn fuel_ends_a_loop(runtime: &dyn Runtime) {
    let text = r#"(module
        (func (export "spin") (loop br 0))
        (func (export "work") (local $i i32)
            (loop
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $i) (i32.const 1000))))))"#;
    let limits = Limits::default().fuel_per_call(50_000).fuel_slice(1_000);
    let guest = guest(runtime, text, |builder| builder.limits(limits)).await;
    for _ in 0..10 {
        call(&guest, "work", &[]).await;
    }
    match call_err(&guest, "spin").await {
        CallError::Trap { kind, .. } => assert_eq!(kind, TrapKind::OutOfFuel),
        error => panic!("{error}"),
    }
}

/// A start section that loops is ended, one that traps is reported, one that waits is refused.
pub async fn a_start_section_is_bounded_and_cannot_wait(runtime: &dyn Runtime) {
    let n_calls = Arc::new(AtomicUsize::new(0));
    let start = async |body: &str| {
        let text = format!(
            "(module (import \"env\" \"wait\" (func $wait)) (func $start {body}) (start $start))"
        );
        let module = load(runtime, &text).await;
        let n_calls = n_calls.clone();
        Guest::builder(&module, &RangeWatchBus::new())
            .limits(Limits::default().fuel_per_call(100_000))
            .host_function_async("env", "wait", move |_cx, ()| {
                n_calls.fetch_add(1, Ordering::Relaxed);
                Box::pin(async { Ok(()) })
            })
            .instantiate()
            .await
    };
    assert!(start("nop").await.is_ok());
    let segment = load(
        runtime,
        "(module (table 1 funcref) (func $f) (elem (i32.const 1) $f))",
    )
    .await;
    match Guest::builder(&segment, &RangeWatchBus::new())
        .instantiate()
        .await
    {
        Err(InstantiateError::Start(error)) => match *error {
            CallError::Trap { kind, .. } => assert_eq!(kind, TrapKind::TableOutOfBounds),
            error => panic!("{error}"),
        },
        other => panic!("{other:?}"),
    }
    for (body, expected) in [
        ("(loop br 0)", TrapKind::OutOfFuel),
        ("unreachable", TrapKind::Unreachable),
    ] {
        match start(body).await {
            Err(InstantiateError::Start(error)) => match *error {
                CallError::Trap { kind, .. } => assert_eq!(kind, expected),
                error => panic!("{error}"),
            },
            other => panic!("{other:?}"),
        }
    }
    let error = start("call $wait").await.expect_err("refused");
    assert!(
        error.to_string().contains("a start section cannot"),
        "{error}"
    );
    assert_eq!(n_calls.load(Ordering::Relaxed), 0);
}

/// A runtime that counts no fuel refuses a fuel limit, and one that does takes it.
pub async fn a_fuel_limit_needs_a_meter(runtime: &dyn Runtime) {
    let module = load(runtime, "(module (func (export \"go\")))").await;
    let limits = Limits::default().fuel_per_call(1_000);
    let guest = Guest::builder(&module, &RangeWatchBus::new())
        .limits(limits)
        .instantiate()
        .await;
    match guest {
        Ok(guest) => {
            assert!(module.is_metered());
            call(&guest, "go", &[]).await;
        }
        Err(InstantiateError::NotMetered { runtime: name }) => {
            assert!(!module.is_metered());
            assert_eq!(name, runtime.name());
        }
        Err(error) => panic!("{error}"),
    }
}
