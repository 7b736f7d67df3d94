//! The context of a call: values that the host gives with it.

use std::sync::Arc;
use std::task::{Context, Waker};

use futures::FutureExt;
use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;

use super::raw_guest::{RawGuest, keys};
use super::suspension::pending_once;
use super::{load, text};
use crate::{CallError, Guest, GuestBus, HostError, Runtime, Start, Val};

/// A guest that asks the host for the context of its call, at once and after a wait.
const ASKING: &str = r#"(module
    (import "test" "context" (func $context (result i32)))
    (import "test" "wait" (func $wait))
    (import "test" "later" (func $later (result i32)))
    (import "test" "exit" (func $exit))
    (import "rangewatch_io" "output_write" (func $output (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "ask") (result i32)
        (i32.add (call $context) (i32.mul (i32.const 10) (call $later))))
    (func (export "ask_bytes")
        (i32.store (i32.const 64) (call $context))
        (call $output (i32.const 64) (i32.const 1)))
    (func $ask_and_exit (export "ask_and_exit") (drop (call $context)) (call $exit))
    (func (export "_start") (call $ask_and_exit))
    (func (export "nothing"))
    (func (export "trap") (drop (call $context)) unreachable)
    (func (export "forever") (drop (call $context)) (loop (call $wait) (br 0))))"#;

/// The context of the scenarios: a number, and a token that lives as long as it.
struct Request {
    number: i32,
    _token: Arc<()>,
}

impl Request {
    fn new(number: i32, token: &Arc<()>) -> Self {
        Self {
            number,
            _token: token.clone(),
        }
    }
}

async fn asking(runtime: &dyn Runtime, pool: (u32, u32)) -> Guest {
    let module = load(runtime, ASKING).await;
    Guest::builder(&module, &RangeWatchBus::new())
        .pool(pool.0, pool.1)
        .start(Start::Nothing)
        .host_function("test", "context", |cx, ()| {
            let (memory, request) = cx.memory_and_context::<Request>()?;
            memory[0] = 1;
            Ok(request.number)
        })
        .host_function_async("test", "wait", |_cx, ()| pending_once().map(Ok))
        .host_function_async_cx("test", "later", |cx, ()| {
            async move {
                pending_once().await;
                Ok(cx.context::<Request>()?.number)
            }
            .boxed()
        })
        .host_function("test", "exit", |_cx, ()| {
            Err::<(), _>(HostError::from(rangewatch_wasi::Exit::new(0)))
        })
        .instantiate()
        .await
        .expect("the guest of the scenario starts")
}

/// Each way to call reaches its own context, and a call without one finds none.
pub async fn host_functions_reach_the_context_of_their_call(runtime: &dyn Runtime) {
    let guest = asking(runtime, (1, 1)).await;
    let token = Arc::new(());
    let caller = |number| guest.caller().context(Request::new(number, &token));
    let asked = caller(1).call("ask", &[]).await;
    assert_eq!(asked.expect("it has a context"), [Val::I32(11)]);
    let asked = caller(7)
        .context("another type")
        .call_bytes("ask_bytes", "");
    assert_eq!(asked.await.expect("it has a context"), [7]);
    // One value of each type.
    let ask = guest.func::<(), i32>("ask").expect("its signature");
    let asked = caller(3).context(Request::new(2, &token));
    let asked = asked.call_func(&ask, ()).await;
    assert_eq!(asked.expect("it has a context"), 22);
    let mut session = guest.session().await.expect("an instance");
    for number in [4, 5] {
        let set = session.set_context(Request::new(number, &token));
        set.expect("an instance");
        let asked = ask.call_in(&mut session, ()).await;
        assert_eq!(asked.expect("it has a context"), 11 * number);
    }
    let error = session.call("ask", &[]).await.expect_err("it has none");
    assert!(text(&error).contains("the call has no context"), "{error}");
    assert!(text(&error).contains("Request"), "{error}");
    drop(session);
    let error = caller(1).call("no such", &[]).await.expect_err("unknown");
    assert!(matches!(error, CallError::UnknownExport { .. }), "{error}");
    let error = guest.call("ask", &[]).await.expect_err("it has none");
    assert!(matches!(error, CallError::HostFunction { .. }), "{error}");
    assert_eq!(Arc::strong_count(&token), 1);
}

