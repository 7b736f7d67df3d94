//! The linker way on wasmtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::abi::GuestAbi;
use rangewatch_runtime::conformance::{COUNTER, FLUSHER, RAW_GUEST, WASI_WORKER};
use rangewatch_wasi::{Wasi, pipe};
use wasmtime::{Caller, Config, Engine, Linker, Module, Store};

rangewatch_runtime::linker_tests!(wasmtime, rangewatch_wasmtime, instantiate);

#[test]
fn a_store_that_suspends_is_served_by_the_async_functions() {
    let bus = RangeWatchBus::new();
    let engine = Engine::new(Config::new().consume_fuel(true)).expect("valid");
    let mut linker = Linker::<GuestAbi>::new(&engine);
    rangewatch_wasmtime::add_to_linker_async(&mut linker, |abi: &mut GuestAbi| abi)
        .expect("fresh names");
    linker
        .func_wrap("test", "received", || 0_i32)
        .expect("a fresh name");
    let module = Module::new(&engine, wat::parse_str(RAW_GUEST).expect("well formed"));
    let module = module.expect("valid");
    let mut store = Store::new(&engine, GuestAbi::new(&bus));
    store.set_fuel(1_000_000).expect("counted");
    store.fuel_async_yield_interval(Some(10)).expect("counted");
    futures::executor::block_on(async {
        let instance = linker
            .instantiate_async(&mut store, &module)
            .await
            .expect("provided");
        assert!(
            rangewatch_wasmtime::attach(&mut store, &instance, |abi: &mut GuestAbi| abi).is_err()
        );
        rangewatch_wasmtime::attach_async(&mut store, &instance, |abi: &mut GuestAbi| abi)
            .await
            .expect("page");
        let memory = instance.get_memory(&mut store, "memory").expect("exported");
        memory
            .write(&mut store, 256, b"\0\x01w\0\x01a\0\0")
            .expect("inside");
        memory.write(&mut store, 52, &[8, 0, 0, 0]).expect("inside");
        let open = instance
            .get_typed_func::<(), ()>(&mut store, "open")
            .expect("exported");
        open.call_async(&mut store, ()).await.expect("no trap");
        memory.write(&mut store, 256, b"w").expect("inside");
        memory.write(&mut store, 52, &[1, 0, 0, 0]).expect("inside");
        let start = instance
            .get_typed_func::<(), ()>(&mut store, "start")
            .expect("exported");
        start.call_async(&mut store, ()).await.expect("no trap");
        bus.emit(1, ["a"]).expect("open");
        let n = rangewatch_wasmtime::deliver_async(
            &mut store,
            &instance,
            |abi: &mut GuestAbi| abi,
            |_, _| {},
        );
        assert_eq!(n.await.expect("no trap").n_callbacks, 1);
    });
}

#[test]
fn a_guest_that_waits_blocks_no_thread_with_the_async_linker() {
    let engine = Engine::default();
    let mut linker = Linker::<Wasi>::new(&engine);
    rangewatch_wasmtime::add_wasi_to_linker_async(&mut linker, |wasi: &mut Wasi| wasi)
        .expect("fresh names");
    let module = Module::new(&engine, wat::parse_str(COUNTER).expect("well formed"));
    let module = module.expect("valid");
    let (mut feed, stdin) = pipe(64);
    let wasi = Wasi::builder().stdin(stdin).build().expect("valid");
    let mut store = Store::new(&engine, wasi);
    futures::executor::block_on(async {
        let instance = linker.instantiate_async(&mut store, &module).await;
        let count = instance
            .expect("all is provided")
            .get_typed_func::<(), i32>(&mut store, "count")
            .expect("exported");
        let mut call = pin!(count.call_async(&mut store, ()));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10 {
            assert!(call.as_mut().poll(&mut cx).is_pending());
            feed.send(b"abc").await.expect("the guest reads");
        }
        drop(feed);
        assert_eq!(call.await.expect("no trap"), 30);
    });
}

/// Reads until the end of its input, then exits with the number of bytes.
const COUNT_AND_EXIT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (local $n i32)
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 100))
        (loop
            (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
            (local.set $n (i32.add (local.get $n) (i32.load (i32.const 8))))
            (br_if 0 (i32.load (i32.const 8))))
        (call $exit (local.get $n))))"#;

