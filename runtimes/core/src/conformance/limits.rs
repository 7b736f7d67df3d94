//! Limits.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use futures::FutureExt;
use rangewatch_bus::RangeWatchBus;
use rangewatch_bus::timer::ManualTimer;

use super::raw_guest::{RawGuest, Verb, keys};
use super::suspension::pending_once;
use super::{call, call_err, guest, load, plain};
use crate::abi::AbiError;
use crate::{
    CallError, Emits, ErrorChain, Guest, InstantiateError, Limits, Runtime, TrapKind, Val,
};

/// Growing memory or a table beyond its limit fails inside the guest; a module whose initial size
/// is beyond it is refused.
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

/// A module that starts with a larger table is refused, and the error names the limit.
pub async fn tables_are_bounded(runtime: &dyn Runtime) {
    let module = load(runtime, "(module (table 1 funcref) (table 3 funcref))").await;
    let error = Guest::builder(&module, &RangeWatchBus::new())
        .limits(Limits::default().table_elements(2))
        .instantiate()
        .await
        .expect_err("the module starts with more");
    assert!(
        matches!(
            error,
            InstantiateError::Table {
                elements: 3,
                max_elements: 2
            }
        ),
        "{error}"
    );
}

/// The number of tables is limited, because the limit on elements is per table.
pub async fn the_number_of_tables_is_bounded(runtime: &dyn Runtime) {
    for (n_tables, is_allowed) in [(Limits::MAX_TABLES, true), (Limits::MAX_TABLES + 1, false)] {
        let tables = "(table 1 funcref)".repeat(n_tables);
        let module = load(runtime, &format!("(module {tables})")).await;
        let guest = Guest::builder(&module, &RangeWatchBus::new())
            .instantiate()
            .await;
        match guest {
            Ok(_) => assert!(is_allowed, "{n_tables} tables"),
            Err(error) => assert!(
                !is_allowed && matches!(error, InstantiateError::Tables { max: 4, .. }),
                "{error}"
            ),
        }
    }
}

/// An endless loop traps when its fuel is used up; each call starts with the full amount.
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
    let error = call_err(&guest, "spin").await;
    assert!(
        matches!(&error, CallError::Trap { kind, .. } if *kind == TrapKind::OutOfFuel),
        "{error}"
    );
    let text = ErrorChain::new(&error).to_string();
    assert!(text.contains("the limit is 50000"), "{text}");
}

/// A start section that loops runs out of fuel, one that traps is reported, one that waits is
/// refused.
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
                async { Ok(()) }
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
        super::text(&error).contains("a start section cannot"),
        "{error}"
    );
    assert_eq!(n_calls.load(Ordering::Relaxed), 0);
}

/// A runtime that does not count fuel refuses a fuel limit.
pub async fn a_fuel_limit_needs_a_runtime_that_counts_fuel(runtime: &dyn Runtime) {
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

/// A guest that uses one resource as much as its arguments say. Its buffer of 2 MiB is at 65536
/// and filled with zeros, which are a list of empty keys.
const GREEDY: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_reserve" (func $reserve))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "pantopic/wazero-range-watch" "__range_watch_stop" (func $stop))
    (memory (export "memory") 33)
    (table $table 1 funcref)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\00\01\00\30\00\00\00\34\00\00\00\50\00\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\00\20\00\00\00\00\00\20\00\00\00\00\00\00\00")
    (func (export "__range_watch") (result i32) (i32.const 16))
    (func (export "grow_memory") (param $pages i32) (result i32)
        (memory.grow (local.get $pages)))
    (func (export "grow_table") (param $elements i32) (result i32)
        (table.grow $table (ref.null func) (local.get $elements)))
    ;; Reserves up to so many ids of so many bytes, until the host refuses one; returns how many.
    (func (export "reserve") (param $max i32) (param $id_bytes i32) (result i32) (local $n i32)
        (i32.store (i32.const 52) (local.get $id_bytes))
        (block $refused (loop $next
            (i32.store (i32.const 65536) (local.get $n))
            (call $reserve)
            (br_if $refused (i32.load (i32.const 60)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $n) (local.get $max)))))
        (local.get $n))
    ;; The id of these verbs is so many zeros.
    (func (export "start") (param $id_bytes i32)
        (i32.store (i32.const 52) (local.get $id_bytes)) (call $start))
    (func (export "stop") (param $id_bytes i32)
        (i32.store (i32.const 52) (local.get $id_bytes)) (call $stop))
    (func (export "__range_watch_recv"))
    (func (export "flush") (param $n i32) (param $bytes i32)
        (i32.store (i32.const 52) (local.get $bytes))
        (loop $again
            (call $flush)
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $again (local.get $n))))
    (func (export "work") (param $turns i32)
        (loop $again
            (local.set $turns (i32.sub (local.get $turns) (i32.const 1)))
            (br_if $again (local.get $turns)))))"#;

