//! Directories, streams, clocks and limits from the command line.

use std::fs;
use std::path::PathBuf;

use crate::command::{assembled, guest, run, run_with_input, temporary};

on_each_runtime! {
    a_directory_is_at_the_path_that_the_option_gives
    a_program_changes_the_directory_of_the_host
    a_program_in_memory_leaves_the_directory_of_the_host_unchanged
    a_read_only_directory_is_not_changed
    a_missing_directory_is_1
    a_directory_without_a_guest_path_has_the_path_of_the_host
    input_comes_from_a_file
    captured_output_is_printed_at_the_end
    streams_end_at_the_limit
    a_copy_in_memory_keeps_to_the_limit
    the_same_seed_gives_the_same_random_bytes
    rights_are_as_chosen
    a_trap_after_captured_output_is_134_and_the_output_is_printed
}

/// A new directory with the files that the test programs expect.
fn root(test: &str, runtime: &str) -> PathBuf {
    let root = temporary(&format!("{test}-{runtime}"));
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(root.join("folder")).unwrap();
    fs::write(root.join("greeting.txt"), "hello from the host\n").unwrap();
    fs::write(root.join("folder/digits.txt"), "0123456789").unwrap();
    root
}

fn mapped(root: &std::path::Path, guest: &str) -> String {
    format!("{}::{guest}", root.display())
}

fn a_directory_is_at_the_path_that_the_option_gives(runtime: &str) {
    let root = mapped(&root("found", runtime), "/data");
    let greet = guest("greet");
    for fs in ["host", "mem"] {
        let args = [
            "--fs",
            fs,
            "--dir",
            &root,
            &greet,
            "--cat",
            "/data/greeting.txt",
        ];
        let ended = run(runtime, args);
        assert_eq!(ended.stdout, "hello from the host\n", "{ended:?}");
    }
}

fn a_program_changes_the_directory_of_the_host(runtime: &str) {
    let root = root("host", runtime);
    let ended = run(
        runtime,
        ["--dir", &mapped(&root, "/"), &guest("wasi/files")],
    );
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "files\n"),
        "{ended:?}"
    );
    assert_eq!(
        fs::read(root.join("log")).unwrap(),
        b"one\nONE\nthree\nTHREE\nlast\n"
    );
}

fn a_program_in_memory_leaves_the_directory_of_the_host_unchanged(runtime: &str) {
    let root = root("mem", runtime);
    for program in ["files", "directories", "links"] {
        let wasm = guest(&format!("wasi/{program}"));
        let ended = run(
            runtime,
            ["--fs", "mem", "--dir", &mapped(&root, "/"), &wasm],
        );
        assert_eq!(ended.stdout, format!("{program}\n"), "{ended:?}");
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), 2);
    assert_eq!(
        fs::read(root.join("greeting.txt")).unwrap(),
        b"hello from the host\n"
    );
}

fn a_read_only_directory_is_not_changed(runtime: &str) {
    let root = root("ro", runtime);
    for fs in ["host", "mem"] {
        let args = [
            "--fs",
            fs,
            "--ro-dir",
            &mapped(&root, "/"),
            &guest("wasi/files"),
        ];
        let ended = run(runtime, args);
        // The program reads before it writes.
        assert_ne!(ended.code, Some(0), "{ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
        assert!(ended.stderr.contains("Read-only"), "{ended:?}");
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), 2);
}

fn a_missing_directory_is_1(runtime: &str) {
    for option in ["--dir", "--ro-dir"] {
        let ended = run(runtime, [option, "no/such::/", &guest("greet")]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.stderr.starts_with("error: cannot open `no/such`"),
            "{ended:?}"
        );
    }
    let twice = ["--dir", ".::/", "--ro-dir", ".::/", &guest("greet")];
    let ended = run(runtime, twice);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("is used twice"), "{ended:?}");
}

fn a_directory_without_a_guest_path_has_the_path_of_the_host(runtime: &str) {
    let root = root("own-name", runtime);
    let path = root.to_str().unwrap();
    let file = format!("{path}/greeting.txt");
    let ended = run(runtime, ["--dir", path, &guest("greet"), "--cat", &file]);
    assert_eq!(ended.stdout, "hello from the host\n", "{ended:?}");
}

