//! The linker way on wasmi.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::abi::GuestAbi;
use rangewatch_runtime::conformance::{COUNTER, FLUSHER, WASI_WORKER};
use rangewatch_wasi::{Wasi, pipe};
use wasmi::{CompilationMode, Config, Engine, Linker, Module, Store, Val};

rangewatch_runtime::linker_tests!(wasmi, rangewatch_wasmi, instantiate_and_start);

fn wasi(wasi: &mut Wasi) -> &mut Wasi {
    wasi
}

fn abi(abi: &mut GuestAbi) -> &mut GuestAbi {
    abi
}

#[test]
fn a_guest_that_waits_blocks_no_thread_with_the_async_linker() {
    let engine = Engine::new(Config::default().compilation_mode(CompilationMode::Eager));
    let mut linker = Linker::<Wasi>::new(&engine);
    rangewatch_wasmi::add_wasi_to_linker_async(&mut linker, wasi).expect("fresh names");
    let wasm = wat::parse_str(COUNTER).expect("well formed");
    let module = Module::new(&engine, wasm).expect("valid");
    let (mut feed, stdin) = pipe(64);
    let context = Wasi::builder().stdin(stdin).build().expect("valid");
    let mut store = Store::new(&engine, context);
    let instance = linker.instantiate_and_start(&mut store, &module);
    let instance = instance.expect("all is provided");
    let count = instance.get_func(&store, "count").expect("exported");
    let mut results = [Val::I32(0)];
    futures::executor::block_on(async {
        let mut call = pin!(rangewatch_wasmi::call_async(
            &mut store,
            &count,
            &[],
            &mut results,
        ));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10 {
            assert!(call.as_mut().poll(&mut cx).is_pending());
            feed.send(b"abc").await.expect("the guest reads");
        }
        drop(feed);
        call.await.expect("no trap");
    });
    assert!(matches!(results, [Val::I32(30)]), "{results:?}");
}

#[test]
fn a_guest_that_waits_in_a_call_that_cannot_be_suspended_ends_with_an_error_that_names_call_async()
{
    let engine = Engine::default();
    let mut linker = Linker::<Wasi>::new(&engine);
    rangewatch_wasmi::add_wasi_to_linker_async(&mut linker, wasi).expect("fresh names");
    let wasm = wat::parse_str(COUNTER).expect("well formed");
    let module = Module::new(&engine, wasm).expect("valid");
    let (_feed, stdin) = pipe(64);
    let context = Wasi::builder().stdin(stdin).build().expect("valid");
    let mut store = Store::new(&engine, context);
    let instance = linker.instantiate_and_start(&mut store, &module);
    let count = instance
        .expect("all is provided")
        .get_typed_func::<(), i32>(&store, "count")
        .expect("exported");
    let error = count
        .call(&mut store, ())
        .expect_err("it cannot be suspended");
    assert!(error.to_string().contains("call_async"), "{error}");
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
    let engine = Engine::new(Config::default().compilation_mode(CompilationMode::Eager));
    let mut linker = Linker::<Wasi>::new(&engine);
    rangewatch_wasmi::add_wasi_to_linker_async(&mut linker, wasi).expect("fresh names");
    let wasm = wat::parse_str(COUNT_AND_EXIT).expect("well formed");
    let module = Module::new(&engine, wasm).expect("valid");
    let (mut feed, stdin) = pipe(64);
    let context = Wasi::builder().stdin(stdin).build().expect("valid");
    let mut store = Store::new(&engine, context);
    let instance = linker.instantiate_and_start(&mut store, &module);
    let instance = instance.expect("all is provided");
    futures::executor::block_on(async {
        let mut run = pin!(rangewatch_wasmi::run_start_async(
            &mut store, &instance, wasi
        ));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(run.as_mut().poll(&mut cx).is_pending());
        feed.send(b"abc").await.expect("the guest reads");
        drop(feed);
        assert_eq!(run.await.expect("no trap").code(), 3);
    });
}

/// A guest whose export `watch` opens and starts a watch of the key `a`, and whose recv waits for a
/// byte of its input.
const WAITING_RECV: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
    (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\00\50\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\00\40\00\00\00\00\00\00\00\04\00\00\00\00\00\00")
    (data (i32.const 256) "\00\01w\00\01a\00\00")
    (func (export "__range_watch") (result i32) i32.const 16)
    (func (export "watch")
        (i32.store (i32.const 52) (i32.const 8))
        (call $open)
        (i32.store8 (i32.const 256) (i32.const 119))
        (i32.store (i32.const 52) (i32.const 1))
        (call $start))
    (func (export "__range_watch_recv")
        (i32.store (i32.const 128) (i32.const 200))
        (i32.store (i32.const 132) (i32.const 1))
        (if (call $read (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 136)) (then unreachable))))"#;

