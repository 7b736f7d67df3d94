//! The standard input of the process.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::process::Stdio;
use std::thread;

use crate::command::{Ended, assembled, end, rangewatch, temporary, wait};

on_each_runtime! {
    a_poll_with_timeout_0_sees_the_bytes_in_a_pipe
    a_poll_with_timeout_0_sees_the_bytes_in_a_file
    a_poll_with_timeout_0_sees_the_end_of_the_input
    a_poll_with_timeout_0_of_an_empty_pipe_sees_the_timer_only
    a_poll_waits_for_the_input
    a_poll_waits_for_each_byte
    a_read_waits_for_each_byte
    input_read_byte_by_byte_is_complete_and_in_order
}

/// The imports and the memory of the guests of this file.
const IMPORTS: &str = r#"(import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read"
        (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)"#;

/// Polls the standard input and a timer of `timeout_ns`, then exits with 1 for the input, 2 for the
/// timer, and 3 for both. If the input is ready, writes the bytes of one read to stdout.
fn polls(name: &str, timeout_ns: u64) -> String {
    let text = format!(
        r#"(module
            {IMPORTS}
            (func (export "_start") (local $seen i32)
                ;; Subscriptions at 0: user data 1, fd_read of 0; user data 2, the monotonic clock.
                (i64.store (i32.const 0) (i64.const 1))
                (i32.store8 (i32.const 8) (i32.const 1))
                (i64.store (i32.const 48) (i64.const 2))
                (i32.store (i32.const 64) (i32.const 1))
                (i64.store (i32.const 72) (i64.const {timeout_ns}))
                (if (call $poll (i32.const 0) (i32.const 256) (i32.const 2) (i32.const 512))
                    (then (call $exit (i32.const 70))))
                (local.set $seen (i32.load (i32.const 256)))
                (if (i32.eq (i32.load (i32.const 512)) (i32.const 2))
                    (then (local.set $seen
                        (i32.add (local.get $seen) (i32.load (i32.const 288))))))
                (if (i32.and (local.get $seen) (i32.const 1)) (then
                    (i32.store (i32.const 600) (i32.const 1024))
                    (i32.store (i32.const 604) (i32.const 100))
                    (if (call $read (i32.const 0) (i32.const 600) (i32.const 1) (i32.const 604))
                        (then (call $exit (i32.const 71))))
                    (drop (call $write
                        (i32.const 1) (i32.const 600) (i32.const 1) (i32.const 608)))))
                (call $exit (local.get $seen))))"#
    );
    assembled(name, &text)
}

fn run(runtime: &str, wasm: &str, stdin: impl Into<Stdio>) -> Ended {
    let mut command = rangewatch();
    command.args(["run", "--runtime", runtime, wasm]);
    command.stdin(stdin);
    end(command, "")
}

fn a_poll_with_timeout_0_sees_the_bytes_in_a_pipe(runtime: &str) {
    // The pipe has a writer until the end, so it has bytes, but no end.
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"abc").unwrap();
    let ended = run(runtime, &polls("polls", 0), reader);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), "abc"));
    drop(writer);
}

fn a_poll_with_timeout_0_sees_the_bytes_in_a_file(runtime: &str) {
    let path = temporary(&format!("polled.{runtime}"));
    fs::write(&path, "abc").unwrap();
    let ended = run(runtime, &polls("polls", 0), File::open(path).unwrap());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), "abc"));
}

fn a_poll_with_timeout_0_sees_the_end_of_the_input(runtime: &str) {
    let (reader, writer) = io::pipe().unwrap();
    drop(writer);
    for stdin in [Stdio::null(), reader.into()] {
        let ended = run(runtime, &polls("polls", 0), stdin);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""));
    }
}

fn a_poll_with_timeout_0_of_an_empty_pipe_sees_the_timer_only(runtime: &str) {
    let (reader, writer) = io::pipe().unwrap();
    let ended = run(runtime, &polls("polls", 0), reader);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    drop(writer);
}

fn a_poll_waits_for_the_input(runtime: &str) {
    let wasm = polls("polls_an_hour", 3_600_000_000_000);
    let mut command = rangewatch();
    command.args(["run", "--runtime", runtime, &wasm]);
    let ended = end(command, "abc");
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "abc"));
}

/// Runs `first`, reads a byte and writes it back, up to the end of the input.
fn echoes(name: &str, first: &str) -> String {
    let text = format!(
        r#"(module
            {IMPORTS}
            (func (export "_start")
                (i32.store (i32.const 0) (i32.const 1024))
                (i32.store (i32.const 4) (i32.const 1))
                ;; A subscription at 256: fd_read of 0.
                (i32.store8 (i32.const 264) (i32.const 1))
                (loop $next
                    {first}
                    (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
                        (then (call $exit (i32.const 71))))
                    (if (i32.load (i32.const 8)) (then
                        (drop (call $write
                            (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                        (br $next))))))"#
    );
    assembled(name, &text)
}

/// Writes a byte only after the guest has echoed the one before, so that the guest waits for most
/// of them.
fn exchange_bytes(runtime: &str, wasm: &str) {
    let mut command = rangewatch();
    command.args(["run", "--runtime", runtime, wasm]);
    let mut child = command.spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let exchange = thread::spawn(move || {
        for n in 0..2_000_u32 {
            let byte = [(n % 251) as u8];
            stdin.write_all(&byte).unwrap();
            let mut echo = [0];
            stdout.read_exact(&mut echo).unwrap();
            assert_eq!(echo, byte);
        }
    });
    let ended = wait(child);
    exchange.join().unwrap();
    assert_eq!(ended.code, Some(0));
}

fn a_poll_waits_for_each_byte(runtime: &str) {
    let poll = "(if (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 600))
        (then (call $exit (i32.const 70))))";
    exchange_bytes(runtime, &echoes("echoes_polled_bytes", poll));
}

fn a_read_waits_for_each_byte(runtime: &str) {
    exchange_bytes(runtime, &echoes("echoes_bytes", ""));
}

/// Reads single bytes up to the end of the input, then writes all of them.
const READS_BYTES: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read"
        (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 8)
    (func (export "_start") (local $at i32)
        (local.set $at (i32.const 1024))
        (i32.store (i32.const 4) (i32.const 1))
        (block $end (loop $next
            (i32.store (i32.const 0) (local.get $at))
            (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
                (then (call $exit (i32.const 70))))
            (br_if $end (i32.eqz (i32.load (i32.const 8))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $next)))
        (i32.store (i32.const 0) (i32.const 1024))
        (i32.store (i32.const 4) (i32.sub (local.get $at) (i32.const 1024)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

fn input_read_byte_by_byte_is_complete_and_in_order(runtime: &str) {
    let wasm = assembled("reads_bytes", READS_BYTES);
    let text: String = (0..30_000).map(|n| format!("{n:05} ")).collect();
    let path = temporary(&format!("bytes.{runtime}"));
    fs::write(&path, &text).unwrap();
    let ended = run(runtime, &wasm, File::open(path).unwrap());
    assert!(ended.stdout == text, "{:?}", ended.code);

    // In pieces whose size divides no buffer size, so that they span the ends of buffers.
    let (reader, mut writer) = io::pipe().unwrap();
    let pieces = text.clone();
    let writing = thread::spawn(move || {
        for piece in pieces.as_bytes().chunks(1777) {
            writer.write_all(piece).unwrap();
            thread::yield_now();
        }
    });
    let ended = run(runtime, &wasm, reader);
    writing.join().unwrap();
    assert!(ended.stdout == text, "{:?}", ended.code);
}
