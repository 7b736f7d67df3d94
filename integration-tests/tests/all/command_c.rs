//! A command in the shape of the guests that TinyGo builds: `_start` initializes each instance,
//! once. The same in WAT, and more of its corners, are in the conformance suite.

use integration_tests::{Session, Trace, guests, kind, on_each_backend};
use rangewatch::{GuestBuilder, Runtime, Val, Wasi};

on_each_backend! {
    a_command_is_started_before_its_first_call,
    a_command_that_has_run_is_used_on,
    a_command_emits_while_it_starts,
    a_command_that_exits_with_another_code_is_gone,
    an_emit_before_the_page_is_set_up_traps,
    every_instance_of_a_pool_is_started_once,
}

async fn command(runtime: &dyn Runtime, args: &'static [&'static str]) -> Session {
    command_with(runtime, args, |builder| builder).await
}

async fn command_with(
    runtime: &dyn Runtime,
    args: &'static [&'static str],
    configure: impl FnOnce(GuestBuilder<'_>) -> GuestBuilder<'_>,
) -> Session {
    Session::with(runtime, guests::COMMAND_C, |builder| {
        let wasi = move || {
            let args = ["command_c"].iter().chain(args).copied();
            Ok(Wasi::builder().args(args).build()?)
        };
        configure(builder).wasi_with(wasi)
    })
    .await
}

async fn apply(guest: &mut Session, value: i64) {
    let applied = guest.call("apply", &[Val::I64(value)]).await;
    assert_eq!(applied, Some(vec![]));
}

async fn n_starts(guest: &mut Session) -> Option<Vec<Val>> {
    guest.call("n_starts", &[]).await
}

fn emitted(guest: &Session) -> Vec<&str> {
    let lines = guest.since(0).iter();
    lines
        .filter_map(|line| line.strip_prefix("emit "))
        .collect()
}

async fn a_command_is_started_before_its_first_call(runtime: &dyn Runtime) -> Trace {
    let mut guest = command(runtime, &[]).await;
    assert_eq!(guest.call("watch", &[]).await, Some(vec![Val::I32(0)]));
    apply(&mut guest, 7).await;
    assert_eq!(guest.drive().await, Ok(1));
    let received = guest.call("received", &[]).await;
    assert_eq!(received, Some(vec![Val::I64(7)]));
    assert_eq!(n_starts(&mut guest).await, Some(vec![Val::I32(1)]));
    guest.trace()
}

async fn a_command_that_has_run_is_used_on(runtime: &dyn Runtime) -> Trace {
    for args in [&[][..], &["exit", "0"]] {
        let mut guest = command(runtime, args).await;
        assert_eq!(guest.guest.run().await.expect("it ends").code(), 0);
        let error = guest.guest.run().await.expect_err("it has run");
        assert_eq!(kind(&error), "AlreadyStarted");
        apply(&mut guest, 2).await;
        assert_eq!(n_starts(&mut guest).await, Some(vec![Val::I32(1)]));
    }
    let mut guest = command(runtime, &["exit", "0"]).await;
    apply(&mut guest, 3).await;
    guest.trace()
}

async fn a_command_emits_while_it_starts(runtime: &dyn Runtime) -> Trace {
    let mut guest = command(runtime, &["emit"]).await;
    apply(&mut guest, 2).await;
    assert_eq!(emitted(&guest), [r#"1 1 ["k"]"#, r#"2 2 ["k"]"#]);
    guest.trace()
}

async fn a_command_that_exits_with_another_code_is_gone(runtime: &dyn Runtime) -> Trace {
    let mut guest = command(runtime, &["exit", "3"]).await;
    assert_eq!(guest.guest.run().await.expect("it exits").code(), 3);
    let applied = guest.call("apply", &[Val::I64(2)]).await;
    assert_eq!(applied, None);
    assert_eq!(guest.since(0), ["apply[I64(2)]: gone"]);
    let mut guest = command(runtime, &["exit", "3"]).await;
    assert_eq!(n_starts(&mut guest).await, None);
    assert!(emitted(&guest).is_empty());
    vec!["gone".to_owned()]
}

async fn an_emit_before_the_page_is_set_up_traps(runtime: &dyn Runtime) -> Trace {
    let guest = command(runtime, &["early"]).await;
    let error = guest.guest.run().await.expect_err("there is no page yet");
    let error = kind(&error);
    assert!(error.starts_with("abi PageNotSet"), "{error}");
    assert!(emitted(&guest).is_empty());
    vec![error]
}

/// Callbacks have an instance of their own there.
async fn every_instance_of_a_pool_is_started_once(runtime: &dyn Runtime) -> Trace {
    let mut guest = command_with(runtime, &["emit"], |builder| builder.pool(1, 1)).await;
    assert_eq!(guest.call("watch", &[]).await, Some(vec![Val::I32(0)]));
    for value in 2..5 {
        apply(&mut guest, value).await;
        guest.drive().await.expect("an instance");
    }
    assert_eq!(n_starts(&mut guest).await, Some(vec![Val::I32(1)]));
    let starts = emitted(&guest)
        .iter()
        .filter(|emit| emit.ends_with(r#" 1 ["k"]"#))
        .count();
    assert_eq!(starts, 2, "that of calls, and that of callbacks");
    guest.trace()
}
