//! The work of WASI, charged as fuel.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use rangewatch_bus::RangeWatchBus;
use rangewatch_wasi::Wasi;
use rangewatch_wasi::fs::{Access, MemoryFs};

use super::load;
use super::work::{FuelLeft, longest_poll, run_polls};
use crate::{CallError, Guest, HostFunction, Limits, Runtime, TrapKind, Val};

const SLICE: u64 = Limits::DEFAULT_FUEL_SLICE;

/// A guest whose exports call one function of WASI again and again, with a size where it has one.
/// It imports nothing else but a function `test.tick`, which is called after each.
pub const WASI_WORKER: &str = r#"(module
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))
    (import "test" "tick" (func $tick))
    (memory (export "memory") 64)
    (func $ok (param $errno i32) (if (local.get $errno) (then unreachable)))
    (func (export "clock") (param $n i32) (param $size i32)
        (loop (call $ok (call $clock (i32.const 0) (i64.const 0) (i32.const 8))) (call $tick)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "random") (param $n i32) (param $size i32)
        (loop (call $ok (call $random (i32.const 64) (local.get $size))) (call $tick)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    (func (export "write") (param $n i32) (param $size i32)
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (local.get $size))
        (loop (call $ok (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (call $tick)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
    ;; A call that fails.
    (func (export "tell") (param $n i32) (param $size i32)
        (loop (drop (call $tell (i32.const 1) (i32.const 8))) (call $tick)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#;

async fn wasi_worker(runtime: &dyn Runtime, limits: Limits) -> (Guest, FuelLeft) {
    let wasi = Wasi::builder().build().expect("valid");
    guest_of(runtime, WASI_WORKER, wasi, limits).await
}

async fn guest_of(
    runtime: &dyn Runtime,
    text: &str,
    wasi: Wasi,
    limits: Limits,
) -> (Guest, FuelLeft) {
    let bus = RangeWatchBus::new();
    let module = load(runtime, text).await;
    let left = FuelLeft::default();
    let at_tick = left.clone();
    let guest = Guest::builder(&module, &bus)
        .host_function("test", "tick", move |cx, ()| {
            let left = cx.fuel_left().ok_or("the engine counts fuel")?;
            at_tick.store(left, Ordering::Relaxed);
            Ok(())
        })
        .wasi(wasi)
        .limits(limits)
        .instantiate()
        .await;
    (guest.expect("the guest of the scenario starts"), left)
}

/// No poll of a guest that calls one function of WASI in a loop runs two slices.
pub async fn g37_a_poll_of_wasi_runs_less_than_two_slices(runtime: &dyn Runtime) {
    let (guest, left) = wasi_worker(runtime, Limits::default()).await;
    let mut report = String::new();
    for (export, n, size, cost) in [
        ("clock", 20_000, 0, 100),
        ("tell", 20_000, 0, 100),
        ("random", 40, 512 << 10, 32_868),
        // More than a slice, in parts.
        ("random", 6, 3 << 20, 65_636),
        ("write", 40, 512 << 10, 32_888),
    ] {
        let args = [Val::I32(n), Val::I32(size)];
        let longest = longest_poll(&guest, &left, export, &args);
        // The host function and some instructions of the guest.
        if longest > 2 * SLICE + cost + 2 * HostFunction::UNITS_PER_CALL + 100 {
            writeln!(report, "{export} {args:?}: {longest}").expect("a string grows");
        }
    }
    assert_eq!(report, "");
}

/// A guest whose export removes the files `f1` to `fn` below its first preopen.
const REMOVER: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
    (import "test" "tick" (func $tick))
    (memory (export "memory") 1)
    (data (i32.const 16) "f0")
    (func (export "remove") (param $n i32)
        (loop
            (i32.store8 (i32.const 17) (i32.add (i32.const 48) (local.get $n)))
            (if (call $unlink (i32.const 3) (i32.const 16) (i32.const 2)) (then unreachable))
            (call $tick)
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#;

/// To remove a large file from memory takes no longer than a slice.
pub async fn g37_a_poll_frees_a_part_of_a_large_file(runtime: &dyn Runtime) {
    const N_FILES: i32 = 3;
    let files = MemoryFs::new();
    for i in 1..=N_FILES {
        let written = files.write(format!("f{i}"), vec![b'x'; 48 << 20]);
        written.expect("there is room");
    }
    let wasi = Wasi::builder().preopen("/", &files, Access::ReadWrite);
    let wasi = wasi.build().expect("valid");
    let (guest, left) = guest_of(runtime, REMOVER, wasi, Limits::default()).await;
    let (mut before, mut longest) = (u64::MAX, 0);
    left.store(before, Ordering::Relaxed);
    let removed = run_polls(&guest, "remove", &[Val::I32(N_FILES)], || {
        let left = left.load(Ordering::Relaxed);
        longest = longest.max(before - left);
        before = left;
    });
    removed.expect("the files exist");
    assert!((25_000..2 * SLICE).contains(&longest), "{longest} units");
}

/// The work of WASI counts for the fuel of a call, on every engine the same.
pub async fn g37_the_work_of_wasi_uses_the_fuel_of_a_call(runtime: &dyn Runtime) {
    const FUEL: u64 = 1_000_000;
    let limits = Limits::default().fuel_per_call(FUEL);
    for (export, n, size, cost) in [
        ("clock", 100_000, 0, 100),
        ("random", 31, 512 << 10, 32_868),
        ("random", 6, 3 << 20, 3 << 16),
        ("write", 31, 512 << 10, 32_888),
    ] {
        let (guest, left) = wasi_worker(runtime, limits.clone()).await;
        left.store(FUEL, Ordering::Relaxed);
        let args = [Val::I32(n), Val::I32(size)];
        let error = run_polls(&guest, export, &args, || {});
        let Err(CallError::Trap {
            kind: TrapKind::OutOfFuel,
            ..
        }) = error
        else {
            panic!("{export} {args:?}: {error:?}");
        };
        // The last call of the import did not return.
        let left = left.load(Ordering::Relaxed);
        assert!(
            left < cost + 1_000,
            "{export} {args:?}: {left} units are left"
        );
    }
}
