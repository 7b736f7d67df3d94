//! Standard input and output of a guest.

use crate::page::Page;

#[tokio::test]
async fn a_command_is_fed_while_it_runs() {
    let mut page = Page::open().await;
    page.choose("greet").await;
    page.call("_start", &[]).await;
    page.wait_for_text("#status", "Running _start").await;
    page.set("stdin", "alice").await;
    page.click("#input button").await;
    page.wait_for_text("#output", "hello alice").await;
    assert_eq!(page.text("#result").await, "");
    page.set("stdin", "bob").await;
    page.click("#input button").await;
    page.wait_for_text("#output", "hello bob").await;
    page.click("#end").await;
    page.wait_for_text("#result", "returned").await;

    // A new instance has a new input.
    page.call("_start", &[]).await;
    page.wait_for_log("a new instance was made", 1).await;
    page.set("stdin", "carol").await;
    page.click("#input button").await;
    page.wait_for_text("#output", "hello carol").await;
    page.click("#end").await;
    page.wait_for_log("_start returned", 2).await;
}

#[tokio::test]
async fn input_after_its_end_is_refused() {
    let mut page = Page::open().await;
    page.click("#end").await;
    page.click("#input button").await;
    page.wait_for_text("#input-error", "the input has ended")
        .await;
    page.click("button[form=limits]").await;
    page.wait_for("document.getElementById('input-error').hidden")
        .await;
    page.click("#input button").await;
    page.wait_for_text("#output", "> ").await;
    assert_eq!(page.text("#input-error").await, "");
}

#[tokio::test]
async fn old_output_leaves_the_page() {
    let mut page = Page::open().await;
    page.choose("greet").await;
    page.call("_start", &[]).await;
    let line =
        "document.getElementById('stdin').value = `${'x'.repeat(999)}\\n`.repeat(200) + 'last'";
    page.evaluate(line).await;
    page.click("#input button").await;
    page.click("#end").await;
    page.wait_for_text("#output", "hello last").await;
    let n = page
        .evaluate("document.getElementById('output').textContent.length")
        .await;
    assert!(n.as_u64().unwrap() <= 100_000, "{n}");
}

/// ```wat
/// (module
///   (import "wasi_snapshot_preview1" "fd_write"
///     (func $write (param i32 i32 i32 i32) (result i32)))
///   (memory (export "memory") 1)
///   (data (i32.const 0) "\10\00\00\00\02\00\00\00")
///   (data (i32.const 16) "a\n")
///   (func (export "shout")
///     (loop $again
///       (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
///       (br $again))))
/// ```
const SHOUT: &str = "AGFzbQEAAAABDAJgBH9/f38Bf2AAAAIjARZ3YXNpX3NuYXBzaG90X3ByZXZpZXcxCGZkX3dyaXRlAAADAgEBBQMBAAEHEgIGbWVtb3J5AgAFc2hvdXQAAQoUARIAA0BBAUEAQQFBCBAAGgwACwsLFQIAQQALCBAAAAACAAAAAEEQCwJhCg==";

#[tokio::test]
async fn a_guest_that_prints_waits_for_the_page() {
    let mut page = Page::open().await;
    let bytes = format!("Uint8Array.from(atob('{SHOUT}'), (char) => char.charCodeAt(0))");
    page.drop_file("shout.wasm", &bytes).await;
    page.wait_for_log("shout.wasm, ", 1).await;
    page.call("shout", &[]).await;
    page.wait_for("document.getElementById('output').textContent.length > 90_000")
        .await;
    // The bus and the page go on.
    for value in 40..50 {
        page.emit(value, &["test-150"]).await;
        page.wait_for_log(&format!("{value}: test-150 → prefix test-"), 1)
            .await;
    }
    page.click("#stop").await;
    page.wait_for_log("shout was stopped", 1).await;
    page.wait_for_text("#status", "Ready").await;
}

#[tokio::test]
async fn input_that_nobody_reads_ends_with_its_guest() {
    let mut page = Page::open().await;
    let text = "document.getElementById('stdin').value = 'x'.repeat(1_500_000)";
    page.evaluate(text).await;
    page.click("#input button").await;
    page.choose("emitter").await;
    page.wait_for_text(
        "#input-error",
        "another guest replaced the one of this input",
    )
    .await;
    // The watch of the guest that was replaced is gone with it.
    page.emit(40, &["test-150"]).await;
    page.wait_for_log("40: test-150 → prefix test-", 1).await;
    page.emit(41, &["test-150"]).await;
    page.wait_for_log("41: test-150 → prefix test-", 1).await;
    let log = page.log().await;
    let emitted = log.iter().position(|(_, text)| text.starts_with("40: "));
    let later = &log[emitted.unwrap()..];
    assert!(
        !later.iter().any(|(kind, _)| kind == "callback"),
        "{later:?}"
    );
}
