//! Guests, their arguments and streams, and calls into them.

use crate::command::{assembled, guest, run, run_with_input};

on_each_runtime! {
    a_command_that_uses_the_abi_is_started_once_and_then_called
    a_command_has_the_streams_of_the_process
    a_command_has_its_own_arguments_and_no_others
    a_command_that_reads_no_arguments_accepts_them
    a_reactor_is_called_in_order_and_its_results_are_lines
    a_watching_guest_gets_its_callbacks_after_each_call
    the_clock_can_be_fixed
    memory_is_limited_by_an_option
    a_module_that_starts_beyond_the_memory_limit_is_1_and_the_option_is_named
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

    // An option after the module belongs to the guest, which exits with 64 for an unknown one.
    let after_module = run(runtime, [&greet, "--runtime", "wasmi"]);
    assert_eq!(after_module.code, Some(64), "{after_module:?}");
}

fn a_command_that_reads_no_arguments_accepts_them(runtime: &str) {
    let command = assembled("reads_no_arguments", r#"(module (func (export "_start")))"#);
    for args in [&["file.txt"][..], &["--verbose", "-x"], &["--call", "f"]] {
        let ended = run(runtime, [command.as_str()].iter().chain(args));
        assert_eq!(
            (ended.code, ended.stderr.as_str()),
            (Some(0), ""),
            "{args:?}"
        );
    }
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

/// Starts with one page of 64 KiB.
const GROWS: &str = r#"(module (memory 1)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;

fn memory_is_limited_by_an_option(runtime: &str) {
    let grows = assembled("grows", GROWS);
    // The number of pages to grow by, and the result of `memory.grow`: the old number, or -1.
    let limits = [
        (&["--memory", "1MiB"][..], [(16, -1), (15, 1)]),
        (&["--memory", "65536"], [(1, -1), (0, 1)]),
        (&[], [(4096, -1), (4095, 1)]),
        (&["--memory", "300MiB"], [(4800, -1), (4799, 1)]),
    ];
    for (limit, calls) in limits {
        for (n_pages, result) in calls {
            let call = format!("grow,{n_pages}");
            let args = limit.iter().copied().chain(["--call", &call, &grows]);
            let ended = run(runtime, args);
            assert_eq!(
                ended.stdout,
                format!("{result}\n"),
                "{limit:?}, {call}: {ended:?}"
            );
        }
    }
}

fn a_module_that_starts_beyond_the_memory_limit_is_1_and_the_option_is_named(runtime: &str) {
    // 256 MiB and one page.
    let large = assembled(
        "large",
        r#"(module (memory 4097) (func (export "_start")))"#,
    );
    let ended = run(runtime, [&large]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let message = "error: the module starts with 268500992 bytes of memory, and the limit is \
                   268435456: raise it with --memory\n";
    assert_eq!(ended.stderr, message);
    let ended = run(runtime, ["--memory", "257MiB", &large]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

fn a_command_that_uses_the_abi_is_started_once_and_then_called(runtime: &str) {
    let command = assembled("command", COMMAND);
    let args = [
        "--watch", "all", "--call", "apply,7", "--call", "apply,8", &command,
    ];
    let ended = run(runtime, args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{ended:?}");
    for (line, value) in lines.iter().zip([1, 7, 8]) {
        assert!(line.contains(&format!("\"value\":{value},")), "{ended:?}");
    }
}

/// Emits the value 1 and exits with code 0 in `_start`; emits its argument in `apply`, which traps
/// unless `_start` ran exactly once.
const COMMAND: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (global $n_starts (mut i32) (i32.const 0))
    (data (i32.const 32) "\40\00\00\00\03\00\00\00\10\00\00\00")
    (data (i32.const 64) "\00\01k")
    (func $check (if (i32.ne (global.get $n_starts) (i32.const 1)) (then unreachable)))
    (func (export "__range_watch") (result i32) (i32.const 4))
    (func (export "_start")
        (global.set $n_starts (i32.add (global.get $n_starts) (i32.const 1)))
        (call $check)
        ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
        (i32.store (i32.const 4) (i32.const 64))
        (i32.store (i32.const 8) (i32.const 32))
        (i32.store (i32.const 12) (i32.const 36))
        (i32.store (i32.const 16) (i32.const 128))
        (i32.store (i32.const 20) (i32.const 40))
        (i32.store (i32.const 24) (i32.const 44))
        (i32.store (i32.const 28) (i32.const 48))
        (i64.store (i32.const 48) (i64.const 1))
        (call $flush)
        (call $exit (i32.const 0)))
    (func (export "apply") (param $value i64)
        (call $check)
        (i64.store (i32.const 48) (local.get $value))
        (call $flush)))"#;
