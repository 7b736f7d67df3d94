//! Watches of the host.

use crate::page::Page;

#[tokio::test]
async fn each_selector_receives_its_keys() {
    let mut page = Page::open().await;
    page.watch("key", "b", "", "coalesce", "16").await;
    page.watch("prefix", "b", "", "coalesce", "16").await;
    page.watch("range", "a", "b", "coalesce", "16").await;
    page.watch("from", "b1", "", "coalesce", "16").await;
    page.watch("all", "", "", "coalesce", "16").await;
    page.emit(50, &["a1", "b", "b1", "c"]).await;
    for received in [
        "50: b → key b",
        "50: b, b1 → prefix b",
        "50: a1 → a to b",
        "50: b1, c → b1 and above",
        "50: a1, b, b1, c → all keys",
    ] {
        page.wait_for_log(received, 1).await;
    }
    // Those of the demonstration have nothing of it.
    let log = page.log().await;
    assert!(
        !log.iter()
            .any(|(_, text)| text.starts_with("50") && text.ends_with("test-")),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_watch_that_cannot_be_is_refused() {
    let mut page = Page::open().await;
    page.set("kind", "range").await;
    page.set("from", "b").await;
    page.set("to", "a").await;
    page.click("#watch button").await;
    page.wait_for("!document.getElementById('watch-error').hidden")
        .await;
    assert_eq!(page.n("#watches li").await, 2);
    page.set("capacity", "0").await;
    page.click("#watch button").await;
    page.wait_for_text("#watch-error", "1 to 65536").await;
}

#[tokio::test]
async fn a_paused_watch_has_a_gap_and_wake_ups_become_one_span() {
    let mut page = Page::open().await;
    // A guest that has no watches.
    page.choose("emitter").await;
    page.click("#clear").await;
    // Events, in a queue of 4, and spans.
    page.click("#watches li:nth-child(1) button").await;
    page.click("#watches li:nth-child(2) button").await;
    for value in 60..67 {
        page.emit(value, &["test-200"]).await;
    }
    let log = page.log().await;
    assert!(log.iter().all(|(kind, _)| kind == "emit"), "{log:?}");
    page.click("#watches li:nth-child(1) button").await;
    page.click("#watches li:nth-child(2) button").await;
    page.wait_for_log("3 emits, 64 to 66 → prefix test-", 1)
        .await;
    page.wait_for_log("7 emits, 60 to 66 → test-100 to test-300", 1)
        .await;
    let kinds: Vec<String> = page.log().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds[7..11], ["event", "event", "event", "event"]);
    assert!(
        kinds[11..].contains(&"gap".into()) && kinds[11..].contains(&"span".into()),
        "{kinds:?}"
    );

    page.wait_for("document.querySelectorAll('#timeline .mark-gap').length == 1")
        .await;
    assert_eq!(page.n("#timeline .mark-emit").await, 7);
    assert_eq!(page.n("#timeline .mark-event").await, 4);
    assert_eq!(page.n("#timeline .mark-span").await, 1);
    let shown = page
        .evaluate("document.querySelector('#timeline svg').getAttribute('aria-label')")
        .await;
    assert!(
        shown
            .as_str()
            .unwrap()
            .starts_with("7 emits, 4 events, 1 spans, 1 gaps"),
        "{shown}"
    );
    page.screenshot("gap").await;
}

#[tokio::test]
async fn a_full_queue_drops_the_oldest_or_ends_the_watch() {
    let mut page = Page::open().await;
    page.watch("key", "k", "", "lagged", "2").await;
    page.watch("key", "k", "", "disconnect", "2").await;
    page.click("#watches li:nth-child(3) button").await;
    page.click("#watches li:nth-child(4) button").await;
    for value in 70..75 {
        page.emit(value, &["k"]).await;
    }
    page.click("#watches li:nth-child(3) button").await;
    page.wait_for_log("3 events → key k", 1).await;
    page.wait_for_text("#watches li:nth-child(3)", "2 events · 3 lost")
        .await;
    page.click("#watches li:nth-child(4) button").await;
    page.wait_for_text("#watches li:nth-child(4)", "ended: ")
        .await;
}

#[tokio::test]
async fn a_closed_watch_receives_nothing() {
    let mut page = Page::open().await;
    page.click("#watches li:nth-child(1) button:nth-of-type(2)")
        .await;
    page.emit(80, &["test-150"]).await;
    page.wait_for_log("1 emit, 80 → test-100 to test-300", 1)
        .await;
    let log = page.log().await;
    assert!(
        !log.iter().any(|(_, text)| text.contains("80: test-150 →")),
        "{log:?}"
    );
}

#[tokio::test]
async fn an_emit_of_the_host_is_checked() {
    let mut page = Page::open().await;
    page.set("value", "-1").await;
    page.click("#emit button").await;
    page.wait_for_text("#emit-error", "does not fit an u64")
        .await;
    page.emit(90, &["test-150"]).await;
    page.wait_for_log("90: test-150 (by the host)", 1).await;
    assert!(page.text("#emit-error").await.is_empty());
}

#[tokio::test]
async fn two_watches_that_are_opened_at_once_are_two() {
    let mut page = Page::open().await;
    page.set("from", "x").await;
    page.click("#watch button").await;
    page.click("#watch button").await;
    page.wait_for("document.querySelectorAll('#watches li').length === 4")
        .await;
    page.emit(30, &["x1"]).await;
    page.wait_for_log("30: x1 → prefix x", 2).await;
    page.click("#watches li:nth-child(4) button:last-child")
        .await;
    page.reload().await;
    assert_eq!(page.n("#watches li").await, 3);
}
