//! Programs that wait for input, or for a time on a virtual clock.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use integration_tests::{Trace, guests, on_each_backend, run_program};
use rangewatch::{Runtime, SeededRandom, SharedBuffer, VirtualClock, Wasi, pipe, run_command};

on_each_backend! {
    programs_wait_for_input_that_is_fed_while_they_run,
    g34_a_program_that_sleeps_and_draws_leaves_one_trace,
}

/// Sends each line when the program waits for it.
async fn programs_wait_for_input_that_is_fed_while_they_run(runtime: &dyn Runtime) -> Trace {
    let mut trace = Trace::new();
    for wasm in [guests::GREET, guests::GREET_C, guests::GREET_GO] {
        let (mut feed, stdin) = pipe(64);
        let out = SharedBuffer::new();
        let wasi = Wasi::builder()
            .args(["greet"])
            .stdin(stdin)
            .stdout(out.clone())
            .build()
            .expect("valid");
        let mut run = pin!(run_command(runtime, wasm, wasi));
        let mut cx = Context::from_waker(Waker::noop());
        for line in ["alice\n", "bob\n"] {
            assert!(is_waiting(run.as_mut(), &mut cx), "there is more to come");
            feed.send(line.as_bytes()).await.expect("the program reads");
        }
        drop(feed);
        let exit = run.await.expect("it exits");
        trace.push(format!("exit {} {}", exit.code(), out.to_string_lossy()));
    }
    let hello = "hello alice\nhello bob\n";
    let expected = [0, 2, 0].map(|code| format!("exit {code} {hello}"));
    assert_eq!(trace, expected);
    trace
}

/// Whether the program waits. A poll also returns pending at the end of a slice of fuel, but this
/// many polls are more slices than the programs use before they read.
fn is_waiting<F: Future>(mut run: std::pin::Pin<&mut F>, cx: &mut Context<'_>) -> bool {
    (0..1_000).all(|_| run.as_mut().poll(cx).is_pending())
}

/// Eight times: draws a duration, sleeps for it, polls its input and a timer, reads a byte and
/// writes both clocks.
const SLEEPER: &str = r#"(module
    (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func $ok (param $errno i32) (if (local.get $errno) (then unreachable)))
    (func (export "_start") (local $n i32)
        (i32.store (i32.const 0) (i32.const 1024))
        (i32.store (i32.const 4) (i32.const 256))
        (i32.store (i32.const 8) (i32.const 1296))
        (i32.store (i32.const 12) (i32.const 1))
        (loop
            ;; A timer with a random number of up to 2^32 ns, and the input.
            (memory.fill (i32.const 512) (i32.const 0) (i32.const 96))
            (i32.store (i32.const 528) (i32.const 1))
            (i32.store8 (i32.const 568) (i32.const 1))
            (call $ok (call $random (i32.const 536) (i32.const 4)))
            (call $ok (call $poll (i32.const 512) (i32.const 1024) (i32.const 1) (i32.const 1088)))
            (call $ok (call $poll (i32.const 512) (i32.const 1100) (i32.const 2) (i32.const 1164)))
            (call $ok (call $time (i32.const 0) (i64.const 0) (i32.const 1168)))
            (call $ok (call $time (i32.const 1) (i64.const 0) (i32.const 1176)))
            (call $ok (call $read (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 1184)))
            (call $ok (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
            (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 8))))))"#;

async fn g34_a_program_that_sleeps_and_draws_leaves_one_trace(runtime: &dyn Runtime) -> Trace {
    let wasm = wat::parse_str(SLEEPER).expect("well formed");
    let clock = VirtualClock::at(1_690_674_910, 0);
    let of_guest = clock.clone();
    let out = SharedBuffer::new();
    let stdout = out.clone();
    let mut trace = run_program(runtime, &wasm, |wasi| {
        wasi.clock(of_guest)
            .random(SeededRandom::new(7))
            .stdin("abcd")
            .stdout(stdout)
    })
    .await;
    assert_eq!(trace[0], "exit 0");
    assert_eq!(out.len(), 8 * 256);
    assert!(
        clock.elapsed() > Duration::from_secs(1),
        "it slept for {:?}",
        clock.elapsed()
    );
    trace.extend(out.contents().chunks(32).map(|chunk| format!("{chunk:?}")));
    trace
}