fn input_comes_from_a_file(runtime: &str) {
    let root = root("stdin", runtime);
    let file = root.join("names");
    fs::write(&file, "alice\nbob\n").unwrap();
    let file = file.to_str().unwrap();
    for option in [&["--stdin", file][..], &["--capture", "--stdin", file]] {
        let args = option
            .iter()
            .copied()
            .map(str::to_owned)
            .chain([guest("greet")]);
        let ended = run_with_input(runtime, args, "nobody\n");
        assert_eq!(ended.stdout, "hello alice\nhello bob\n", "{ended:?}");
    }
    let dash = run_with_input(runtime, ["--stdin", "-", &guest("greet")], "alice\n");
    assert_eq!(dash.stdout, "hello alice\n", "{dash:?}");
    for no_file in ["no/such", root.to_str().unwrap()] {
        let ended = run(runtime, ["--stdin", no_file, &guest("greet")]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let message = format!("cannot read `{no_file}` for --stdin: ");
        assert!(ended.stderr.contains(&message), "{ended:?}");
    }
}

fn captured_output_is_printed_at_the_end(runtime: &str) {
    let args = [
        "--capture",
        &guest("greet"),
        "--exit",
        "3",
        "--cat",
        "/nothing",
    ];
    let ended = run_with_input(runtime, args, "alice\n");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(3), "hello alice\n")
    );
    assert!(ended.stderr.starts_with("cat: "), "{ended:?}");
}

fn streams_end_at_the_limit(runtime: &str) {
    for capture in [&[][..], &["--capture"]] {
        let limit = ["--hostcall-limit", "8"]
            .into_iter()
            .chain(capture.iter().copied());
        let args = limit.map(str::to_owned).chain([guest("greet")]);
        let ended = run_with_input(runtime, args, "alice\nbob\n");
        assert_ne!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.len() <= 8, "{ended:?}");
    }
    let enough = ["--hostcall-limit", "12", &guest("greet")];
    assert_eq!(
        run_with_input(runtime, enough, "alice\n").stdout,
        "hello alice\n"
    );
}

fn a_copy_in_memory_keeps_to_the_limit(runtime: &str) {
    let root = mapped(&root("limit", runtime), "/");
    let args = [
        "--fs",
        "mem",
        "--hostcall-limit",
        "25",
        "--dir",
        &root,
        &guest("greet"),
    ];
    let ended = run(runtime, args);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("into memory"), "{ended:?}");
    let way_out = "a copy holds 25 bytes, which --hostcall-limit sets";
    assert!(ended.stderr.contains(way_out), "{ended:?}");
}

fn the_same_seed_gives_the_same_random_bytes(runtime: &str) {
    let random = |seed| run(runtime, ["--seed", seed, &guest("greet"), "--random"]).stdout;
    assert!(random("7").starts_with("random "));
    assert_eq!(random("7"), random("7"));
    assert_ne!(random("7"), random("8"));
}

fn rights_are_as_chosen(runtime: &str) {
    let root = root("rights", runtime);
    for rights in ["strict", "compat", "off"] {
        let args = [
            "--fs",
            "mem",
            "--rights",
            rights,
            "--dir",
            &mapped(&root, "/"),
        ];
        let args = args
            .map(str::to_owned)
            .into_iter()
            .chain([guest("wasi/confinement")]);
        let ended = run(runtime, args);
        assert_eq!(ended.stdout, "confinement\n", "{ended:?}");
    }
    assert_eq!(
        run(runtime, ["--rights", "none", &guest("greet")]).code,
        Some(2)
    );
}

fn a_trap_after_captured_output_is_134_and_the_output_is_printed(runtime: &str) {
    let traps = assembled(
        "traps_after_output",
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\08\00\00\00\04\00\00\00out\n")
            (func $deep unreachable)
            (func (export "_start")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
                (call $deep)))"#,
    );
    let ended = run(runtime, ["--capture", &traps]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(134), "out\n"));
    assert!(
        ended.stderr.starts_with("error: `_start` trapped: "),
        "{ended:?}"
    );
    if runtime == "wasmtime" {
        assert!(ended.stderr.contains("deep"), "{ended:?}");
    }
}
