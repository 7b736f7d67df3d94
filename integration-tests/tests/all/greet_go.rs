//! A WASI command in Go, whose runtime calls more functions than the program itself.

use integration_tests::{Trace, guests, on_each_backend, run_program};
use rangewatch::Runtime;

on_each_backend! {
    go_starts_reads_and_prints,
}

async fn go_starts_reads_and_prints(runtime: &dyn Runtime) -> Trace {
    let trace = run_program(runtime, guests::GREET_GO, |wasi| {
        wasi.args(["greet"]).stdin("alice\nbob\n")
    })
    .await;
    assert_eq!(trace, ["exit 0", "hello alice\nhello bob\n", ""]);
    trace
}
