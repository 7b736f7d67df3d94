//! The linker way on wasmi.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use rangewatch_runtime::conformance::COUNTER;
use rangewatch_wasi::{Wasi, pipe};
use wasmi::{CompilationMode, Config, Engine, Linker, Module, Store, Val};

rangewatch_runtime::linker_tests!(wasmi, rangewatch_wasmi, instantiate_and_start);

fn wasi(wasi: &mut Wasi) -> &mut Wasi {
    wasi
}

#[test]
fn a_guest_that_waits_holds_no_thread_where_it_is_linked_so() {
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
            wasi
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
fn a_guest_that_waits_in_a_call_that_cannot_be_suspended_is_told_the_way_out() {
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
        .expect_err("it would wait for ever");
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
