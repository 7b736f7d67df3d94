//! Guests, their arguments and streams, and calls into them.

use crate::command::{guest, run, run_with_input};

on_each_runtime! {
    a_command_has_the_streams_of_the_process
    a_command_has_its_own_arguments_and_no_others
    a_reactor_is_called_in_order_and_its_results_are_lines
    a_watching_guest_gets_its_callbacks_after_each_call
    the_clock_can_be_fixed
}

fn a_command_has_the_streams_of_the_process(runtime: &str) {
    for name in ["greet", "greet_c"] {
        let ended = run_with_input(runtime, [guest(name)], "alice\nbob\n");
        assert_eq!(ended.stdout, "hello alice\nhello bob\n");
        assert_eq!(ended.stderr, "");
    }
}

fn a_command_has_its_own_arguments_and_no_others(runtime: &str) {
    let greet = guest("greet");
    let ended = run(
        runtime,
        ["--env", "MODE=a=b", &greet, "--args", "--exit", "0"],
    );
    let expected = "arg 0 greet.wasm\narg 1 --args\narg 2 --exit\narg 3 0\nenv MODE=a=b\n";
    assert_eq!(ended.stdout, expected, "{ended:?}");

    let ours_behind_the_module = run(runtime, [&greet, "--runtime", "wasmi"]);
    assert_eq!(
        ours_behind_the_module.code,
        Some(64),
        "{ours_behind_the_module:?}"
    );
}

fn a_reactor_is_called_in_order_and_its_results_are_lines(runtime: &str) {
    let emitter = guest("emitter");
    let calls = [
        "--call",
        "emit_big,1,3",
        "--call",
        "apply,0x7",
        "--call",
        "emit_big,2,20000",
    ];
    let ended = run(runtime, calls.into_iter().chain([emitter.as_str()]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "0\n5\n");
    assert_eq!(ended.stderr, "");
}

fn a_watching_guest_gets_its_callbacks_after_each_call(runtime: &str) {
    let watcher = guest("watcher");
    let calls = [
        "follow,1",
        "emit,7,100",
        "n_received",
        "emit,-1,100",
        "n_received",
        "last_value",
    ];
    let args = calls
        .iter()
        .flat_map(|call| ["--call", call])
        .chain([watcher.as_str()]);
    let ended = run(runtime, args);
    assert_eq!(ended.stdout, "0\n0\n1\n0\n2\n-1\n", "{ended:?}");
}

fn the_clock_can_be_fixed(runtime: &str) {
    let ended = run(
        runtime,
        [
            "--fixed-clock",
            "1690674910239502000",
            &guest("greet"),
            "--time",
        ],
    );
    assert_eq!(ended.stdout, "time 1690674910.239502000\n", "{ended:?}");
}
