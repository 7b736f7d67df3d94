//! The guests that come with the page, and files.

use crate::page::Page;

#[tokio::test]
async fn each_shipped_guest_runs() {
    let mut page = Page::open().await;
    for guest in ["watcher_c", "watcher_go", "watcher"] {
        page.choose(guest).await;
        page.click("#clear").await;
        page.call_for("follow", &["1"], "= 0").await;
        page.call_for("emit", &["7", "150"], "= 0").await;
        page.wait_for_log("callback for the guest’s watch w1", 1)
            .await;
        page.call_for("n_received", &[], "= 1").await;
        page.call_for("last_value", &[], "= 7").await;
    }

    page.choose("notices").await;
    page.click("#clear").await;
    page.watch("prefix", "k", "", "coalesce", "16").await;
    page.call_for("follow", &["1"], "= 0").await;
    page.call_for("queue", &["8", "1"], "= 0").await;
    page.call_for("flush", &[], "= 0").await;
    page.wait_for("[...document.querySelectorAll('#log .event')].length == 1")
        .await;
    page.wait_for_log("callback with a batch of notices", 1)
        .await;
    page.call_for("n_received", &[], "= 1").await;

    page.choose("emitter").await;
    page.call_for("apply", &["9"], "returned").await;
    page.wait_for_log("9: test-100, test-200 → prefix test-", 1)
        .await;

    page.choose("greet").await;
    page.call("_start", &[]).await;
    page.click("#end").await;
    page.wait_for_text("#output", "exited with code 0").await;

    page.choose("quickstart").await;
    page.watch("prefix", "bus/", "", "coalesce", "16").await;
    page.click("#input button").await;
    page.click("#end").await;
    page.call_for("run", &[], "= 3").await;
    page.wait_for_text("#output", "guest: commit 1 touched bus/")
        .await;
    page.wait_for_text("#output", "guest: commit 3 touched bus/")
        .await;
    page.wait_for_log("3: bus/tests/all.rs → prefix bus/", 1)
        .await;
}

#[tokio::test]
async fn a_dropped_file_is_a_guest() {
    let mut page = Page::open().await;
    let bytes = "fetch('guests/emitter.wasm').then((response) => response.blob())";
    page.drop_file("mine.wasm", bytes).await;
    page.wait_for_log("mine.wasm, ", 1).await;
    assert_eq!(
        page.evaluate("document.getElementById('guest').value")
            .await,
        "dropped"
    );
    page.call_for("apply", &["12"], "returned").await;
    page.wait_for_log("12: test-100, test-200 → prefix test-", 1)
        .await;
}

#[tokio::test]
async fn a_file_that_is_no_guest_is_refused_and_the_guest_stays() {
    let mut page = Page::open().await;
    page.call_for("n_received", &[], "= 2").await;
    page.drop_file("notes.txt", "Promise.resolve('no module')")
        .await;
    page.wait_for_text("#guest-error", "notes.txt: ").await;
    let error = page.text("#guest-error").await;
    assert!(error.contains("not"), "{error}");

    // A module that needs a function of another host.
    let bytes = "Promise.resolve(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, \
                 2, 7, 1, 1, 97, 1, 98, 0, 0]))";
    page.drop_file("other.wasm", bytes).await;
    page.wait_for_text("#guest-error", "a.b").await;

    // Cut off within its code.
    let bytes = "fetch('guests/emitter.wasm').then(async (response) => (await response.blob()).slice(0, 9000))";
    page.drop_file("cut.wasm", bytes).await;
    page.wait_for_text("#guest-error", "cut.wasm: ").await;

    assert_eq!(
        page.evaluate("document.getElementById('guest').value")
            .await,
        "watcher"
    );
    page.call_for("n_received", &[], "= 2").await;
}

#[tokio::test]
async fn a_call_ends_when_another_guest_is_chosen() {
    let mut page = Page::open().await;
    page.choose("greet").await;
    // It waits for input.
    page.call("_start", &[]).await;
    page.wait_for_text("#status", "Running _start").await;
    page.choose("emitter").await;
    page.wait_for_log("`_start` was ended", 1).await;
    page.call_for("apply", &["9"], "returned").await;
}

#[tokio::test]
async fn the_last_choice_counts_however_long_the_others_take() {
    let mut page = Page::open().await;
    page.set("guest", "watcher_go").await;
    page.choose("emitter").await;
    page.call_for("emit_key", &["31", "177"], "returned").await;
    page.reload().await;
    page.call_for("emit_key", &["32", "177"], "returned").await;
    let log = page.log().await;
    assert!(
        !log.iter().any(|(_, text)| text.starts_with("watcher_go")),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_stop_while_the_guest_loads_loads_it_again() {
    let mut page = Page::open().await;
    page.watch("prefix", "x", "", "disconnect", "1").await;
    let row = "#watches li:nth-child(3)";
    page.click(&format!("{row} button")).await;
    page.emit(30, &["x1"]).await;
    page.emit(31, &["x2"]).await;
    page.click(&format!("{row} button")).await;
    page.wait_for_text(row, "ended: ").await;
    page.set("guest", "emitter").await;
    page.wait_for_log("emitter.wasm, ", 1).await;
    for _ in 0..3 {
        page.click("#stop").await;
    }
    page.wait_for_log("emitter.wasm, ", 2).await;
    page.wait_for_text("#status", "Ready").await;
    page.call_for("emit_key", &["32", "177"], "returned").await;
    // The watches run again, and say so.
    let rows = page.text("#watches").await;
    assert!(!rows.contains("ended"), "{rows}");
}
