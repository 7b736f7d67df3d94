//! The events that are printed.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use crate::command::{assembled, closed_pipe, end, guest, rangewatch, run, temporary};

on_each_runtime! {
    events_are_lines_of_json_in_the_order_of_emits_and_watches
    a_key_that_is_not_utf_8_is_base64
    an_event_is_printed_before_its_emit_returns
    no_event_of_a_hundred_thousand_emits_is_lost
    an_emit_of_many_keys_is_several_lines_of_up_to_16_kib
    events_go_to_a_file_and_only_there
    events_go_to_stdout_for_a_dash
    events_to_a_stream_of_the_process_are_appended_to_its_file
    events_and_results_in_one_file_are_in_order
    without_a_watch_nothing_is_printed
    a_closed_stderr_ends_the_printing_but_not_the_guest
}

fn events_are_lines_of_json_in_the_order_of_emits_and_watches(runtime: &str) {
    let emitter = guest("emitter");
    let watches = [
        "--watch",
        "prefix:test-2",
        "--watch",
        "all",
        "--watch",
        "range:a..b",
    ];
    let calls = [
        "--call",
        "apply,7",
        "--call",
        "emit_nothing,8",
        "--call",
        "emit_empty_key,-1",
    ];
    let ended = run(
        runtime,
        watches.into_iter().chain(calls).chain([emitter.as_str()]),
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.stderr,
        r#"{"seq":1,"value":7,"keys":["test-200"],"selector":"prefix:test-2"}
{"seq":1,"value":7,"keys":["test-100","test-200"],"selector":"all"}
{"seq":2,"value":18446744073709551615,"keys":[""],"selector":"all"}
"#
    );
}

fn a_key_that_is_not_utf_8_is_base64(runtime: &str) {
    let raw = assembled("raw_keys", RAW_KEYS);
    let ended = run(runtime, ["--watch", r"from:\x00", "--call", "emit", &raw]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let line =
        r#"{"seq":1,"value":9,"keys":[{"base64":"//4="},"a\"\u0000"],"selector":"from:\\x00"}"#;
    assert_eq!(ended.stderr, format!("{line}\n"));
}

/// Emits the keys `ff fe` and `61 22 00` with the value 9. The meta page is at 0, the variables are
/// at 32, the keys at 64.
const RAW_KEYS: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (memory (export "memory") 1)
    (data (i32.const 0) "\40\00\00\00\20\00\00\00\24\00\00\00\80\00\00\00\28\00\00\00\2c\00\00\00\30\00\00\00")
    (data (i32.const 32) "\40\00\00\00\09\00\00\00\10\00\00\00\00\00\00\00\09\00\00\00\00\00\00\00")
    (data (i32.const 64) "\00\02\ff\fe\00\03a\22\00")
    (func (export "__range_watch") (result i32) i32.const 0)
    (func (export "emit") call $flush))"#;

fn an_event_is_printed_before_its_emit_returns(runtime: &str) {
    let calls = ["follow,1", "emit,7,100", "n_received", "emit,8,101"];
    let path = temporary(&format!("both_streams.{runtime}"));
    let both = File::create(&path).unwrap();

    let mut command = rangewatch();
    command.args(["run", "--runtime", runtime, "--watch", "all"]);
    command
        .args(calls.iter().flat_map(|call| ["--call", call]))
        .arg(guest("watcher"));
    command.stdout(both.try_clone().unwrap()).stderr(both);
    let ended = end(command, "");

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = [
        "0",
        r#"{"seq":1,"value":7,"keys":["test-100"],"selector":"all"}"#,
        "0",
        "1",
        r#"{"seq":2,"value":8,"keys":["test-101"],"selector":"all"}"#,
        "0",
    ];
    assert_eq!(
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .collect::<Vec<_>>(),
        lines
    );
}

