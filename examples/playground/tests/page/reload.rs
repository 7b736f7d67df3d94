//! What survives a reload.

use crate::page::Page;

#[tokio::test]
async fn guest_watches_and_inputs_survive_a_reload() {
    let mut page = Page::open().await;
    page.choose("emitter").await;
    page.call_for("emit_key", &["31", "177"], "returned").await;
    page.watch("range", "x", "z", "lagged", "3").await;
    page.click("#watches li:nth-child(1) button").await;
    page.set("stdin", "some input").await;
    page.set("keys", "y\nz").await;
    page.set("fuel", "12345678").await;
    page.reload().await;

    let fields = "['guest', 'export', 'argument-0', 'argument-1', 'stdin', 'keys', 'fuel', 'kind'].map(\
                  (id) => document.getElementById(id).value)";
    let kept = serde_json::json!([
        "emitter",
        "emit_key",
        "31",
        "177",
        "some input",
        "y\nz",
        "12345678",
        "range"
    ]);
    assert_eq!(page.evaluate(fields).await, kept);
    assert_eq!(page.n("#watches li").await, 3);
    page.emit(32, &["test-150", "y", "z"]).await;
    page.wait_for_log("32: y → x to z", 1).await;
    // The first watch is paused still.
    let log = page.log().await;
    assert!(
        !log.iter()
            .any(|(kind, text)| kind == "event" && text.contains("test-150")),
        "{log:?}"
    );
    page.click("#watches li:nth-child(1) button").await;
    page.wait_for_log("32: test-150 → prefix test-", 1).await;
    // The demonstration is for the first visit.
    assert!(
        !log.iter().any(|(_, text)| text.contains("follow")),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_dropped_file_survives_a_reload() {
    let mut page = Page::open().await;
    let bytes = "fetch('guests/emitter.wasm').then((response) => response.blob())";
    page.drop_file("mine.wasm", bytes).await;
    page.wait_for_log("mine.wasm, ", 1).await;
    page.reload().await;
    page.wait_for_log("mine.wasm, ", 1).await;
    assert_eq!(
        page.evaluate("document.getElementById('guest').value")
            .await,
        "dropped"
    );
    page.call_for("apply", &["12"], "returned").await;

    // It can be chosen again after another guest, also after a reload.
    page.choose("watcher").await;
    page.reload().await;
    page.set("guest", "dropped").await;
    page.wait_for_log("mine.wasm, ", 1).await;
}

#[tokio::test]
async fn a_stored_state_that_is_none_is_forgotten() {
    let mut page = Page::open().await;
    let broken = [
        "{",
        "5",
        "null",
        "{}",
        r#"{"watches": "none"}"#,
        r#"{...state, watches: [null]}"#,
        r#"{...state, calls: {watcher: 3}}"#,
    ];
    for stored in broken {
        let store = format!(
            "{{ const key = 'rangewatch-playground'; let state = JSON.parse(localStorage.getItem(key));
               let stored = {stored:?};
               if (stored.includes('state')) stored = JSON.stringify(eval(`(${{stored}})`));
               localStorage.setItem(key, stored); }}"
        );
        page.evaluate(&store).await;
        page.reload().await;
        // The demonstration of a first visit.
        page.wait_for_log("follow", 1).await;
        page.wait_for_log("→ prefix test-", 2).await;
        assert_eq!(page.n("#watches li").await, 2, "{stored}");
    }
}

#[tokio::test]
async fn a_stored_watch_that_cannot_be_opened_is_said_to_have_ended() {
    let mut page = Page::open().await;
    page.evaluate(
        "{ const key = 'rangewatch-playground'; const state = JSON.parse(localStorage.getItem(key));
           state.watches[0].mode = 'shout'; state.guest = 'no-such-guest';
           localStorage.setItem(key, JSON.stringify(state)); }",
    )
    .await;
    page.reload().await;
    page.wait_for_text("#watches li", "ended: `shout` is no way to receive")
        .await;
    page.emit(32, &["test-150"]).await;
    page.wait_for_log("1 emit, 32 → test-100 to test-300", 1)
        .await;
}

#[tokio::test]
async fn what_another_version_has_stored_is_left_alone() {
    let mut page = Page::open().await;
    page.set("fuel", "12345678").await;
    page.evaluate(
        "{ const key = 'rangewatch-playground'; const state = JSON.parse(localStorage.getItem(key));
           state.fields.gone = '1'; state.form.gone = '1'; state.gone = '1';
           localStorage.setItem(key, JSON.stringify(state)); }",
    )
    .await;
    page.reload().await;
    let fuel = page.evaluate("document.getElementById('fuel').value").await;
    assert_eq!(fuel, "12345678");
}
