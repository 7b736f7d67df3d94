//! WASI preview1 as the backend links it.

use rangewatch_bus::RangeWatchBus;
use rangewatch_wasi::{SharedBuffer, Wasi};

use super::load;
use crate::{Guest, InstantiateError, Runtime, run_command};

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

/// What goes in comes out, and the exit code is the guest's.
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

/// Without a context a module that imports WASI is refused, with the way out.
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
    assert!(error.to_string().contains(".wasi(..)"), "{error}");
}