async fn greedy(runtime: &dyn Runtime) -> Guest {
    guest(runtime, GREEDY, plain).await
}

/// A guest without limits of its own yields during a long call.
pub async fn g33_fuel_is_sliced_by_default(runtime: &dyn Runtime) {
    let guest = greedy(runtime).await;
    // At least a million units of fuel, of which a slice has 100,000.
    let mut call = pin!(guest.call("work", &[Val::I32(1_000_000)]));
    let mut cx = Context::from_waker(Waker::noop());
    let mut n_polls = 1;
    while call.as_mut().poll(&mut cx).is_pending() {
        n_polls += 1;
    }
    assert!(n_polls >= 10, "{n_polls} polls");
}

/// A guest without limits of its own starts with and grows to 256 MiB of memory at most.
pub async fn memory_is_bounded_by_default(runtime: &dyn Runtime) {
    let guest = greedy(runtime).await;
    let grown = call(&guest, "grow_memory", &[Val::I32(4096 - 33 + 1)]).await;
    assert_eq!(grown, [Val::I32(-1)]);
    let module = load(runtime, "(module (memory 4097))").await;
    let error = Guest::builder(&module, &RangeWatchBus::new())
        .instantiate()
        .await
        .expect_err("the module starts with more");
    assert!(
        matches!(
            error,
            InstantiateError::Memory {
                max_bytes: 0x1000_0000,
                ..
            }
        ),
        "{error}"
    );
}

/// A table of a guest without limits of its own grows to 1,048,576 elements.
pub async fn tables_are_bounded_by_default(runtime: &dyn Runtime) {
    let guest = greedy(runtime).await;
    let grown = call(&guest, "grow_table", &[Val::I32(1_048_576)]).await;
    assert_eq!(grown, [Val::I32(-1)]);
    let grown = call(&guest, "grow_table", &[Val::I32(1_048_575)]).await;
    assert_eq!(grown, [Val::I32(1)]);
}

/// A guest without limits of its own has 16,384 watches, whose ids and ranges have 64 MiB together.
pub async fn watches_are_bounded_by_default(runtime: &dyn Runtime) {
    let guest = greedy(runtime).await;
    let args = [Val::I32(16_400), Val::I32(4)];
    let reserved = call(&guest, "reserve", &args).await;
    assert_eq!(reserved, [Val::I32(16_384)]);
    let guest = greedy(runtime).await;
    let args = [Val::I32(1_100), Val::I32(65_535)];
    let reserved = call(&guest, "reserve", &args).await;
    assert_eq!(reserved, [Val::I32(1_024)], "64 MiB / 65,535 bytes");
}

/// The error of a call that breaks the ABI.
async fn abi_err(guest: &Guest, export: &str, args: &[Val]) -> AbiError {
    match guest.call(export, args).await {
        Err(CallError::Abi { source, .. }) => source,
        Err(CallError::Discarded { source, .. }) => match *source {
            CallError::Abi { source, .. } => source,
            error => panic!("{error}"),
        },
        other => panic!("{other:?}"),
    }
}

/// A flush of a guest without limits of its own has 16,384 keys and 256 KiB at most.
pub async fn a_flush_is_bounded_by_default(runtime: &dyn Runtime) {
    let guest = greedy(runtime).await;
    // Empty keys, of two bytes each.
    call(&guest, "flush", &[Val::I32(1), Val::I32(32_768)]).await;
    let error = abi_err(&guest, "flush", &[Val::I32(1), Val::I32(32_770)]).await;
    assert_eq!(error, AbiError::FlushTooManyKeys { max_keys: 16_384 });
    for (bytes, is_too_large) in [(262_144, false), (262_146, true)] {
        let guest = greedy(runtime).await;
        let error = abi_err(&guest, "flush", &[Val::I32(1), Val::I32(bytes)]).await;
        let too_large = AbiError::FlushTooLarge {
            bytes: bytes as usize,
            max_bytes: 262_144,
        };
        assert_eq!(error == too_large, is_too_large, "{error}");
    }
}

