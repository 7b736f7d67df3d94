//! Bytes into calls and out of them.

use futures::future::join_all;

use super::{guest, waiting_guest};
use crate::abi::AbiError;
use crate::{CallError, Limits, Runtime, Val};

/// A guest that answers with its input, which it reads in pieces of seven bytes. It waits between
/// two pieces, so that other calls run. Its other exports pass their arguments to an import.
pub const BYTES: &str = r#"(module
    (import "rangewatch_io" "input_len" (func $len (result i32)))
    (import "rangewatch_io" "input_read" (func $read (param i32 i32 i32) (result i32)))
    (import "rangewatch_io" "output_write" (func $write (param i32 i32)))
    (import "test" "wait" (func $wait))
    (memory (export "memory") 17)
    (func (export "answer") (local $offset i32) (local $n i32)
        (loop
            (local.set $n (call $read (i32.const 8) (local.get $offset) (i32.const 7)))
            (call $wait)
            (call $write (i32.const 8) (local.get $n))
            (local.set $offset (i32.add (local.get $offset) (local.get $n)))
            (br_if 0 (i32.ne (local.get $offset) (call $len)))))
    (func (export "answer_at_once") (local $n i32)
        (local.set $n (call $read (i32.const 8) (i32.const 0) (i32.const -1)))
        (call $write (i32.const 8) (local.get $n)))
    (func (export "trap") unreachable)
    (func (export "len") (result i32) (call $len))
    (func (export "read") (param i32 i32 i32) (result i32)
        (call $read (local.get 0) (local.get 1) (local.get 2)))
    (func (export "write") (param i32 i32) (call $write (local.get 0) (local.get 1)))
    (func (export "write_outside") (call $write (i32.const -1) (i32.const 2)))
    (func (export "write_too_much")
        (loop (call $write (i32.const 0) (i32.const 65536)) (br 0)))
    (func (export "read_outside")
        (drop (call $read (i32.const 0x110000) (i32.const 0) (i32.const 1)))))"#;

/// The output of a call is what its guest wrote from its input, of any length up to the limit.
pub async fn a_call_with_bytes_answers_with_bytes(runtime: &dyn Runtime) {
    let guest = waiting_guest(runtime, BYTES, None).await;
    for n_bytes in [0, 1, 6, 7, 8, 1_000] {
        let input: Vec<u8> = (0..n_bytes).map(|i| i as u8).collect();
        let output = guest.call_bytes("answer", &*input).await;
        assert_eq!(output.expect("it answers"), input);
    }
    let mebibyte = vec![7; 1 << 20];
    let output = guest.call_bytes("answer_at_once", &*mebibyte).await;
    assert!(output.expect("it answers") == mebibyte);
}

/// Two hundred concurrent commands get their own answers, also of a pool.
pub async fn concurrent_calls_with_bytes_get_their_own_answers(runtime: &dyn Runtime) {
    for pool in [None, Some((2, 2)), Some((7, 1))] {
        let guest = waiting_guest(runtime, BYTES, pool).await;
        let calls = (0..200).map(async |i| {
            let input = format!("command {i} of two hundred");
            let output = guest.call_bytes("answer", input.clone()).await;
            (input.into_bytes(), output.expect("it answers"))
        });
        for (input, output) in join_all(calls).await {
            assert_eq!(input, output);
        }
    }
}

/// Outside of a call with bytes the input is empty and an output is an error.
pub async fn a_call_without_bytes_has_no_input_and_no_output(runtime: &dyn Runtime) {
    let guest = waiting_guest(runtime, BYTES, None).await;
    let answer = guest.call_bytes("answer_at_once", "abc").await;
    assert_eq!(answer.expect("it answers"), b"abc");
    assert_eq!(super::call(&guest, "len", &[]).await, [Val::I32(0)]);
    let args = [Val::I32(0), Val::I32(0), Val::I32(10)];
    assert_eq!(super::call(&guest, "read", &args).await, [Val::I32(0)]);
    match guest.call("write", &[Val::I32(0), Val::I32(1)]).await {
        Err(CallError::Abi { source, .. }) => assert_eq!(source, AbiError::NoOutput),
        other => panic!("{other:?}"),
    }
}

/// An export of another signature is refused, and the guest stays as it was.
pub async fn a_call_with_bytes_needs_an_export_without_parameters(runtime: &dyn Runtime) {
    let guest = waiting_guest(runtime, BYTES, None).await;
    for export in ["write", "len"] {
        let error = guest.call_bytes(export, "").await.expect_err("refused");
        assert!(matches!(error, CallError::NotForBytes { .. }), "{error}");
    }
    let error = guest.call_bytes("missing", "").await.expect_err("refused");
    assert!(matches!(error, CallError::UnknownExport { .. }), "{error}");
    let answer = guest.call_bytes("answer_at_once", "abc").await;
    assert_eq!(answer.expect("it answers"), b"abc");
}

/// A guest that only answers has a meta page if it is one of the SDK, and the text of its panic is
/// there.
pub async fn a_trap_of_a_guest_that_answers_has_its_panic_text(runtime: &dyn Runtime) {
    let text = r#"(module
        (import "rangewatch_io" "input_len" (func $len (result i32)))
        (memory (export "memory") 1)
        ;; The meta page: buf, buf_cap, buf_len, err, err_cap, err_len, val.
        (data (i32.const 16) "\00\01\00\00\30\00\00\00\34\00\00\00\50\00\00\00\38\00\00\00\3c\00\00\00\40\00\00\00")
        (data (i32.const 48) "\00\04\00\00\00\00\00\00\20\00\00\00\00\00\00\00")
        (data (i32.const 80) "no such command")
        (func (export "__range_watch") (result i32) (i32.const 16))
        (func (export "answer")
            (drop (call $len))
            (i32.store (i32.const 60) (i32.const 15))
            unreachable))"#;
    let guest = guest(runtime, text, |builder| builder).await;
    match guest.call_bytes("answer", "abc").await {
        Err(CallError::Trap { message, .. }) => {
            assert_eq!(message.as_deref(), Some("no such command"));
        }
        other => panic!("{other:?}"),
    }
}

/// A guest that writes beyond its limit or outside of its memory traps, and its pool goes on.
pub async fn g30_output_beyond_the_limits_is_an_error(runtime: &dyn Runtime) {
    let guest = waiting_guest(runtime, BYTES, Some((1, 1))).await;
    for (export, is_expected) in [
        ("write_too_much", |error: &AbiError| {
            *error
                == AbiError::OutputTooLarge {
                    max_bytes: Limits::DEFAULT_OUTPUT_BYTES,
                }
        }),
        ("write_outside", |error: &AbiError| {
            matches!(error, AbiError::OutOfBounds { .. })
        }),
        ("read_outside", |error: &AbiError| {
            matches!(error, AbiError::OutOfBounds { .. })
        }),
    ] as [(&str, fn(&AbiError) -> bool); 3]
    {
        match guest.call_bytes(export, "abc").await {
            Err(CallError::Abi { source, .. }) if is_expected(&source) => {}
            other => panic!("{export}: {other:?}"),
        }
        let error = guest.call_bytes("trap", "abc").await;
        assert!(matches!(error, Err(CallError::Trap { .. })), "{error:?}");
        let answer = guest.call_bytes("answer", "d").await;
        assert_eq!(answer.expect("another instance answers"), b"d");
    }
}
