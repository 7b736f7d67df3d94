//! The guest of the example `cluster`: an inventory with all its revisions, whose watch prints what
//! was emitted and applied, in either order. The tests of the example have the processes.

use integration_tests::{Session, Trace, guests, on_each_backend};
use rangewatch::{Runtime, SharedBuffer, Val, Wasi};

on_each_backend! {
    a_command_changes_keys_whose_values_are_kept_for_each_revision,
    a_command_that_is_refused_changes_nothing,
    what_another_replica_has_emitted_is_printed_when_it_is_applied,
    a_watch_that_is_opened_again_prints_nothing_twice_and_misses_nothing,
}

async fn cluster(runtime: &dyn Runtime) -> (Session, SharedBuffer) {
    let out = SharedBuffer::new();
    let wasi = Wasi::builder().stdout(out.clone()).build().expect("valid");
    let guest = Session::with(runtime, guests::CLUSTER, |builder| builder.wasi(wasi)).await;
    (guest, out)
}

async fn ask(guest: &Session, export: &str, input: &str) -> String {
    let answer = guest.guest.call_bytes(export, input).await;
    String::from_utf8(answer.expect("it returns")).expect("text")
}

async fn apply(guest: &Session, commands: &[&str]) {
    for command in commands {
        ask(guest, "apply", command).await;
    }
}

/// Opens the watch under a new owner, and starts it.
async fn watch(guest: &Session, printed: i64, head: i64) -> rangewatch::Owner {
    let owner = guest.guest.owner();
    let calls = [
        ("open", vec![]),
        ("start", vec![Val::I64(printed), Val::I64(head)]),
    ];
    for (export, args) in calls {
        let caller = guest.guest.caller().owner(&owner);
        caller.call(export, &args).await.expect("it returns");
    }
    owner
}

async fn a_command_changes_keys_whose_values_are_kept_for_each_revision(
    runtime: &dyn Runtime,
) -> Trace {
    let (mut guest, _) = cluster(runtime).await;
    for (revision, command) in [
        (1, "deliver 5 figs"),
        (2, "order 1 3 figs ann"),
        (3, "order 2 2 figs ann"),
        (4, "ship 1"),
        (5, "cancel 2"),
    ] {
        assert_eq!(ask(&guest, "apply", command).await, revision.to_string());
    }
    let mut values = Trace::new();
    for (revision, key, value) in [
        (1, "stock/figs", "5"),
        (1, "order/1", ""),
        (2, "order/1", "3 figs for ann"),
        (2, "stock/figs", "2"),
        (2, "customer/ann", "1 open order"),
        (3, "customer/ann", "2 open orders"),
        (3, "stock/figs", "0"),
        (4, "order/1", "3 figs for ann, shipped"),
        (4, "stock/figs", "0"),
        (5, "order/1", "3 figs for ann, shipped"),
        (5, "order/2", "2 figs for ann, canceled"),
        (5, "customer/ann", "0 open orders"),
        (9, "stock/figs", "2"),
    ] {
        let answer = ask(&guest, "at", &format!("{revision} {key}")).await;
        assert_eq!(answer, value, "{revision} {key}");
        values.push(answer);
    }
    assert_eq!(ask(&guest, "keys", "4 ").await, "customer/ann\norder/1\n");
    assert_eq!(ask(&guest, "keys", "4 order/").await, "order/1\n");
    for empty in ["0 ", "6 ", "1 order/"] {
        assert_eq!(ask(&guest, "keys", empty).await, "", "{empty}");
    }
    assert_eq!(ask(&guest, "list", "1 stock/").await, "figs 5");
    assert_eq!(
        ask(&guest, "list", "4 order/").await,
        "1 3 figs for ann, shipped, 2 2 figs for ann"
    );
    guest.drive().await.expect("it runs");
    assert_eq!(
        guest.since(1)[3],
        "emit 4 4 [\"customer/ann\", \"order/1\"]"
    );
    values.extend(guest.trace());
    values
}

async fn a_command_that_is_refused_changes_nothing(runtime: &dyn Runtime) -> Trace {
    let (mut guest, _) = cluster(runtime).await;
    apply(
        &guest,
        &["deliver 5 figs", "order 1 3 figs ann", "cancel 1"],
    )
    .await;
    for command in [
        "order 2 6 figs ann",
        "order 2 1 pears ann",
        "order 2 -1 figs ann",
        "ship 1",
        "cancel 1",
        "cancel 7",
        "deliver many figs",
        "steal 1 figs",
        "",
    ] {
        assert_eq!(ask(&guest, "apply", command).await, "3", "{command}");
    }
    guest.drive().await.expect("it runs");
    assert_eq!(guest.since(1).len(), 3, "{:?}", guest.since(1));
    guest.trace()
}

async fn what_another_replica_has_emitted_is_printed_when_it_is_applied(
    runtime: &dyn Runtime,
) -> Trace {
    let (mut guest, out) = cluster(runtime).await;
    let _owner = watch(&guest, 0, 0).await;
    guest.emit(2, "customer/ann");
    guest.emit(3, "customer/ann");
    guest.drive().await.expect("it runs");
    apply(&guest, &["deliver 5 figs"]).await;
    assert_eq!(out.to_string_lossy(), "");
    apply(&guest, &["order 1 3 figs ann"]).await;
    let first = "2 customer/ann: 1 open order\n";
    assert_eq!(out.to_string_lossy(), first);
    // Its own emit of the same revision is one that it has printed.
    guest.drive().await.expect("it runs");
    assert_eq!(out.to_string_lossy(), first);
    apply(&guest, &["ship 1"]).await;
    guest.drive().await.expect("it runs");
    assert_eq!(
        out.to_string_lossy(),
        format!("{first}3 customer/ann: 0 open orders\n")
    );
    guest.trace()
}

async fn a_watch_that_is_opened_again_prints_nothing_twice_and_misses_nothing(
    runtime: &dyn Runtime,
) -> Trace {
    let (mut guest, out) = cluster(runtime).await;
    let commands = ["deliver 9 figs", "order 1 3 figs ann", "order 2 3 figs bob"];
    apply(&guest, &commands).await;
    // 2 was printed before the process was started again, 3 was emitted before the watch.
    let owner = watch(&guest, 2, 3).await;
    assert_eq!(out.to_string_lossy(), "3 customer/bob: 1 open order\n");
    apply(&guest, &["ship 1"]).await;
    guest.drive().await.expect("it runs");
    owner.end();
    apply(&guest, &["ship 2"]).await;
    guest.drive().await.expect("it runs");
    let _owner = watch(&guest, 2, 5).await;
    apply(&guest, &["order 3 2 figs mia"]).await;
    guest.drive().await.expect("it runs");
    assert_eq!(
        out.to_string_lossy(),
        "3 customer/bob: 1 open order\n4 customer/ann: 0 open orders\n\
         5 customer/bob: 0 open orders\n6 customer/mia: 1 open order\n"
    );
    guest.trace()
}
