//! WASI preview1 as the backend links it.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;
use rangewatch_wasi::{SharedBuffer, Stdout, Wasi};

use super::load;
use crate::{Emits, Guest, InstantiateError, RunError, Runtime, Val, run_command};

/// Echoes one read of stdin to stdout and exits with the number of bytes.
const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 100))
        (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)) (then unreachable))
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (call $exit (i32.load (i32.const 8)))
        unreachable))"#;

/// A command reads its input, writes its output and exits with its own code.
pub async fn a_command_reads_prints_and_exits(runtime: &dyn Runtime) {
    let out = SharedBuffer::new();
    let wasi = Wasi::builder()
        .stdin("alice\n")
        .stdout(out.clone())
        .build()
        .expect("valid");
    let wasm = wat::parse_str(ECHO).expect("well formed");
    let exit = run_command(runtime, &wasm, wasi).await.expect("it exits");
    assert_eq!(exit.code(), 6);
    assert_eq!(out.to_string_lossy(), "alice\n");
}

/// Without a context a module that imports WASI is refused with an error that says what to do.
pub async fn wasi_needs_a_context(runtime: &dyn Runtime) {
    let module = load(runtime, ECHO).await;
    let error = Guest::builder(&module, &RangeWatchBus::new())
        .instantiate()
        .await
        .expect_err("refused");
    assert!(
        matches!(error, InstantiateError::UnknownImport { .. }),
        "{error}"
    );
    assert!(super::text(&error).contains(".wasi(..)"), "{error}");
}

/// Emits a key and prints a byte, then returns 7.
const EMITS_AND_PRINTS: &str = r#"(module
    (import "pantopic/wazero-range-watch" "__range_watch_flush" (func $flush))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val; then the variables.
    (data (i32.const 16) "\60\00\00\00\30\00\00\00\34\00\00\00\80\00\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
    (data (i32.const 48) "\20\00\00\00\03\00\00\00\10\00\00\00")
    (data (i32.const 96) "\00\01k")
    (data (i32.const 200) "\62\00\00\00\01\00\00\00")
    (func (export "__range_watch") (result i32) (i32.const 16))
    (func (export "go") (result i32)
        (call $flush)
        (drop (call $write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 216)))
        (i32.const 7))
    (func (export "_start")
        (drop (call $write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 216)))))"#;

/// A writer that accepts all bytes, and whose flush fails or panics.
struct Unflushable(fn() -> io::Error);

impl Write for Unflushable {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err((self.0)())
    }
}

/// A call whose output cannot be flushed returns its results, its emits stay, and so does its
/// instance; the error is reported beside them.
pub async fn a_failed_flush_is_reported_beside_the_results(runtime: &dyn Runtime) {
    let wasi = || {
        let full = Unflushable(|| io::Error::other("the disk is full"));
        Wasi::builder().stdout(Stdout::writer(full)).build()
    };
    let module = load(runtime, EMITS_AND_PRINTS).await;
    for emits in [Emits::Immediate, Emits::Staged] {
        let bus = RangeWatchBus::new();
        let errors = Arc::<Mutex<Vec<String>>>::default();
        let log = errors.clone();
        let guest = Guest::builder(&module, &bus)
            .wasi(wasi().expect("valid"))
            .emits(emits)
            .on_flush_error(move |error| log.lock().push(format!("{error}: {}", error.source)))
            .instantiate()
            .await
            .expect("it starts");
        for n_calls in 1..=2 {
            assert_eq!(super::call(&guest, "go", &[]).await, [Val::I32(7)]);
            assert_eq!(bus.stats().n_emits(), n_calls);
            let errors = std::mem::take(&mut *errors.lock());
            let failed =
                |export| format!("what `{export}` wrote could not be flushed: the disk is full");
            // The first call starts the guest.
            let exports = if n_calls == 1 {
                &["_start", "go"][..]
            } else {
                &["go"]
            };
            assert_eq!(errors, exports.iter().map(failed).collect::<Vec<_>>());
        }
    }
    let wasm = wat::parse_str(EMITS_AND_PRINTS).expect("well formed");
    match run_command(runtime, &wasm, wasi().expect("valid")).await {
        Err(RunError::Flush { exit, .. }) => assert_eq!(exit.code(), 0),
        other => panic!("{other:?}"),
    }
}

/// What a reactor prints while it is initialized is flushed, too, and an error or a panic of the
/// writer is reported.
pub async fn a_failed_flush_of_a_reactor_is_reported(runtime: &dyn Runtime) {
    let module = load(runtime, &EMITS_AND_PRINTS.replace("_start", "_initialize")).await;
    for unflushable in [
        Unflushable(|| io::Error::other("no disk")),
        Unflushable(|| panic!("no disk")),
    ] {
        let wasi = Wasi::builder().stdout(Stdout::writer(unflushable)).build();
        let errors = Arc::<Mutex<Vec<String>>>::default();
        let log = errors.clone();
        let guest = Guest::builder(&module, &RangeWatchBus::new())
            .wasi(wasi.expect("valid"))
            .on_flush_error(move |error| log.lock().push(super::text(&error)))
            .instantiate()
            .await
            .expect("it starts");
        assert_eq!(super::call(&guest, "go", &[]).await, [Val::I32(7)]);
        let errors = std::mem::take(&mut *errors.lock());
        assert_eq!(errors.len(), 2, "{errors:?}");
        for (error, export) in errors.iter().zip(["_initialize", "go"]) {
            assert!(error.contains(&format!("`{export}` wrote")), "{error}");
            assert!(error.contains("no disk"), "{error}");
        }
    }
}
