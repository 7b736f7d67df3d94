//! Calls: values, checks, traps.

use super::{call, call_err, guest, plain};
use crate::{CallError, Runtime, TrapKind, Val};

/// Arguments and results of all four types, several at once, are passed bit for bit.
pub async fn values_of_every_type_are_passed(runtime: &dyn Runtime) {
    let guest = guest(
        runtime,
        r#"(module
            (func (export "swap") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
                local.get 3 local.get 2 local.get 1 local.get 0)
            (func (export "nothing")))"#,
        plain,
    )
    .await;
    let args = [
        Val::I32(-1),
        Val::I64(i64::MIN),
        Val::F32(1.5),
        Val::F64(-0.0),
    ];
    let results = call(&guest, "swap", &args).await;
    assert_eq!(
        results,
        [
            Val::F64(-0.0),
            Val::F32(1.5),
            Val::I64(i64::MIN),
            Val::I32(-1)
        ]
    );
    let Val::F64(zero) = results[0] else {
        panic!("the types were compared above")
    };
    assert!(zero.is_sign_negative());
    assert_eq!(call(&guest, "nothing", &[]).await, []);
}

/// The error for a wrong name lists a bounded part of the names, on one line.
pub async fn g30_a_wrong_name_lists_few_of_many(runtime: &dyn Runtime) {
    const N: usize = 10_000;
    let name = |i: usize| match i {
        0 => format!("0\\0a{}", "x".repeat(5_000)),
        i => format!("f{i:05}"),
    };
    let exports: String = (0..N)
        .map(|i| format!("(export \"{}\" (func $f))", name(i)))
        .collect();
    let guest = guest(runtime, &format!("(module (func $f) {exports})"), plain).await;
    let error = call_err(&guest, "f").await;
    let text = error.to_string();
    assert!(text.len() < 1_000, "{text}");
    assert!(text.contains("it exports: 0\\nxxx"), "{text}");
    assert!(text.contains("f00001, f00002, f00003"), "{text}");
    assert!(text.ends_with("f00019 and 9980 more"), "{text}");
    let CallError::UnknownExport {
        exports, n_more, ..
    } = error
    else {
        panic!("{text}");
    };
    assert_eq!((exports.len(), n_more), (20, N - 20));
    assert!(exports[0].len() == 1_024 && exports[1] == "f00001");
}

/// A call with a wrong name or wrong arguments fails with an error that names them; the guest is
/// unchanged.
pub async fn a_call_is_checked_before_the_guest_runs(runtime: &dyn Runtime) {
    let guest = guest(
        runtime,
        r#"(module
            (memory (export "memory") 1)
            (func (export "one") (param i32))
            (func (export "vector") (param v128)))"#,
        plain,
    )
    .await;
    let error = call_err(&guest, "two").await;
    assert!(
        matches!(&error, CallError::UnknownExport { exports, n_more: 0, .. } if exports == &["one", "vector"])
    );
    let error = call_err(&guest, "memory").await;
    assert!(matches!(error, CallError::UnknownExport { .. }));
    let error = call_err(&guest, "one").await;
    assert_eq!(
        error.to_string(),
        "`one` is (i32) -> (), but was called with ()"
    );
    let error = guest.call("one", &[Val::I64(1)]).await;
    assert!(matches!(error, Err(CallError::Arguments { .. })));
    let error = call_err(&guest, "vector").await;
    assert!(matches!(error, CallError::Signature { .. }));
    assert_eq!(call(&guest, "one", &[Val::I32(1)]).await, []);
}