fn no_event_of_a_hundred_thousand_emits_is_lost(runtime: &str) {
    let events = temporary(&format!("hundred_thousand.{runtime}.jsonl"));
    // Each callback emits the event of the next callback, within one `drive_until_idle`.
    let calls = ["follow,1", "set_mode,1,99999", "emit,1,100"];
    let args = calls
        .iter()
        .flat_map(|call| ["--call", call])
        .map(str::to_owned);
    let options = ["--watch", "all", "--events", events.to_str().unwrap()].map(str::to_owned);
    let ended = run(runtime, args.chain(options).chain([guest("watcher")]));

    assert_eq!(ended.code, Some(0), "{ended:?}");
    let events = fs::read_to_string(events).unwrap();
    let mut seq = 0;
    for line in events.lines() {
        seq += 1;
        let expected =
            format!(r#"{{"seq":{seq},"value":{seq},"keys":["test-100"],"selector":"all"}}"#);
        assert_eq!(line, expected);
    }
    assert_eq!(seq, 100_000);
}

fn an_emit_of_many_keys_is_several_lines_of_up_to_16_kib(runtime: &str) {
    let ended = run(
        runtime,
        [
            "--watch",
            "all",
            "--call",
            "emit_range,1,0,100000",
            &guest("emitter"),
        ],
    );
    assert_eq!(ended.code, Some(0));
    let keys: Vec<&str> = (ended.stderr.split('"'))
        .filter(|text| text.starts_with("key-"))
        .collect();
    let expected: Vec<String> = (0..100_000).map(|n| format!("key-{n:08}")).collect();
    assert_eq!(keys, expected);
    assert_eq!(
        ended.stderr.lines().count(),
        100_000_usize.div_ceil(16384 / 14)
    );
}

fn events_go_to_a_file_and_only_there(runtime: &str) {
    let path = temporary(&format!("events.{runtime}.jsonl"));
    let args = [
        "--watch",
        "all",
        "--call",
        "apply,7",
        "--events",
        path.to_str().unwrap(),
    ];
    let ended = run(runtime, args.into_iter().chain([guest("emitter").as_str()]));
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let line = r#"{"seq":1,"value":7,"keys":["test-100","test-200"],"selector":"all"}"#;
    assert_eq!(fs::read_to_string(path).unwrap(), format!("{line}\n"));
}

/// The event of `--call apply,7` on the guest `emitter` with `--watch all`.
const EVENT: &str = r#"{"seq":1,"value":7,"keys":["test-100","test-200"],"selector":"all"}"#;

fn events_go_to_stdout_for_a_dash(runtime: &str) {
    let folder = temporary(&format!("dash.{runtime}"));
    // A former run may have left files.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let mut command = rangewatch();
    command.current_dir(&folder);
    command.args([
        "run",
        "--runtime",
        runtime,
        "--watch",
        "all",
        "--events",
        "-",
    ]);
    command.args(["--call", "apply,7", "--call", "emit_big,8,3"]);
    command.arg(fs::canonicalize(guest("emitter")).unwrap());
    let ended = end(command, "");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let mut lines = ended.stdout.lines();
    assert_eq!(lines.next(), Some(EVENT));
    assert_eq!(lines.last(), Some("0"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[cfg(unix)]
fn events_to_a_stream_of_the_process_are_appended_to_its_file(runtime: &str) {
    let path = temporary(&format!("appended.{runtime}.jsonl"));
    for (events, is_stdout) in [
        ("/dev/stdout", true),
        ("/dev/fd/1", true),
        (path.to_str().unwrap(), true),
        ("/dev/stderr", false),
        ("/dev/fd/2", false),
    ] {
        fs::write(&path, "before\n").unwrap();
        let log = Stdio::from(File::options().append(true).open(&path).unwrap());
        let mut command = rangewatch();
        command.args([
            "run",
            "--runtime",
            runtime,
            "--watch",
            "all",
            "--events",
            events,
        ]);
        command.args(["--call", "apply,7"]).arg(guest("emitter"));
        match is_stdout {
            true => command.stdout(log),
            false => command.stderr(log),
        };
        let ended = end(command, "");
        assert_eq!(ended.code, Some(0), "{events}: {ended:?}");
        let expected = format!("before\n{EVENT}\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), expected, "{events}");
    }
}

#[cfg(not(unix))]
fn events_to_a_stream_of_the_process_are_appended_to_its_file(_runtime: &str) {}

/// As with `rangewatch .. --events FILE > FILE`: one position for both, so that nothing is
/// overwritten.
fn events_and_results_in_one_file_are_in_order(runtime: &str) {
    let path = temporary(&format!("one_file.{runtime}"));
    let events = if cfg!(unix) {
        path.as_path()
    } else {
        Path::new("-")
    };
    let mut command = rangewatch();
    command.args(["run", "--runtime", runtime, "--watch", "all", "--events"]);
    command
        .arg(events)
        .args(["--call", "follow,1", "--call", "emit,7,100"]);
    command.args(["--call", "n_received"]).arg(guest("watcher"));
    command.stdout(File::create(&path).unwrap());
    let ended = end(command, "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let event = r#"{"seq":1,"value":7,"keys":["test-100"],"selector":"all"}"#;
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("0\n{event}\n0\n1\n")
    );
}

fn without_a_watch_nothing_is_printed(runtime: &str) {
    let ended = run(runtime, ["--call", "apply,7", &guest("emitter")]);
    assert_eq!(
        (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
        (Some(0), "", "")
    );
}

fn a_closed_stderr_ends_the_printing_but_not_the_guest(runtime: &str) {
    let mut command = rangewatch();
    command.args([
        "run",
        "--runtime",
        runtime,
        "--watch",
        "all",
        "--call",
        "apply,7",
    ]);
    command
        .args(["--call", "emit_big,8,3"])
        .arg(guest("emitter"))
        .stderr(closed_pipe());
    let ended = end(command, "");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "0\n"));
}

/// The runtimes are interchangeable: the events of a guest do not depend on the runtime.
#[cfg(all(feature = "wasmi", feature = "wasmtime"))]
#[test]
fn events_are_the_same_bytes_on_both_runtimes() {
    let events = |runtime: &str| {
        let path = temporary(&format!("same_bytes.{runtime}.jsonl"));
        let watches = [
            "all",
            "prefix:test-1",
            "range:test-100..test-101",
            "key:test-100",
        ];
        let calls = [
            "follow,1",
            "follow,2",
            "set_mode,1,500",
            "emit,1,100",
            "emit,2,150",
        ];
        let watches = watches.iter().flat_map(|watch| ["--watch", watch]);
        let calls = calls.iter().flat_map(|call| ["--call", call]);
        let options = ["--events", path.to_str().unwrap()];
        let watcher = guest("watcher");
        let ended = run(
            runtime,
            watches
                .chain(calls)
                .chain(options)
                .chain([watcher.as_str()]),
        );
        assert_eq!(ended.code, Some(0), "{ended:?}");
        fs::read(path).unwrap()
    };
    let (interpreted, compiled) = (events("wasmi"), events("wasmtime"));
    assert_eq!(
        interpreted.split(|byte| *byte == b'\n').count() - 1,
        4 * 501 + 2
    );
    assert!(interpreted == compiled);
}
