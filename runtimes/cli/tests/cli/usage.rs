//! Mistakes on the command line, and the help.

use crate::command::{Ended, end, guest, rangewatch, run, temporary};

on_each_runtime! {
    a_wrong_selector_is_2_before_the_module_is_read
    a_reactor_without_a_call_is_2_and_its_exports_are_listed
    an_unknown_export_is_2_and_the_others_are_listed
    a_call_into_a_command_without_exports_is_2_and_explained
    a_call_of_start_is_2_and_nothing_is_run
    wrong_arguments_are_2_and_nothing_is_called
    options_after_a_reactor_that_reads_no_arguments_are_2_and_nothing_is_called
}

fn a_wrong_selector_is_2_before_the_module_is_read(runtime: &str) {
    let mistakes = [
        ("registry", "is not a selector"),
        ("range:a", "has no `..`"),
        ("key:\\q", "lone backslash"),
        ("range:b..a", "holds no key"),
    ];
    for (selector, message) in mistakes {
        let ended = run(runtime, ["--watch", selector, "no/such/guest.wasm"]);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(message), "{ended:?}");
    }
}

fn a_reactor_without_a_call_is_2_and_its_exports_are_listed(runtime: &str) {
    let ended = run(runtime, [guest("emitter")]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--call EXPORT[,ARG..]"), "{ended:?}");
    assert!(
        ended.stderr.contains("\n  emit_big: (i64, i32) -> (i32)\n"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("__range_watch"), "{ended:?}");
}

fn an_unknown_export_is_2_and_the_others_are_listed(runtime: &str) {
    let ended = run(
        runtime,
        ["--call", "apply,7", "--call", "aply,7", &guest("emitter")],
    );
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("no function `aply`"), "{ended:?}");
    assert!(
        ended.stderr.contains("\n  apply: (i64) -> ()\n"),
        "{ended:?}"
    );
}

fn a_call_into_a_command_without_exports_is_2_and_explained(runtime: &str) {
    let ended = run(runtime, ["--call", "foo", &guest("greet")]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    let message = "it exports none to call, but it has `_start`, which is run without --call";
    assert!(ended.stderr.contains(message), "{ended:?}");
}

fn a_call_of_start_is_2_and_nothing_is_run(runtime: &str) {
    let ended = run(runtime, ["--call", "_start", &guest("greet")]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    let message = "`_start` is run first, and only once: leave out --call _start";
    assert!(ended.stderr.contains(message), "{ended:?}");
}

fn wrong_arguments_are_2_and_nothing_is_called(runtime: &str) {
    let mistakes = [
        ("apply", "0 arguments given, 1 wanted"),
        ("apply,7,8", "2 arguments given, 1 wanted"),
        ("apply,seven", "`seven` is not an i64"),
        ("apply,1.5", "`1.5` is not an i64"),
        (
            "apply,99999999999999999999",
            "`99999999999999999999` does not fit an i64",
        ),
        ("emit_key,7,4294967296", "`4294967296` does not fit an i32"),
    ];
    for (call, message) in mistakes {
        let good = ["--watch", "all", "--call", "apply,7"];
        let ended = run(
            runtime,
            good.into_iter().chain(["--call", call, &guest("emitter")]),
        );
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
        assert!(ended.stderr.contains(message), "{ended:?}");
        assert!(!ended.stderr.contains("seq"), "{ended:?}");
    }
}

fn options_after_a_reactor_that_reads_no_arguments_are_2_and_nothing_is_called(runtime: &str) {
    let call = ["--call", "apply,7"];
    let emitter = guest("emitter");
    let before = call.into_iter().chain([emitter.as_str(), "--watch", "all"]);
    let after = [emitter.as_str(), "--call", "apply,7"];
    for (args, named) in [
        (before.collect::<Vec<_>>(), "`--watch`"),
        (after.to_vec(), "`--call`"),
    ] {
        let ended = run(runtime, args);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
        let message = format!(
            "error: {named} follows MODULE and would go to the guest, which takes no arguments: \
             put options before MODULE\n"
        );
        assert!(ended.stderr.starts_with(&message), "{ended:?}");
    }
}

#[test]
fn an_events_file_without_a_watch_is_2_and_not_created() {
    let events = temporary("unwatched.jsonl");
    let emitter = guest("emitter");
    let file = events.to_str().unwrap();
    let ended = bare(&["run", "--events", file, "--call", "apply,7", &emitter]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--watch <SELECTOR>"), "{ended:?}");
    assert!(!events.exists());
}

#[test]
fn a_number_that_is_not_whole_or_is_too_large_is_2_and_the_message_says_what_to_write() {
    let options = [
        (
            "--fixed-clock",
            "write whole nanoseconds since 1970, from 0 to",
        ),
        (
            "--hostcall-limit",
            "write a whole number of bytes, from 0 to",
        ),
        ("--memory", "write a whole number of bytes, from 0 to"),
        ("--seed", "write a whole number, from 0 to"),
    ];
    for (option, message) in options {
        for number in ["1.5", "-5", "now", "18446744073709551616"] {
            let ended = bare(&["run", option, number, &guest("greet")]);
            assert_eq!(ended.code, Some(2), "{ended:?}");
            assert!(ended.stderr.contains(message), "{ended:?}");
            assert!(!ended.stderr.contains("tip:"), "{ended:?}");
        }
    }
}

#[test]
fn a_module_in_the_place_of_a_command_is_2_and_run_is_suggested() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for module in ["no/such/guest.wasm", file] {
        let ended = bare(&[module]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let tip = format!("`rangewatch run {module}`");
        assert!(ended.stderr.contains(&tip), "{ended:?}");
    }
    let ended = bare(&["walk"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(!ended.stderr.contains("tip:"), "{ended:?}");
}

#[test]
fn the_help_describes_events_exit_codes_and_limits() {
    let ended = bare(&["run", "--help"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let default = if cfg!(feature = "wasmtime") {
        "wasmtime"
    } else {
        "wasmi"
    };
    assert!(
        ended.stdout.contains(&format!("[default: {default}]")),
        "{ended:?}"
    );
    for text in [
        "prefix:P",
        r#"{"seq":1,"#,
        "Exit code:",
        "--call <EXPORT[,ARG..]>",
        "that --env sets and the ARGS after MODULE",
        "--memory <BYTES>",
        "[default: 256MiB]",
        "- is stdout",
    ] {
        assert!(ended.stdout.contains(text), "{text} is missing: {ended:?}");
    }
}

#[test]
fn no_module_an_unknown_option_and_an_unknown_runtime_are_2() {
    for args in [
        &["run"][..],
        &["run", "--bogus", "guest.wasm"],
        &["run", "--runtime", "v8", "guest.wasm"],
        &["run", "--env", "MODE", "guest.wasm"],
        &["run", "--call", ",7", "guest.wasm"],
        &[],
    ] {
        assert_eq!(bare(args).code, Some(2), "{args:?}");
    }
}

#[cfg(not(all(feature = "wasmi", feature = "wasmtime")))]
#[test]
fn a_runtime_that_is_not_compiled_in_is_2_and_the_message_says_how_to_get_it() {
    let missing = if cfg!(feature = "wasmi") {
        "wasmtime"
    } else {
        "wasmi"
    };
    let ended = run(missing, [guest("greet")]);
    assert_eq!(ended.code, Some(2));
    let advice = format!("cargo install --path runtimes/cli --features {missing}");
    assert!(ended.stderr.contains(&advice), "{ended:?}");
}

fn bare(args: &[&str]) -> Ended {
    let mut command = rangewatch();
    command.args(args);
    end(command, "")
}
