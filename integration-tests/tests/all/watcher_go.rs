//! What differs where the guest `watcher` is in Go; the scenarios of `watcher` run with it, too.

use integration_tests::{Session, Trace, guests, on_each_backend};
use rangewatch::{Runtime, SharedBuffer, Val, Wasi};

on_each_backend! {
    a_panic_is_reported_with_its_text_and_its_stack_is_on_stderr,
}

const PANIC: i32 = 10;

async fn a_panic_is_reported_with_its_text_and_its_stack_is_on_stderr(
    runtime: &dyn Runtime,
) -> Trace {
    let stderr = SharedBuffer::new();
    let wasi = Wasi::builder()
        .stderr(stderr.clone())
        .build()
        .expect("valid");
    let mut guest = Session::with(runtime, guests::WATCHER_GO, |builder| builder.wasi(wasi)).await;
    guest.code("follow", 1).await;
    guest
        .call("set_mode", &[Val::I32(PANIC), Val::I32(0)])
        .await;
    guest.emit(1, "test-100");
    let before = guest.len();
    assert_eq!(guest.drive().await, Err("gone".to_owned()));
    assert_eq!(
        guest.since(before + 1),
        ["recv w1=1: trap Unreachable in __range_watch_recv: panic: the watcher panics on purpose"]
    );
    let stderr = stderr.to_string_lossy();
    assert!(
        stderr.starts_with("panic: the watcher panics on purpose") && stderr.contains("goroutine "),
        "{stderr}"
    );
    guest.trace()
}
