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
