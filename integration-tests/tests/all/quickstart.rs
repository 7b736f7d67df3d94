//! The guest of the quickstart, which uses WASI and watches.

use integration_tests::{Session, Trace, guests, on_each_backend};
use rangewatch::{Runtime, SharedBuffer, Val, Wasi};

on_each_backend! {
    a_log_is_emitted_and_followed,
    a_malformed_log_is_reported_on_stderr,
}

async fn quickstart(
    runtime: &dyn Runtime,
    log: &'static str,
) -> (Session, SharedBuffer, SharedBuffer) {
    let (out, err) = (SharedBuffer::new(), SharedBuffer::new());
    let wasi = Wasi::builder()
        .args(["quickstart", "bus/"])
        .stdin(log)
        .stdout(out.clone())
        .stderr(err.clone())
        .build()
        .expect("valid");
    let guest = Session::with(runtime, guests::QUICKSTART, |builder| builder.wasi(wasi)).await;
    (guest, out, err)
}

async fn a_log_is_emitted_and_followed(runtime: &dyn Runtime) -> Trace {
    let log = "commit 1 abcd first\nREADME.md\n\ncommit 2 abcde second\nbus/a\nbus/b\n\
               commit 5 abcdef third\nsdk/c\ncommit 6 0123 fourth\nbus/d\n";
    let (mut guest, out, _) = quickstart(runtime, log).await;
    assert_eq!(guest.call("run", &[]).await, Some(vec![Val::I32(4)]));
    assert_eq!(guest.drive().await, Ok(1), "one burst, one recv");
    assert_eq!(
        out.to_string_lossy(),
        "guest: commit 2 touched bus/\nguest: commit 6 touched bus/\n"
    );
    assert_eq!(guest.since(1)[1], "emit 2 2 [\"bus/a\", \"bus/b\"]");
    guest.trace()
}

async fn a_malformed_log_is_reported_on_stderr(runtime: &dyn Runtime) -> Trace {
    let (mut guest, _, err) = quickstart(runtime, "no header\n").await;
    assert_eq!(guest.call("run", &[]).await, Some(vec![Val::I32(-1)]));
    assert!(err.to_string_lossy().contains("line 1: expected `commit"));
    guest.trace()
}