/// Each trap of the specification has a `TrapKind`.
pub async fn traps_have_a_kind(runtime: &dyn Runtime) {
    let cases = [
        ("unreachable", TrapKind::Unreachable),
        ("i32.const 65536 i32.load drop", TrapKind::MemoryOutOfBounds),
        (
            "i32.const -1 i32.load offset=4 drop",
            TrapKind::MemoryOutOfBounds,
        ),
        (
            "i32.const 65535 i32.const 0 i32.const 2 memory.fill",
            TrapKind::MemoryOutOfBounds,
        ),
        (
            "i32.const 9 call_indirect (type $none)",
            TrapKind::TableOutOfBounds,
        ),
        ("i32.const 9 table.get 0 drop", TrapKind::TableOutOfBounds),
        (
            "i32.const 1 call_indirect (type $none)",
            TrapKind::NullFunction,
        ),
        (
            "i32.const 0 call_indirect (type $none)",
            TrapKind::BadSignature,
        ),
        (
            "i32.const -2147483648 i32.const -1 i32.div_s drop",
            TrapKind::IntegerOverflow,
        ),
        (
            "f32.const 3e10 i32.trunc_f32_s drop",
            TrapKind::IntegerOverflow,
        ),
        (
            "i64.const 1 i64.const 0 i64.rem_u drop",
            TrapKind::DivisionByZero,
        ),
        (
            "f64.const nan i64.trunc_f64_s drop",
            TrapKind::BadConversion,
        ),
        ("call $self", TrapKind::StackOverflow),
    ];
    for (code, expected) in cases {
        let text = format!(
            r#"(module
                (type $none (func))
                (memory 1)
                (table 2 funcref)
                (elem (i32.const 0) $other)
                (func $other (param i32))
                (func $self (export "go") {code}))"#
        );
        match call_err(&guest(runtime, &text, plain).await, "go").await {
            CallError::Trap { kind, export, .. } => {
                assert_eq!((kind, export.as_str()), (expected, "go"), "{code}");
            }
            other => panic!("{code}: {other}"),
        }
    }
}

/// After a trap, calls of the guest fail with `Gone` and the reason; another guest of the same
/// module is not affected.
pub async fn g30_a_trap_ends_one_guest_only(runtime: &dyn Runtime) {
    let text = r#"(module
        (func (export "fine") (result i32) i32.const 7)
        (func (export "trap") unreachable))"#;
    let module = super::load(runtime, text).await;
    let bus = rangewatch_bus::RangeWatchBus::new();
    let make = async || crate::Guest::builder(&module, &bus).instantiate().await;
    let one = make().await.expect("starts");
    let other = make().await.expect("starts");
    assert!(matches!(
        call_err(&one, "trap").await,
        CallError::Trap { .. }
    ));
    match call_err(&one, "fine").await {
        CallError::Gone { reason } => assert!(reason.contains("`trap` trapped"), "{reason}"),
        error => panic!("{error}"),
    }
    assert_eq!(call(&other, "fine", &[]).await, [Val::I32(7)]);
    assert_eq!(
        call(&make().await.expect("starts"), "fine", &[]).await,
        [Val::I32(7)]
    );
}

/// A computed NaN is the canonical one on every machine.
pub async fn nans_are_canonical(runtime: &dyn Runtime) {
    let guest = guest(
        runtime,
        r#"(module
            (func (export "f32") (param f32 f32) (result i32)
                local.get 0 local.get 1 f32.div i32.reinterpret_f32)
            (func (export "f64") (param f64) (result i64)
                local.get 0 f64.sqrt i64.reinterpret_f64)
            (func (export "payload") (result i32)
                i32.const 0x7fa12345 f32.reinterpret_i32 f32.const 1 f32.add i32.reinterpret_f32)
            (func (export "lanes") (result i64)
                f64.const -1 f64x2.splat f64x2.sqrt i64x2.extract_lane 1))"#,
        plain,
    )
    .await;
    let zero = Val::F32(0.0);
    assert_eq!(
        call(&guest, "f32", &[zero, zero]).await,
        [Val::I32(0x7fc0_0000)]
    );
    let nan = [Val::I64(0x7ff8_0000_0000_0000)];
    assert_eq!(call(&guest, "f64", &[Val::F64(-1.0)]).await, nan);
    assert_eq!(call(&guest, "payload", &[]).await, [Val::I32(0x7fc0_0000)]);
    assert_eq!(call(&guest, "lanes", &[]).await, nan);
}

