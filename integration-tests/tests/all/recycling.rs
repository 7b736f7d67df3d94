//! A guest that never frees memory, replaced again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use integration_tests::run;
use rangewatch::{Guest, Limits, RangeWatchBus, Runtime, Val};

/// `leak` allocates 4 KiB, writes them, and returns the number of calls of this instance, as a
/// guest does whose collector frees nothing. The watch `w` is of the key `k`.
const LEAKING: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "test" "received" (func $received (param i64)))
    (memory (export "memory") 1)
    (global $end (mut i32) (i32.const 65536))
    (global $calls (mut i64) (i64.const 0))
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\00\50\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\40\00\00\08\00\00\00\00\04\00\00\00\00\00\00")
    (data (i32.const 256) "\00\01w\00\01k\00\00")
    (func (export "__range_watch") (result i32) i32.const 16)
    (func (export "follow")
        (call $open)
        (i32.store (i32.const 52) (i32.const 1))
        (i32.store8 (i32.const 256) (i32.const 119))
        (call $start))
    (func (export "__range_watch_recv") (call $received (i64.load (i32.const 64))))
    (func (export "leak") (result i64)
        (global.set $end (i32.add (global.get $end) (i32.const 4096)))
        (if (i32.gt_u (global.get $end) (i32.mul (memory.size) (i32.const 65536)))
            (then (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))))
        (memory.fill (i32.sub (global.get $end) (i32.const 4096)) (i32.const 1) (i32.const 4096))
        (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
        (global.get $calls)))"#;

const RECYCLE_BYTES: usize = 2 << 20;

const N_CALLS: u64 = 300_000;

async fn calls_of_a_leaking_guest(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let wasm = wat::parse_str(LEAKING).expect("the text is well formed");
    let module = runtime.load(&wasm).await.expect("it loads");
    let n_instances = Arc::new(AtomicU64::new(0));
    let sum = Arc::new(AtomicU64::new(0));
    let (of_hook, of_function) = (n_instances.clone(), sum.clone());
    let limits = Limits::default().memory_bytes(2 * RECYCLE_BYTES);
    let guest = Guest::builder(&module, &bus)
        .limits(limits.recycle_bytes(RECYCLE_BYTES))
        .host_function("test", "received", move |_cx, value: u64| {
            of_function.fetch_add(value, Ordering::Relaxed);
            Ok(())
        })
        .on_instance(move |_instance| {
            of_hook.fetch_add(1, Ordering::Relaxed);
            async { Ok(()) }.boxed()
        });
    let guest = guest.instantiate().await.expect("it starts");
    guest.call("follow", &[]).await.expect("no trap");
    // The page beside the heap is the first, and the call that exceeds the bound is the last.
    let per_instance = (RECYCLE_BYTES as u64 - 65_536) / 4096 + 1;
    for call in 0..N_CALLS {
        let results = guest.call("leak", &[]).await.expect("no call fails");
        let expected = call % per_instance + 1;
        assert_eq!(results, [Val::I64(expected as i64)], "call {call}");
        if call % 100 == 0 {
            bus.emit(call, ["k"]).expect("the bus is open");
            let n_callbacks = guest.drive_until_idle().await;
            assert_eq!(n_callbacks.expect("there is an instance"), 1);
        }
    }
    assert_eq!(
        n_instances.load(Ordering::Relaxed),
        N_CALLS.div_ceil(per_instance)
    );
    let n_values = N_CALLS.div_ceil(100);
    assert_eq!(
        sum.load(Ordering::Relaxed),
        100 * n_values * (n_values - 1) / 2
    );
}

#[cfg(feature = "wasmi")]
#[test]
fn a_leaking_guest_on_wasmi_is_replaced() {
    run(async || calls_of_a_leaking_guest(&rangewatch::Wasmi::new()).await);
}

#[cfg(feature = "wasmtime")]
#[test]
fn a_leaking_guest_on_wasmtime_is_replaced() {
    run(async || calls_of_a_leaking_guest(&rangewatch::Wasmtime::new()).await);
}
