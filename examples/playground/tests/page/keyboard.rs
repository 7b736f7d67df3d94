//! The page without a mouse.

use crate::page::Page;

impl Page {
    /// Presses Tab until an element has the focus. Every element on the way shows it.
    async fn tab_to(&mut self, id: &str) {
        for _ in 0..60 {
            self.press("Tab").await;
            let focus = "(() => { const active = document.activeElement;
                const shown = active.type === 'file' ? active.parentElement : active;
                return [active.id, getComputedStyle(shown).outlineStyle, active.outerHTML.slice(0, 80)]; })()";
            let focus = self.evaluate(focus).await;
            if focus[0] == id {
                assert_eq!(focus[1], "solid", "{focus}");
                return;
            }
            assert!(
                focus[1] == "solid" || focus[2].as_str().unwrap().starts_with("<body"),
                "{focus}"
            );
        }
        panic!("Tab does not reach {id}");
    }

    /// Replaces the text of the field that has the focus.
    async fn retype(&mut self, text: &str) {
        // A field that Tab enters is selected.
        self.press("Backspace").await;
        self.type_text(text).await;
    }
}

#[tokio::test]
async fn everything_is_done_by_keyboard_alone() {
    let mut page = Page::open().await;
    page.evaluate("document.body.focus()").await;

    page.tab_to("guest").await;
    page.type_text("emitter").await;
    page.wait_for_log("emitter.wasm, ", 1).await;

    page.tab_to("export").await;
    page.type_text("emit_key").await;
    page.wait_for("document.getElementById('export').value === 'emit_key'")
        .await;
    page.tab_to("argument-0").await;
    page.retype("70").await;
    page.tab_to("argument-1").await;
    page.retype("123").await;
    page.press("Enter").await;
    page.wait_for_log("70: test-123 → prefix test-", 1).await;

    page.tab_to("value").await;
    page.retype("71").await;
    page.tab_to("keys").await;
    page.evaluate("document.activeElement.select()").await;
    page.retype("k1").await;
    page.press("Tab").await;
    page.press("Enter").await;
    page.wait_for_log("71: k1 (by the host)", 1).await;

    page.tab_to("kind").await;
    page.type_text("exactly").await;
    page.wait_for("document.getElementById('kind').value === 'key'")
        .await;
    page.tab_to("from").await;
    page.retype("k2").await;
    page.press("Enter").await;
    page.wait_for_text("#watches li:nth-child(3)", "key k2")
        .await;

    // What has a scroll bar can be scrolled by keys: it takes the focus.
    page.tab_to("log").await;
}