#[test]
fn a_command_that_waits_blocks_no_thread_and_its_exit_code_is_returned() {
    let engine = Engine::default();
    let mut linker = Linker::<Wasi>::new(&engine);
    rangewatch_wasmtime::add_wasi_to_linker_async(&mut linker, |wasi: &mut Wasi| wasi)
        .expect("fresh names");
    let wasm = wat::parse_str(COUNT_AND_EXIT).expect("well formed");
    let module = Module::new(&engine, wasm).expect("valid");
    let (mut feed, stdin) = pipe(64);
    let context = Wasi::builder().stdin(stdin).build().expect("valid");
    let mut store = Store::new(&engine, context);
    futures::executor::block_on(async {
        let instance = linker.instantiate_async(&mut store, &module).await;
        let instance = instance.expect("all is provided");
        let mut run = pin!(rangewatch_wasmtime::run_start_async(
            &mut store,
            &instance,
            |wasi: &mut Wasi| wasi
        ));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(run.as_mut().poll(&mut cx).is_pending());
        feed.send(b"abc").await.expect("the guest reads");
        drop(feed);
        assert_eq!(run.await.expect("no trap").code(), 3);
    });
}

/// A store with fuel and a guest that flushes, on a bus of its own.
fn flusher(
    add_to_linker: impl FnOnce(&mut Linker<GuestAbi>) -> wasmtime::Result<()>,
) -> (RangeWatchBus, Store<GuestAbi>, Module, Linker<GuestAbi>) {
    let bus = RangeWatchBus::new();
    let engine = Engine::new(Config::new().consume_fuel(true)).expect("valid");
    let mut linker = Linker::<GuestAbi>::new(&engine);
    add_to_linker(&mut linker).expect("fresh names");
    let module = Module::new(&engine, wat::parse_str(FLUSHER).expect("well formed"));
    let mut store = Store::new(&engine, GuestAbi::new(&bus));
    store.set_fuel(1_000_000).expect("counted");
    (bus, store, module.expect("valid"), linker)
}

/// A flush of 4,096 empty keys is 16,996 units.
const N_FLUSHES: u64 = 58;

#[test]
fn g37_work_is_deducted_from_the_fuel_of_the_embedder() {
    let (bus, mut store, module, linker) =
        flusher(|linker| rangewatch_wasmtime::add_to_linker(linker, |abi: &mut GuestAbi| abi));
    let instance = linker.instantiate(&mut store, &module).expect("provided");
    let flush = instance.get_typed_func::<i32, ()>(&mut store, "flush");
    let flush = flush.expect("exported");
    flush
        .call(&mut store, N_FLUSHES as i32)
        .expect("enough fuel");
    let left = store.get_fuel().expect("counted");
    assert!(
        left < 1_000_000 - N_FLUSHES * 16_996,
        "{left} units are left"
    );
    let error = flush
        .call(&mut store, 10)
        .expect_err("there is fuel for less than one");
    assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::OutOfFuel));
    assert_eq!(store.get_fuel().expect("counted"), 0);
    assert_eq!(bus.last_seq().map(u64::from), Some(N_FLUSHES + 1));
}

#[test]
fn g37_work_ends_slices_of_a_store_that_suspends() {
    // The slices of the embedder's own are those of the engine.
    for interval in [None, Some(100), Some(1 << 30)] {
        let (bus, mut store, module, linker) = flusher(|linker| {
            rangewatch_wasmtime::add_to_linker_async(linker, |abi: &mut GuestAbi| abi)
        });
        store.fuel_async_yield_interval(interval).expect("counted");
        let mut cx = Context::from_waker(Waker::noop());
        let error = {
            let mut call = pin!(async {
                let instance = linker.instantiate_async(&mut store, &module).await;
                let instance = instance.expect("provided");
                let flush = instance.get_typed_func::<i32, ()>(&mut store, "flush");
                flush.expect("exported").call_async(&mut store, 1_000).await
            });
            let (mut before, mut most) = (0, 0);
            loop {
                let polled = call.as_mut().poll(&mut cx);
                let after = bus.last_seq().map_or(0, u64::from);
                most = most.max(after - before);
                before = after;
                if let Poll::Ready(result) = polled {
                    // Slices of 100,000 units.
                    assert!((1..=12).contains(&most), "{most} flushes in one poll");
                    break result.expect_err("it needs more fuel");
                }
            }
        };
        assert!(format!("{error:?}").contains("fuel"), "{error:?}");
        let n_flushes = bus.last_seq().map_or(0, u64::from);
        assert!((50..=59).contains(&n_flushes), "{n_flushes} flushes");
    }
}

