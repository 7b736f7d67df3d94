//! Exit codes, and the messages of failures.

use crate::command::{
    assembled, closed_pipe, end, guest, rangewatch, run, run_with_input, temporary,
};

on_each_runtime! {
    the_exit_code_is_the_guest_s
    a_failure_beyond_eight_bits_stays_a_failure
    an_exit_before_the_last_call_is_a_failure
    a_trap_is_134_with_its_kind_and_export
    a_trap_in_a_callback_is_1_and_ends_the_run
    an_error_that_a_callback_reports_is_1_and_the_run_goes_on
    an_exit_in_a_callback_ends_the_run_with_its_code
    a_broken_abi_is_1
    an_unknown_import_is_1_and_named
    an_import_of_another_wasi_or_abi_is_1_and_the_right_target_is_named
    a_file_that_is_not_wasm_is_1
    a_missing_module_is_1
    an_events_file_that_cannot_be_created_is_1
    a_closed_stdout_is_no_panic
}

fn the_exit_code_is_the_guest_s(runtime: &str) {
    for code in ["0", "1", "2", "3", "255"] {
        let ended = run(runtime, [guest("greet").as_str(), "--exit", code]);
        assert_eq!(ended.code, code.parse().ok(), "{ended:?}");
        assert_eq!(ended.stderr, "");
    }
    assert_eq!(
        run_with_input(runtime, [guest("greet_c")], "a\nb\nc\nd\n").code,
        Some(4)
    );
}

fn a_failure_beyond_eight_bits_stays_a_failure(runtime: &str) {
    let exits = assembled("exit_256", &exit_of("_start", 256));
    assert_eq!(run(runtime, [exits]).code, Some(1));
}

fn an_exit_before_the_last_call_is_a_failure(runtime: &str) {
    let exits = assembled("exit_0", &exit_of("leave", 0));
    assert_eq!(run(runtime, ["--call", "leave", &exits]).code, Some(0));
    let ended = run(runtime, ["--call", "leave", "--call", "leave", &exits]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("`leave` could not be called"),
        "{ended:?}"
    );
}

fn exit_of(export: &str, code: u32) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "{export}") (call $exit (i32.const {code}))))"#
    )
}

fn a_trap_is_134_with_its_kind_and_export(runtime: &str) {
    let divides = assembled(
        "divides",
        r#"(module (func (export "divide") (param i32 i32) (result i32)
            (i32.div_s (local.get 0) (local.get 1))))"#,
    );
    assert_eq!(
        run(runtime, ["--call", "divide,7,2", &divides]).stdout,
        "3\n"
    );
    let traps = [
        ("divide,7,0", "integer division by zero"),
        ("divide,-2147483648,-1", "integer overflow"),
    ];
    for (call, kind) in traps {
        let ended = run(runtime, ["--call", call, "--call", "divide,8,2", &divides]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(134), ""));
        let first = format!("error: `divide` trapped: {kind}");
        assert_eq!(
            ended.stderr.lines().next(),
            Some(first.as_str()),
            "{ended:?}"
        );
    }
}

fn a_trap_in_a_callback_is_1_and_ends_the_run(runtime: &str) {
    let calls = ["follow,1", "set_mode,6,0", "emit,7,100", "n_received"];
    let ended = run(runtime, watcher(&calls));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "0\n0\n"));
    assert!(
        ended
            .stderr
            .starts_with("error: recv of watch \"w1\" with value 7: ")
    );
    assert!(ended.stderr.contains("unreachable"), "{ended:?}");
    assert_eq!(ended.stderr.matches("error: ").count(), 1, "{ended:?}");
}

fn an_error_that_a_callback_reports_is_1_and_the_run_goes_on(runtime: &str) {
    let calls = ["follow,1", "set_mode,5,0", "emit,7,100", "n_received"];
    let ended = run(runtime, watcher(&calls));
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "0\n0\n1\n"));
    assert!(
        ended.stderr.contains("`the watcher fails on purpose`"),
        "{ended:?}"
    );
}

fn an_exit_in_a_callback_ends_the_run_with_its_code(runtime: &str) {
    let exits = assembled("exit_in_recv", EXITS_IN_RECV);
    let ended = run(runtime, ["--call", "watch_and_emit", &exits]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(9), ""));
}