/// The host reads and writes the memory between calls, also pages that were added since its first
/// access.
pub async fn the_host_accesses_memory_between_calls_and_after_growth(runtime: &dyn Runtime) {
    let guest = guest(
        runtime,
        r#"(module
            (memory (export "memory") 1)
            (func (export "grow") (result i32) i32.const 1 memory.grow)
            (func (export "load") (param i32) (result i32) local.get 0 i32.load8_u))"#,
        plain,
    )
    .await;
    let len = guest
        .with_memory(|memory| memory.len())
        .await
        .expect("there is an instance");
    assert_eq!(len, 65536);
    assert_eq!(call(&guest, "grow", &[]).await, [Val::I32(1)]);
    let len = guest
        .with_memory(|memory| {
            memory[131_071] = 42;
            memory.len()
        })
        .await
        .expect("there is an instance");
    assert_eq!(len, 131_072);
    assert_eq!(
        call(&guest, "load", &[Val::I32(131_071)]).await,
        [Val::I32(42)]
    );
}

/// An export is called with the types of Rust, by guests and in sessions. Another signature, and a
/// session of another guest, are errors that change nothing.
pub async fn exports_are_called_with_types(runtime: &dyn Runtime) {
    let text = r#"(module
        (global $n (mut i64) (i64.const 0))
        (func (export "add") (param i64) (result i64)
            (global.set $n (i64.add (global.get $n) (local.get 0)))
            (global.get $n))
        (func (export "both") (param i32 f64) (result f64 i32) (local.get 1) (local.get 0))
        (func (export "nothing"))
        (func (export "trap") unreachable))"#;
    let guest = guest(runtime, text, |builder| builder.pool(2, 1)).await;
    let add = guest.func::<u64, u64>("add").expect("it is this");
    assert_eq!(add.call(5).await.expect("it returns"), 5);
    let both = guest
        .func::<(u32, f64), (f64, u32)>("both")
        .expect("it is this");
    assert_eq!(
        both.call((u32::MAX, 0.5)).await.expect("it returns"),
        (0.5, u32::MAX)
    );
    let nothing = guest.func::<(), ()>("nothing").expect("it is this");
    nothing.call(()).await.expect("it returns");

    let mut session = guest.session().await.expect("there is an instance");
    for n in 1..=3 {
        let before = add
            .clone()
            .call_in(&mut session, 0)
            .await
            .expect("it returns");
        let after = add.call_in(&mut session, n).await.expect("it returns");
        assert_eq!(after, before + n);
    }
    let error = guest
        .func::<u32, u64>("add")
        .expect_err("another signature");
    assert_eq!(
        error.to_string(),
        "`add` is (i64) -> (i64), and not (i32) -> (i64)"
    );
    let error = guest.func::<(), ()>("missing").expect_err("there is none");
    assert!(matches!(error, CallError::UnknownExport { .. }), "{error}");
    let other = super::guest(runtime, text, plain).await;
    let of_other = other.func::<u64, u64>("add").expect("it is this");
    let error = of_other
        .call_in(&mut session, 1)
        .await
        .expect_err("refused");
    assert!(matches!(error, CallError::OtherGuest { .. }), "{error}");
    add.call_in(&mut session, 1)
        .await
        .expect("the instance is there");

    let trap = guest.func::<(), ()>("trap").expect("it is this");
    let error = trap.call_in(&mut session, ()).await.expect_err("it traps");
    assert!(matches!(error, CallError::Trap { .. }), "{error}");
    let error = add.call_in(&mut session, 1).await.expect_err("it is lost");
    assert!(matches!(error, CallError::Gone { .. }), "{error}");
    drop(session);
    // On a new instance.
    assert_eq!(add.call(7).await.expect("it returns"), 7);
}