/// A call of a guest without limits of its own stages 16,384 keys and 4 MiB at most, 8 bytes for
/// each key included.
pub async fn staged_emits_are_bounded_by_default(runtime: &dyn Runtime) {
    let staged = async |limits| {
        guest(runtime, GREEDY, |builder| {
            builder.limits(limits).emits(Emits::Staged)
        })
        .await
    };
    let guest = staged(Limits::default()).await;
    call(&guest, "flush", &[Val::I32(4), Val::I32(8_192)]).await;
    let error = abi_err(&guest, "flush", &[Val::I32(5), Val::I32(8_192)]).await;
    assert_eq!(error, AbiError::StagedTooManyKeys { max_keys: 16_384 });
    let limits = Limits::default().flush_keys(1 << 20).staged_keys(1 << 20);
    let guest = staged(limits).await;
    // 131,072 empty keys a time, which are 1 MiB.
    call(&guest, "flush", &[Val::I32(3), Val::I32(262_144)]).await;
    let error = abi_err(&guest, "flush", &[Val::I32(4), Val::I32(262_144)]).await;
    assert_eq!(
        error,
        AbiError::StagedFull {
            max_bytes: 4_194_304
        }
    );
}

/// A call that runs longer than its limit by the clock ends, whether it loops or waits, and its
/// instance with it. One that returns in time is not affected.
pub async fn a_call_is_bounded_in_time(runtime: &dyn Runtime) {
    let timer = ManualTimer::new();
    let module = load(
        runtime,
        r#"(module
            (import "env" "wait" (func $wait))
            (func (export "work") nop)
            (func (export "loop") (loop (br 0)))
            (func (export "wait") (call $wait)))"#,
    )
    .await;
    let limits = Limits::default().wall_time(Duration::from_secs(3));
    let guest = Guest::builder(&module, &RangeWatchBus::new())
        .pool(1, 1)
        .limits(limits)
        .timer(timer.clone())
        .host_function_async("env", "wait", |_cx, ()| async {
            std::future::pending::<()>().await;
            Ok(())
        })
        .instantiate()
        .await
        .expect("the guest of the scenario starts");
    let mut cx = Context::from_waker(Waker::noop());
    for export in ["loop", "wait"] {
        call(&guest, "work", &[]).await;
        let mut running = pin!(guest.call(export, &[]));
        timer.advance(Duration::from_secs(1));
        for _ in 0..3 {
            assert!(running.as_mut().poll(&mut cx).is_pending());
        }
        timer.advance(Duration::from_secs(3));
        let error = running.await.expect_err("it ran too long");
        assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
        assert!(
            error
                .to_string()
                .contains("`Limits::wall_time`, which is 3s"),
            "{error}"
        );
    }
    call(&guest, "work", &[]).await;
}

/// The time of a call begins with it, also where a backend runs the first part of it at once.
pub async fn the_time_of_a_call_begins_with_it(runtime: &dyn Runtime) {
    let timer = ManualTimer::new();
    let module = load(
        runtime,
        r#"(module
            (import "env" "work" (func $work))
            (import "env" "wait" (func $wait))
            (func (export "late") (call $work) (call $wait)))"#,
    )
    .await;
    let of_work = timer.clone();
    let guest = Guest::builder(&module, &RangeWatchBus::new())
        .limits(Limits::default().wall_time(Duration::from_secs(3)))
        .timer(timer)
        .host_function("env", "work", move |_cx, ()| {
            of_work.advance(Duration::from_secs(4));
            Ok(())
        })
        .host_function_async("env", "wait", |_cx, ()| pending_once().map(Ok))
        .instantiate()
        .await
        .expect("the guest of the scenario starts");
    let error = call_err(&guest, "late").await;
    assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
}

/// Keys and ids are bounded as the limits say, and the message says the limit.
pub async fn keys_and_ids_are_bounded(runtime: &dyn Runtime) {
    let limits = Limits::default().key_bytes(4).id_bytes(4);
    let raw = RawGuest::on(runtime, &RangeWatchBus::new(), |builder| {
        builder.limits(limits).pool(1, 1)
    })
    .await;
    raw.flush(1, &keys(["abcd", "e"]))
        .await
        .expect("it is short");
    let error = raw
        .flush(2, &keys(["e", "abcde"]))
        .await
        .expect_err("it is long");
    let text = super::text(&error);
    assert!(
        text.contains("5 bytes but `Limits::key_bytes` is 4"),
        "{text}"
    );
    let verb = async |verb, buf: &[u8]| raw.verb(verb, buf).await.expect("no trap");
    assert_eq!(verb(Verb::Reserve, b"abcd").await, "");
    for id_verb in [Verb::Reserve, Verb::Start, Verb::Stop] {
        assert_eq!(verb(id_verb, b"abcde").await, "id too long", "{id_verb:?}");
    }
    let opened = verb(Verb::Open, &keys(["abcde", "a", ""])).await;
    assert_eq!(opened, "id too long");
    assert_eq!(raw.guest.n_watches(), 1);
}

