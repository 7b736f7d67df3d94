//! A WASI command in C.

use integration_tests::{Trace, guests, on_each_backend, run_program};
use rangewatch::Runtime;

on_each_backend! {
    c_reads_prints_and_returns_its_code,
}

async fn c_reads_prints_and_returns_its_code(runtime: &dyn Runtime) -> Trace {
    let trace = run_program(runtime, guests::GREET_C, |wasi| {
        wasi.args(["greet"]).stdin("alice\nbob\ncarol\n")
    })
    .await;
    assert_eq!(
        trace,
        ["exit 3", "hello alice\nhello bob\nhello carol\n", ""]
    );
    trace
}
