//! Calls with typed arguments, and calls that fail.

use crate::page::Page;

#[tokio::test]
async fn arguments_are_checked_before_the_call() {
    let mut page = Page::open().await;
    let wrong = [
        (["seven", "150"], 0, "“seven” is not an integer"),
        (["", "150"], 0, "Enter an i64."),
        (["18446744073709551616", "150"], 0, "does not fit an i64"),
        (["7", "1.5"], 1, "“1.5” is not an integer"),
        (["7", "-2147483649"], 1, "does not fit an i32"),
    ];
    for (args, i, error) in wrong {
        page.call("emit", &args).await;
        page.wait_for_text(&format!("#argument-{i}-error"), error)
            .await;
        let focus = page.evaluate("document.activeElement.id").await;
        assert_eq!(focus, format!("argument-{i}"));
        let invalid =
            format!("document.getElementById('argument-{i}').getAttribute('aria-invalid')");
        assert_eq!(page.evaluate(&invalid).await, "true");
    }
    // Nothing was called, and the guest is as it was.
    page.call_for("n_received", &[], "= 2").await;
    page.call_for("emit", &["0xffffffffffffffff", "150"], "= 0")
        .await;
    page.wait_for_log("18446744073709551615: test-150", 1).await;
}

#[tokio::test]
async fn arguments_and_results_have_every_type() {
    let mut page = Page::open().await;
    // (module (func (export "echo") (param i32 i64 f32 f64) (result i32 i64 f32 f64)
    //   local.get 0 local.get 1 local.get 2 local.get 3))
    let bytes = "Promise.resolve(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 12, 1, 96, \
                 4, 127, 126, 125, 124, 4, 127, 126, 125, 124, 3, 2, 1, 0, 7, 8, 1, 4, 101, 99, 104, 111, 0, 0, \
                 10, 12, 1, 10, 0, 32, 0, 32, 1, 32, 2, 32, 3, 11]))";
    page.drop_file("echo.wasm", bytes).await;
    page.wait_for_log("echo.wasm, ", 1).await;
    let result = "= -1, 9223372036854775807, 1.5, -2000";
    page.call_for(
        "echo",
        &["4294967295", "0x7fffffffffffffff", "1.5", "-2e3"],
        result,
    )
    .await;
    page.call_for("echo", &["0", "-1", "inf", "nan"], "= 0, -1, Infinity, NaN")
        .await;
    page.call("echo", &["0", "0", "1e39", "0"]).await;
    page.wait_for_text("#argument-2-error", "does not fit an f32")
        .await;
    page.call("echo", &["0", "0", "0", "one"]).await;
    page.wait_for_text("#argument-3-error", "“one” is not a number")
        .await;
}

#[tokio::test]
async fn a_trap_is_said_and_the_next_call_has_a_new_instance() {
    let mut page = Page::open().await;
    // The handler traps, on purpose.
    page.call_for("set_mode", &["6", "0"], "returned").await;
    page.call_for("emit", &["9", "150"], "= 0").await;
    page.wait_for_log("trapped: ", 1).await;
    page.call_for("n_received", &[], "= 0").await;
    page.wait_for_log("a new instance was made", 1).await;
    // What was there before the trap is still shown.
    page.wait_for_log("7: test-150 → prefix test-", 1).await;
}

#[tokio::test]
async fn a_guest_that_loops_runs_out_of_fuel_and_the_page_lives() {
    let mut page = Page::open().await;
    page.set("fuel", "20000000").await;
    page.click("button[form=limits]").await;
    page.wait_for_log("restarted", 1).await;
    page.call_for("follow", &["1"], "= 0").await;
    // The handler loops.
    page.call_for("set_mode", &["7", "0"], "returned").await;
    page.call_for("emit", &["9", "150"], "= 0").await;
    page.wait_for_log("out of fuel", 1).await;
    page.call_for("n_received", &[], "= 0").await;
}

#[tokio::test]
async fn a_call_ends_after_its_time() {
    let mut page = Page::open().await;
    page.set("fuel", "1000000000000").await;
    page.set("seconds", "0.2").await;
    page.click("button[form=limits]").await;
    page.wait_for_log("restarted", 1).await;
    page.call_for("follow", &["1"], "= 0").await;
    page.call_for("set_mode", &["7", "0"], "returned").await;
    page.call_for("emit", &["9", "150"], "= 0").await;
    page.wait_for_log("wall_time", 1).await;
}

#[tokio::test]
async fn stop_ends_a_guest_and_the_watches_stay() {
    let mut page = Page::open().await;
    page.choose("greet").await;
    // It waits for input.
    page.call("_start", &[]).await;
    page.wait_for_text("#status", "Running _start").await;
    page.click("#stop").await;
    page.wait_for_text("#call-error", "was stopped").await;
    page.wait_for_log("greet.wasm, ", 2).await;
    page.emit(40, &["test-150"]).await;
    page.wait_for_log("40: test-150 → prefix test-", 1).await;
    page.wait_for_log("1 emit, 40 → test-100 to test-300", 1)
        .await;
}

#[tokio::test]
async fn the_bus_goes_on_while_a_guest_loops_and_the_loop_can_be_stopped() {
    let mut page = Page::open().await;
    page.set("fuel", "1000000000000000000").await;
    page.click("button[form=limits]").await;
    page.wait_for_log("restarted", 1).await;
    page.call_for("follow", &["1"], "= 0").await;
    // The handler loops.
    page.call_for("set_mode", &["7", "0"], "returned").await;
    page.call_for("emit", &["9", "150"], "= 0").await;
    page.emit(10, &["test-150"]).await;
    page.wait_for_log("10: test-150 → prefix test-", 1).await;
    // A call waits for the end of the callback.
    page.call("n_received", &[]).await;
    page.wait_for_text("#status", "Running n_received").await;
    page.click("#stop").await;
    page.wait_for_text("#call-error", "n_received was stopped")
        .await;
    page.wait_for_log("watcher.wasm, ", 2).await;
    page.call_for("n_received", &[], "= 0").await;
}
