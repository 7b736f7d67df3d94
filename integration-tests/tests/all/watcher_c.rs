//! What differs where the guest `watcher` is in C; the scenarios of `watcher` run with it, too.

use integration_tests::{Session, Trace, guests, on_each_backend};
use rangewatch::{Runtime, Val};

on_each_backend! {
    a_panic_is_reported_with_its_text,
    a_guest_without_libc_is_a_plain_module,
}

const PANIC: i32 = 10;

async fn a_panic_is_reported_with_its_text(runtime: &dyn Runtime) -> Trace {
    let mut guest = Session::new(runtime, guests::WATCHER_C).await;
    guest.code("follow", 1).await;
    guest
        .call("set_mode", &[Val::I32(PANIC), Val::I32(0)])
        .await;
    guest.emit(1, "test-100");
    let before = guest.len();
    assert_eq!(guest.drive().await, Err("gone".to_owned()));
    assert_eq!(
        guest.since(before + 1),
        ["recv w1=1: trap Unreachable in __range_watch_recv: the watcher panics on purpose"]
    );
    guest.trace()
}

async fn a_guest_without_libc_is_a_plain_module(runtime: &dyn Runtime) -> Trace {
    let module = runtime.load(guests::WATCHER_C).await.expect("it loads");
    let imports = module.info().imports();
    let imports: Vec<_> = imports.iter().map(|i| i.name.clone()).collect();
    let verbs = ["flush", "open", "reserve", "start", "stop"];
    let mut sorted = imports.clone();
    sorted.sort();
    assert_eq!(sorted, verbs.map(|verb| format!("__range_watch_{verb}")));
    imports
}
