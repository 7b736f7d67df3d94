//! The linker way on wasmtime.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::abi::GuestAbi;
use rangewatch_runtime::conformance::{COUNTER, FLUSHER, RAW_GUEST};
use rangewatch_wasi::{Wasi, pipe};
use wasmtime::{Config, Engine, Linker, Module, Store};

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