/// The context is dropped with the end of its call, however that ends, and also when it is never
/// made.
pub async fn a_context_ends_with_its_call(runtime: &dyn Runtime) {
    let token = Arc::new(());
    let live = || Arc::strong_count(&token) - 1;
    let request = || Request::new(1, &token);
    let guest = asking(runtime, (1, 1)).await;
    let mut session = guest.session().await.expect("an instance");
    for export in ["ask", "nothing"] {
        session.set_context(request()).expect("an instance");
        assert_eq!(live(), 1);
        session.call(export, &[]).await.expect("it returns");
        assert_eq!(live(), 0, "after a return");
    }
    // A call that is refused is not made: the context is that of the next one.
    session.set_context(request()).expect("an instance");
    session.call("no such", &[]).await.expect_err("unknown");
    assert_eq!(live(), 1);
    drop(session);
    assert_eq!(live(), 0, "the session had no next call");
    guest.call("ask", &[]).await.expect_err("it has no context");
    for export in ["trap", "ask_and_exit", "_start"] {
        let called = guest.caller().context(request()).call(export, &[]).await;
        let error = called.expect_err("it does not return");
        assert_eq!(live(), 0, "{error}");
    }
    // A pending call has its context, also while it waits for an instance.
    let mut cx = Context::from_waker(Waker::noop());
    let mut running = Box::pin(guest.caller().context(request()).call("forever", &[]));
    assert!(running.poll_unpin(&mut cx).is_pending());
    assert_eq!(live(), 1);
    let mut waiting = Box::pin(guest.caller().context(request()).call("nothing", &[]));
    assert!(waiting.poll_unpin(&mut cx).is_pending());
    assert_eq!(live(), 2);
    drop(waiting);
    assert_eq!(live(), 1);
    drop(running);
    assert_eq!(live(), 0, "after a drop");
    guest.call("nothing", &[]).await.expect("another instance");
}

/// The commit hook and the hook at the end of a call reach the context, and the first may take it.
/// Callbacks have none.
pub async fn hooks_reach_the_context_of_a_call(runtime: &dyn Runtime) {
    let bus = RangeWatchBus::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let (of_commit, of_end) = (log.clone(), log.clone());
    let guest_bus = GuestBus::on_commit(&bus, move |cx, staged| {
        let request = cx.take_context::<Request>().map(|request| request.number);
        of_commit.lock().push(format!("commit {request:?}"));
        async move {
            staged.publish().map_err(|(_, error)| error)?;
            Ok(())
        }
        .boxed()
    });
    let raw = RawGuest::with(runtime, &bus, guest_bus, move |builder| {
        builder.on_call_end(move |end| {
            let is_there = end.context::<Request>().is_ok();
            let user = end.context::<&str>().map(|user| *user).ok();
            of_end.lock().push(format!("end {is_there} {user:?}"));
        })
    })
    .await;
    raw.follow("w", "k", "l").await;
    raw.flush(1, &keys(["k"])).await.expect("it returns");
    log.lock().clear();
    let token = Arc::new(());
    let caller = raw.guest.caller().context(Request::new(6, &token));
    let flushed = caller.context("alice").call("flush", &[]).await;
    flushed.expect("it returns");
    assert_eq!(raw.drive().await, ["w=1"]);
    let none = r#"Err(NoContext { type_name: "#;
    let log = log.lock().clone();
    assert_eq!(log[..2], ["commit Ok(6)", r#"end false Some("alice")"#]);
    assert!(log[2].starts_with(&format!("commit {none}")), "{log:?}");
    assert_eq!(log[3..], ["end false None"]);
    assert_eq!(Arc::strong_count(&token), 1);
}
