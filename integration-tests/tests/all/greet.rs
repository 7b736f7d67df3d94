//! A WASI command in Rust.

use integration_tests::{Trace, guests, on_each_backend, run_program};
use rangewatch::{FixedClock, Runtime, SeededRandom};

on_each_backend! {
    each_name_is_greeted,
    arguments_and_environment_arrive_in_order,
    g34_clock_and_randomness_are_what_the_host_hands_over,
    the_exit_code_is_the_one_of_the_program,
    g34_no_file_is_there_to_open,
}

async fn each_name_is_greeted(runtime: &dyn Runtime) -> Trace {
    let trace = run_program(runtime, guests::GREET, |wasi| {
        wasi.args(["greet"]).stdin("alice\nbob\n")
    })
    .await;
    assert_eq!(trace, ["exit 0", "hello alice\nhello bob\n", ""]);
    trace
}

async fn arguments_and_environment_arrive_in_order(runtime: &dyn Runtime) -> Trace {
    let trace = run_program(runtime, guests::GREET, |wasi| {
        wasi.args(["greet", "--args"])
            .env("B", "2")
            .env("A", "1=1")
            .env("EMPTY", "")
    })
    .await;
    let out = "arg 0 greet\narg 1 --args\nenv B=2\nenv A=1=1\nenv EMPTY=\n";
    assert_eq!(trace, ["exit 0", out, ""]);
    trace
}

async fn g34_clock_and_randomness_are_what_the_host_hands_over(runtime: &dyn Runtime) -> Trace {
    let run = async || {
        run_program(runtime, guests::GREET, |wasi| {
            wasi.args(["greet", "--time", "--random"])
                .clock(FixedClock::at(1_690_674_910, 239_502_000))
                .random(SeededRandom::new(7))
        })
        .await
    };
    let trace = run().await;
    let lines: Vec<_> = trace[1].lines().collect();
    assert_eq!(lines[0], "time 1690674910.239502000");
    assert!(
        lines[1].starts_with("random ") && lines[1].len() == 7 + 32,
        "{lines:?}"
    );
    assert_eq!(trace, run().await, "the same seed, the same bytes");
    trace
}

async fn the_exit_code_is_the_one_of_the_program(runtime: &dyn Runtime) -> Trace {
    let exit = run_program(runtime, guests::GREET, |wasi| {
        wasi.args(["greet", "--exit", "42"])
    })
    .await;
    assert_eq!(exit, ["exit 42", "", ""]);
    let usage = run_program(runtime, guests::GREET, |wasi| {
        wasi.args(["greet", "--what"])
    })
    .await;
    assert_eq!(usage, ["exit 64", "", "greet: --what\n"]);
    [exit, usage].concat()
}

async fn g34_no_file_is_there_to_open(runtime: &dyn Runtime) -> Trace {
    let trace = run_program(runtime, guests::GREET, |wasi| {
        wasi.args(["greet", "--cat", "/etc/hostname"])
    })
    .await;
    assert_eq!(trace[..2], ["exit 0", ""]);
    assert!(trace[2].starts_with("cat: "), "{trace:?}");
    trace
}

/// A command runs on a runtime behind an `Arc<dyn Runtime>`.
#[cfg(feature = "wasmi")]
#[test]
fn a_shared_runtime_runs_commands() {
    integration_tests::run(async || {
        let runtime: std::sync::Arc<dyn Runtime> = std::sync::Arc::new(rangewatch::Wasmi::new());
        let wasi = rangewatch::Wasi::builder()
            .args(["greet"])
            .build()
            .expect("valid");
        let exit = rangewatch::run_command(&runtime, guests::GREET, wasi).await;
        assert_eq!(exit.expect("it exits").code(), 0);
    });
}