#[test]
fn a_callback_that_waits_is_suspended_by_deliver_async() {
    type State = (GuestAbi, Wasi);
    fn abi(state: &mut State) -> &mut GuestAbi {
        &mut state.0
    }

    let bus = RangeWatchBus::new();
    let engine = Engine::new(Config::default().compilation_mode(CompilationMode::Eager));
    let mut linker = Linker::<State>::new(&engine);
    rangewatch_wasmi::add_to_linker_async(&mut linker, abi).expect("fresh names");
    rangewatch_wasmi::add_wasi_to_linker_async(&mut linker, |state: &mut State| &mut state.1)
        .expect("fresh names");
    let wasm = wat::parse_str(WAITING_RECV).expect("well formed");
    let module = Module::new(&engine, wasm).expect("valid");
    let (mut feed, stdin) = pipe(64);
    let context = Wasi::builder().stdin(stdin).build().expect("valid");
    let mut store = Store::new(&engine, (GuestAbi::new(&bus), context));
    let instance = linker.instantiate_and_start(&mut store, &module);
    let instance = instance.expect("all is provided");
    futures::executor::block_on(async {
        let attached = rangewatch_wasmi::attach_async(&mut store, &instance, abi).await;
        attached.expect("the page is there");
        let watch = instance.get_func(&store, "watch").expect("exported");
        watch.call(&mut store, &[], &mut []).expect("no trap");
        bus.emit(1, ["a"]).expect("open");
        let mut delivery = pin!(rangewatch_wasmi::deliver_async(
            &mut store,
            &instance,
            abi,
            |_, _| {}
        ));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(delivery.as_mut().poll(&mut cx).is_pending());
        feed.send(b"a").await.expect("the guest reads");
        let delivered = delivery.await.expect("no trap");
        assert_eq!((delivered.n_callbacks, delivered.has_more), (1, false));
    });
}

#[test]
fn g37_work_is_deducted_from_the_fuel_of_the_embedder() {
    // A flush of 4,096 empty keys is 16,996 units.
    const N_FLUSHES: u64 = 58;
    for is_async in [false, true] {
        let bus = RangeWatchBus::new();
        let mut config = Config::default();
        config
            .compilation_mode(CompilationMode::Eager)
            .consume_fuel(true);
        let engine = Engine::new(&config);
        let mut linker = Linker::<GuestAbi>::new(&engine);
        if is_async {
            rangewatch_wasmi::add_to_linker_async(&mut linker, abi).expect("fresh names");
        } else {
            rangewatch_wasmi::add_to_linker(&mut linker, abi).expect("fresh names");
        }
        let wasm = wat::parse_str(FLUSHER).expect("well formed");
        let module = Module::new(&engine, wasm).expect("valid");
        let mut store = Store::new(&engine, GuestAbi::new(&bus));
        store.set_fuel(1_000_000).expect("counted");
        let instance = linker.instantiate_and_start(&mut store, &module);
        let instance = instance.expect("provided");
        rangewatch_wasmi::attach(&mut store, &instance, abi).expect("it has a page");
        let flush = instance.get_func(&store, "flush").expect("exported");
        let call = |n: u64, store: &mut Store<GuestAbi>| {
            let args = [Val::I32(n as i32)];
            if is_async {
                let call = rangewatch_wasmi::call_async(store, &flush, &args, &mut []);
                futures::executor::block_on(call)
            } else {
                flush.call(store, &args, &mut [])
            }
        };
        call(N_FLUSHES, &mut store).expect("enough fuel");
        let left = store.get_fuel().expect("counted");
        assert!(
            left < 1_000_000 - N_FLUSHES * 16_996,
            "{left} units are left"
        );
        let error = call(10, &mut store).expect_err("there is fuel for less than one");
        assert_eq!(
            error.as_trap_code(),
            Some(wasmi::TrapCode::OutOfFuel),
            "{error}"
        );
        assert_eq!(store.get_fuel().expect("counted"), 0);
        assert_eq!(bus.last_seq().map(u64::from), Some(N_FLUSHES + 1));
    }
}

#[test]
fn g37_the_work_of_wasi_is_deducted_from_the_fuel_of_the_embedder() {
    // `random_get` of 512 KiB is 32,868 units.
    const N_CALLS: u64 = 30;
    for is_async in [false, true] {
        let mut config = Config::default();
        config
            .compilation_mode(CompilationMode::Eager)
            .consume_fuel(true);
        let engine = Engine::new(&config);
        let mut linker = Linker::<Wasi>::new(&engine);
        if is_async {
            rangewatch_wasmi::add_wasi_to_linker_async(&mut linker, wasi).expect("fresh names");
        } else {
            rangewatch_wasmi::add_wasi_to_linker(&mut linker, wasi).expect("fresh names");
        }
        linker.func_wrap("test", "tick", || ()).expect("fresh");
        let wasm = wat::parse_str(WASI_WORKER).expect("well formed");
        let module = Module::new(&engine, wasm).expect("valid");
        let mut store = Store::new(&engine, Wasi::builder().build().expect("valid"));
        store.set_fuel(1_000_000).expect("counted");
        let instance = linker.instantiate_and_start(&mut store, &module);
        let instance = instance.expect("provided");
        let random = instance.get_func(&store, "random").expect("exported");
        let call = |n: u64, n_bytes: i32, store: &mut Store<Wasi>| {
            let args = [Val::I32(n as i32), Val::I32(n_bytes)];
            if is_async {
                let call = rangewatch_wasmi::call_async(store, &random, &args, &mut []);
                futures::executor::block_on(call)
            } else {
                random.call(store, &args, &mut [])
            }
        };
        call(N_CALLS, 512 << 10, &mut store).expect("enough fuel");
        let left = store.get_fuel().expect("counted");
        assert!(left < 1_000_000 - N_CALLS * 32_868, "{left} units are left");
        for n_bytes in [512 << 10, 3 << 20] {
            let error = call(1, n_bytes, &mut store).expect_err("there is too little fuel");
            assert_eq!(
                error.as_trap_code(),
                Some(wasmi::TrapCode::OutOfFuel),
                "{error}"
            );
            assert_eq!(store.get_fuel().expect("counted"), 0);
        }
    }
}