fn wasi(wasi: &mut Wasi) -> &mut Wasi {
    wasi
}

/// A store with fuel and a guest that calls functions of WASI; and the fuel that it had left at its
/// last tick.
fn wasi_worker(
    fuel: u64,
    add_to_linker: impl FnOnce(&mut Linker<Wasi>) -> wasmtime::Result<()>,
) -> (Arc<AtomicU64>, Store<Wasi>, Module, Linker<Wasi>) {
    let engine = Engine::new(Config::new().consume_fuel(true)).expect("valid");
    let mut linker = Linker::<Wasi>::new(&engine);
    add_to_linker(&mut linker).expect("fresh names");
    let left = Arc::new(AtomicU64::new(fuel));
    let at_tick = left.clone();
    let tick = move |mut caller: Caller<'_, Wasi>| {
        let fuel = caller.get_fuel()?;
        at_tick.store(fuel - caller.data_mut().meter().owed(), Ordering::Relaxed);
        Ok(())
    };
    linker.func_wrap("test", "tick", tick).expect("fresh");
    let module = Module::new(&engine, wat::parse_str(WASI_WORKER).expect("well formed"));
    let mut store = Store::new(&engine, Wasi::builder().build().expect("valid"));
    store.set_fuel(fuel).expect("counted");
    store.data_mut().meter().begin(fuel);
    (left, store, module.expect("valid"), linker)
}

#[test]
fn g37_the_work_of_wasi_is_deducted_from_the_fuel_of_the_embedder() {
    // `random_get` of 512 KiB is 32,868 units.
    const N_CALLS: u64 = 30;
    let (_, mut store, module, linker) = wasi_worker(1_000_000, |linker| {
        rangewatch_wasmtime::add_wasi_to_linker(linker, wasi)
    });
    let instance = linker.instantiate(&mut store, &module).expect("provided");
    let random = instance.get_typed_func::<(i32, i32), ()>(&mut store, "random");
    let random = random.expect("exported");
    random
        .call(&mut store, (N_CALLS as i32, 512 << 10))
        .expect("enough fuel");
    let left = store.get_fuel().expect("counted");
    assert!(left < 1_000_000 - N_CALLS * 32_868, "{left} units are left");
    for n_bytes in [512 << 10, 3 << 20] {
        let error = random
            .call(&mut store, (1, n_bytes))
            .expect_err("there is too little fuel");
        assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::OutOfFuel));
        assert_eq!(store.get_fuel().expect("counted"), 0);
    }
}

#[test]
fn g37_the_work_of_wasi_ends_slices_of_a_store_that_suspends() {
    const FUEL: u64 = 500_000;
    const SLICE: u64 = 100_000;
    // The slices of the embedder's own are those of the engine.
    for interval in [None, Some(1_000), Some(1 << 30)] {
        for (export, size, cost) in [
            ("clock", 0, 100),
            ("random", 512 << 10, 32_868),
            ("random", 3 << 20, 65_636),
            ("write", 512 << 10, 32_888),
        ] {
            let (left, mut store, module, linker) = wasi_worker(FUEL, |linker| {
                rangewatch_wasmtime::add_wasi_to_linker_async(linker, wasi)
            });
            store.fuel_async_yield_interval(interval).expect("counted");
            let mut cx = Context::from_waker(Waker::noop());
            let mut call = pin!(async {
                let instance = linker.instantiate_async(&mut store, &module).await;
                let instance = instance.expect("provided");
                let func = instance.get_typed_func::<(i32, i32), ()>(&mut store, export);
                let func = func.expect("exported");
                func.call_async(&mut store, (i32::MAX, size)).await
            });
            let (mut before, mut longest) = (FUEL, 0);
            let error = loop {
                let polled = call.as_mut().poll(&mut cx);
                let after = left.load(Ordering::Relaxed);
                longest = longest.max(before - after);
                before = after;
                if let Poll::Ready(result) = polled {
                    break result.expect_err("it needs more fuel");
                }
            };
            assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::OutOfFuel));
            let most = 2 * SLICE + cost;
            assert!(
                longest <= most,
                "{export} {size}: {longest} units in a poll"
            );
            assert!(
                before <= 3 * cost + 1_000,
                "{export}: {before} units are left"
            );
        }
    }
}
