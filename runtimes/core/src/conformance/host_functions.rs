//! Functions of the embedder.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use rangewatch_wasi::Exit;

use super::raw_guest::{RawGuest, keys};
use super::{call, call_err, guest};
use crate::{
    AsyncHostFunction, CallError, FuncType, HostCx, HostError, HostFunction, HostFunctionBody,
    Runtime, SyncHostFunction, Val, ValType,
};

/// Closures of several signatures, one of which reads and writes memory.
pub async fn host_functions_access_values_and_memory(runtime: &dyn Runtime) {
    let texts = Arc::new(Mutex::new(Vec::new()));
    let written = texts.clone();
    let guest = guest(
        runtime,
        r#"(module
            (import "env" "mix" (func $mix (param i32 i64 f32 f64) (result f64 i32)))
            (import "env" "say" (func $say (param i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 8) "hello")
            (func (export "mix") (result f64 i32)
                i32.const 1 i64.const 2 f32.const 3 f64.const 4 call $mix)
            (func (export "say") (result i32)
                i32.const 8 i32.const 5 call $say i32.const 8 i32.load8_u))"#,
        |builder| {
            builder
                .host_function("env", "mix", |_cx, (a, b, c, d): (i32, u64, f32, f64)| {
                    Ok((f64::from(a) + b as f64 + f64::from(c) + d, a))
                })
                .host_function("env", "say", move |cx, (at, len): (u32, u32)| {
                    let text = &mut cx.memory()[at as usize..][..len as usize];
                    written
                        .lock()
                        .push(String::from_utf8_lossy(text).into_owned());
                    text[0] = b'j';
                    Ok(())
                })
        },
    )
    .await;
    assert_eq!(
        call(&guest, "mix", &[]).await,
        [Val::F64(10.0), Val::I32(1)]
    );
    assert_eq!(call(&guest, "say", &[]).await, [Val::I32(i32::from(b'j'))]);
    assert_eq!(*texts.lock(), ["hello"]);
}

/// The error of a host function is the source of the call's error, with its type.
pub async fn a_host_error_is_the_source_of_the_call_error(runtime: &dyn Runtime) {
    let text = r#"(module
        (import "env" "at_once" (func $at_once))
        (import "env" "later" (func $later))
        (func (export "at_once") call $at_once)
        (func (export "later") call $later))"#;
    for export in ["at_once", "later"] {
        let guest = guest(runtime, text, |builder| {
            builder
                .host_function("env", "at_once", |_cx, ()| {
                    Err::<(), _>(std::io::Error::other("no quota").into())
                })
                .host_function_async("env", "later", |_cx, ()| async {
                    super::suspension::pending_once().await;
                    Err::<(), _>(std::io::Error::other("no quota").into())
                })
        })
        .await;
        match call_err(&guest, export).await {
            CallError::HostFunction {
                function, source, ..
            } => {
                assert_eq!(function, format!("env.{export}"));
                let source = source
                    .downcast::<std::io::Error>()
                    .expect("the error of the host function");
                assert_eq!(source.to_string(), "no quota");
            }
            error => panic!("{error}"),
        }
    }
}

/// A host function that fails with an `Exit` ends the guest as `proc_exit` does.
pub async fn a_host_function_can_exit_the_guest(runtime: &dyn Runtime) {
    let guest = guest(
        runtime,
        r#"(module (import "env" "exit" (func $exit)) (func (export "go") call $exit))"#,
        |builder| builder.host_function("env", "exit", |_cx, ()| Err::<(), _>(Exit::new(3).into())),
    )
    .await;
    match call_err(&guest, "go").await {
        CallError::Exit { exit, .. } => assert_eq!(exit.code(), 3),
        error => panic!("{error}"),
    }
}

/// A panic of a host function ends the guest's call with an error that contains its text; it does
/// not unwind into the embedder, on any engine.
pub async fn g30_a_panic_of_a_host_function_is_an_error(runtime: &dyn Runtime) {
    let text = r#"(module
        (import "env" "at_once" (func $at_once))
        (import "env" "later" (func $later))
        (func (export "at_once") call $at_once)
        (func (export "later") call $later))"#;
    for export in ["at_once", "later"] {
        let guest = guest(runtime, text, |builder| {
            builder
                .host_function("env", "at_once", |_cx, ()| -> Result<(), HostError> {
                    panic!("a bug of the host")
                })
                .host_function_async("env", "later", |_cx, ()| async {
                    super::suspension::pending_once().await;
                    if true {
                        panic!("a bug of the host");
                    }
                    Ok(())
                })
        })
        .await;
        let error = call_err(&guest, export).await;
        assert!(matches!(error, CallError::HostFunction { .. }), "{error}");
        assert!(
            super::text(&error).contains("it panicked: a bug of the host"),
            "{error}"
        );
        assert!(matches!(
            call_err(&guest, export).await,
            CallError::Gone { .. }
        ));
    }
}