/// Watches the key `k` under the id `w`, emits it, and exits with 9 in the callback. The meta page
/// is at 0, the variables are at 32, `buf` is at 64.
const EXITS_IN_RECV: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "pantopic/wazero-range-watch" "__range_watch_open" (func $open))
    (import "pantopic/wazero-range-watch" "__range_watch_start" (func $start))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\40\00\00\00\20\00\00\00\24\00\00\00\80\00\00\00\28\00\00\00\2c\00\00\00\30\00\00\00")
    (data (i32.const 32) "\40\00\00\00\08\00\00\00\10\00\00\00")
    (data (i32.const 64) "\00\01w\00\01k\00\00")
    (func (export "__range_watch") (result i32) i32.const 0)
    (func (export "__range_watch_recv") (call $exit (i32.const 9)))
    (func (export "watch_and_emit")
        call $open
        (i32.store (i32.const 36) (i32.const 1)) (i32.store8 (i32.const 64) (i32.const 0x77))
        call $start
        (i32.store (i32.const 36) (i32.const 3)) (i32.store (i32.const 64) (i32.const 0x6b0100))
        call $flush))"#;

fn watcher(calls: &[&str]) -> Vec<String> {
    let calls = calls
        .iter()
        .flat_map(|call| ["--call".to_owned(), (*call).to_owned()]);
    calls.chain([guest("watcher")]).collect()
}

fn a_broken_abi_is_1(runtime: &str) {
    let ended = run(runtime, ["--call", "raw,0,9,99999", &guest("abi_c")]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .starts_with("error: `raw` broke the range-watch ABI"),
        "{ended:?}"
    );
}

fn an_unknown_import_is_1_and_named(runtime: &str) {
    let text = r#"(module (import "env" "now_ms" (func)) (func (export "_start")))"#;
    let ended = run(runtime, [assembled("import", text)]);
    assert_eq!(ended.code, Some(1));
    let message = "error: the guest imports `env.now_ms` (function () -> ()), and the command line \
                   provides WASI preview1 and the range-watch ABI only: a guest that imports more \
                   needs a host program of its own\n";
    assert_eq!(ended.stderr, message);
}

fn an_import_of_another_wasi_or_abi_is_1_and_the_right_target_is_named(runtime: &str) {
    let imports = [
        ("wasi_unstable", "args_get", "build the guest for it"),
        (
            "wasi_snapshot_preview1",
            "now",
            "WASI preview1 has no function of this name",
        ),
        (
            "pantopic/wazero-range-watch",
            "now",
            "the range-watch ABI has no function of this name",
        ),
        (
            "pantopic/ext-range-watch",
            "now",
            "the range-watch ABI has no function of this name",
        ),
    ];
    for (index, (module, name, hint)) in imports.into_iter().enumerate() {
        let text =
            format!(r#"(module (import "{module}" "{name}" (func)) (func (export "_start")))"#);
        let ended = run(runtime, [assembled(&format!("known_{index}"), &text)]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(hint), "{ended:?}");
        assert!(!ended.stderr.contains("host program"), "{ended:?}");
    }
}

fn a_file_that_is_not_wasm_is_1(runtime: &str) {
    let ended = run(
        runtime,
        [concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")],
    );
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("Cargo.toml`: not a wasm binary"),
        "{ended:?}"
    );
}

fn a_missing_module_is_1(runtime: &str) {
    let ended = run(runtime, ["no/such/guest.wasm"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .starts_with("error: cannot read `no/such/guest.wasm`: "),
        "{ended:?}"
    );
}

fn an_events_file_that_cannot_be_created_is_1(runtime: &str) {
    let path = temporary("no/such/folder.jsonl");
    let greet = guest("greet");
    let ended = run(
        runtime,
        ["--watch", "all", "--events", path.to_str().unwrap(), &greet],
    );
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("for --events"), "{ended:?}");
}

fn a_closed_stdout_is_no_panic(runtime: &str) {
    let mut command = rangewatch();
    command.args(["run", "--runtime", runtime, "--call", "emit_big,8,3"]);
    command.arg(guest("emitter")).stdout(closed_pipe());
    let ended = end(command, "");
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.starts_with("error: cannot write the results"),
        "{ended:?}"
    );
}