/// Every verb fails for an id of more than 65,535 bytes, and changes nothing.
pub async fn an_id_is_bounded(runtime: &dyn Runtime) {
    let guest = greedy(runtime).await;
    let err = async || {
        let text = guest.with_memory(|memory| memory[80..][..usize::from(memory[60])].to_vec());
        String::from_utf8(text.await.expect("there is an instance")).expect("ASCII")
    };
    for id_bytes in [65_536, 2 << 20] {
        let reserved = call(&guest, "reserve", &[Val::I32(1), Val::I32(id_bytes)]).await;
        assert_eq!(reserved, [Val::I32(0)]);
        assert_eq!(err().await, "id too long");
        for verb in ["start", "stop"] {
            call(&guest, verb, &[Val::I32(id_bytes)]).await;
            assert_eq!(err().await, "id too long", "{verb}");
        }
    }
    assert_eq!(guest.n_watches(), 0);
    let reserved = call(&guest, "reserve", &[Val::I32(1), Val::I32(65_535)]).await;
    assert_eq!(reserved, [Val::I32(1)]);
    call(&guest, "stop", &[Val::I32(65_535)]).await;
    assert_eq!(err().await, "");
}

/// A guest whose export `churn` opens, starts and stops a watch as many times as its first argument
/// says, with an id of as many zeros as its second. Each turn emits the key of the watch before it
/// stops it, and calls `test.stopped` after that. Its buffer of 128 KiB is at 65536.
const CHURN: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "pantopic/wazero-range-watch" "__range_watch_stop" (func $stop))
    (import "test" "stopped" (func $stopped))
    (memory (export "memory") 3)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\00\01\00\30\00\00\00\34\00\00\00\50\00\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\00\02\00\00\00\00\00\20\00\00\00\00\00\00\00")
    (func (export "__range_watch") (result i32) (i32.const 16))
    (func (export "__range_watch_recv"))
    (func $buf_len (param $bytes i32) (i32.store (i32.const 52) (local.get $bytes)))
    (func $check (if (i32.load (i32.const 60)) (then unreachable)))
    (func (export "churn") (param $turns i32) (param $id_bytes i32)
        (loop $turn
            ;; The id, and the empty key as the range.
            (i32.store8 (i32.const 65536) (i32.shr_u (local.get $id_bytes) (i32.const 8)))
            (i32.store8 (i32.const 65537) (local.get $id_bytes))
            (call $buf_len (i32.add (local.get $id_bytes) (i32.const 6)))
            (call $open) (call $check)
            (i32.store16 (i32.const 65536) (i32.const 0))
            (call $buf_len (local.get $id_bytes))
            (call $start) (call $check)
            (call $buf_len (i32.const 2))
            (call $flush)
            (call $buf_len (local.get $id_bytes))
            (call $stop) (call $check)
            (call $stopped)
            (local.set $turns (i32.sub (local.get $turns) (i32.const 1)))
            (br_if $turn (local.get $turns)))))"#;

/// A guest that opens, starts and stops watches in one call has no ready watch and no subscription
/// after each stop.
pub async fn g30_a_stopped_watch_is_gone_while_its_guest_runs(runtime: &dyn Runtime) {
    const N_TURNS: usize = 2_000;
    let bus = RangeWatchBus::new();
    let module = load(runtime, CHURN).await;
    let (n_turns, stopped_on) = (Arc::new(AtomicUsize::new(0)), bus.clone());
    let counted = n_turns.clone();
    // Four watches, and two ids of the length that follows.
    let limits = Limits::default().watches(4).watch_bytes(128 << 10);
    let guest = Guest::builder(&module, &bus)
        .limits(limits)
        .host_function("test", "stopped", move |cx, ()| {
            let turn = counted.fetch_add(1, Ordering::Relaxed) + 1;
            let (_, abi) = cx.memory_and_abi();
            let left = (abi.n_ready(), stopped_on.n_subscriptions());
            assert_eq!(
                left,
                (0, 0),
                "ready watches, subscriptions after turn {turn}"
            );
            Ok(())
        })
        .instantiate()
        .await
        .expect("the guest of the scenario starts");
    call(
        &guest,
        "churn",
        &[Val::I32(N_TURNS as i32), Val::I32(60_000)],
    )
    .await;
    assert_eq!(n_turns.load(Ordering::Relaxed), N_TURNS);
    assert_eq!(guest.n_watches(), 0);
}