/// A host function that returns values of other types than its signature fails the call; no value
/// is converted.
pub async fn results_of_another_signature_are_an_error(runtime: &dyn Runtime) {
    struct Returns(Vec<Val>);
    impl SyncHostFunction for Returns {
        fn call(&self, _cx: &mut dyn HostCx, _args: &[Val]) -> Result<Vec<Val>, HostError> {
            Ok(self.0.clone())
        }
    }
    impl AsyncHostFunction for Returns {
        fn call<'a>(
            &'a self,
            _cx: &'a mut dyn HostCx,
            _args: &'a [Val],
        ) -> BoxFuture<'a, Result<Vec<Val>, HostError>> {
            Box::pin(async { Ok(self.0.clone()) })
        }
    }
    let text = r#"(module
        (import "env" "f" (func $f (result i32 i64)))
        (func (export "go") (result i32 i64) call $f))"#;
    let cases = [
        (vec![], false),
        (vec![Val::I32(1)], false),
        (vec![Val::I64(1), Val::F32(1.5)], false),
        (vec![Val::I32(1), Val::I64(2), Val::I32(3)], false),
        (vec![Val::I32(1), Val::I64(2)], true),
    ];
    for (results, is_right) in cases {
        let bodies = [
            HostFunctionBody::Sync(Arc::new(Returns(results.clone()))),
            HostFunctionBody::Async(Arc::new(Returns(results.clone()))),
        ];
        for body in bodies {
            let ty = FuncType::new([], [ValType::I32, ValType::I64]);
            let function = HostFunction::new("env", "f", ty, body);
            let guest = guest(runtime, text, |builder| {
                builder.host_function_object(function)
            })
            .await;
            match guest.call("go", &[]).await {
                Ok(same) => assert!(is_right && same == results, "{same:?}"),
                Err(error) => {
                    assert!(!is_right, "{error}");
                    assert!(
                        super::text(&error).contains("it is () -> (i32, i64) but"),
                        "{error}"
                    );
                }
            }
        }
    }
}

/// A guest may export a function that it imports; a call of an export that waits suspends.
pub async fn an_import_that_is_exported_can_be_called(runtime: &dyn Runtime) {
    let guest = guest(
        runtime,
        r#"(module
            (import "env" "at_once" (func $at_once (param i32) (result i32)))
            (import "env" "later" (func $later (param i32) (result i32)))
            (export "at_once" (func $at_once))
            (export "later" (func $later)))"#,
        |builder| {
            builder
                .host_function("env", "at_once", |_cx, n: i32| Ok(n + 1))
                .host_function_async("env", "later", |_cx, n: i32| async move {
                    super::suspension::pending_once().await;
                    Ok(n + 2)
                })
        },
    )
    .await;
    assert_eq!(call(&guest, "at_once", &[Val::I32(1)]).await, [Val::I32(2)]);
    assert_eq!(call(&guest, "later", &[Val::I32(1)]).await, [Val::I32(3)]);
}

/// A waker that panics inside of a guest's emit ends that call only; the emit is on the bus.
pub async fn g30_a_panic_of_a_waker_is_an_error(runtime: &dyn Runtime) {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a bug of the waker");
        }
    }
    let raw = RawGuest::new(runtime).await;
    let mut all = raw.bus.subscribe("a".."b").wake().expect("valid");
    let waker = Waker::from(Arc::new(Panics));
    assert!(all.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    let error = raw.flush(1, &keys(["a"])).await.expect_err("a panic");
    assert!(matches!(error, CallError::HostFunction { .. }), "{error}");
    assert!(
        super::text(&error).contains("it panicked: a bug of the waker"),
        "{error}"
    );
    assert_eq!(all.try_recv().expect("delivered").last(), 1);
}
