//! The page on a phone and on a desk, light and dark.

use crate::page::{DESK, PHONE, Page};

/// The least contrast of a text with its background. Source: WCAG 2.2, success criterion 1.4.3.
const MIN_CONTRAST: f64 = 4.5;

/// The texts with less contrast than that, with their contrast.
const LOW: &str = r#"(() => {
  const rgba = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const { rgb, a } = rgba(getComputedStyle(node).backgroundColor);
      if (a === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const hasText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
  return [...document.querySelectorAll("body *")]
    .filter((node) => hasText(node) && node.checkVisibility() && !node.disabled && !node.closest("script, noscript"))
    .map((node) => {
      const style = getComputedStyle(node);
      const color = node.namespaceURI.endsWith("svg") ? style.fill : style.color;
      // A count stands on its mark.
      const mark = node.matches(".count") && node.parentElement.querySelector("rect, path");
      const back = mark ? rgba(getComputedStyle(mark).fill).rgb : ground(node.closest("svg")?.parentElement ?? node);
      return [contrast(rgba(color).rgb, back), node.textContent.trim().slice(0, 40)];
    })
    .filter(([contrast]) => contrast < MIN);
})()"#;

async fn looks_right(page: &mut Page, width: u32, name: &str) {
    let overflow = page.evaluate("document.documentElement.scrollWidth").await;
    assert!(
        overflow.as_u64().unwrap() <= u64::from(width),
        "{name}: {overflow}"
    );
    let low = page
        .evaluate(&LOW.replace("MIN", &MIN_CONTRAST.to_string()))
        .await;
    assert_eq!(low, serde_json::json!([]), "{name}");
    page.screenshot(name).await;
}

/// Some of everything: errors, output, a gap, a long key.
async fn fill(page: &mut Page) {
    page.call("emit", &["seven", "150"]).await;
    page.drop_file("notes.txt", "Promise.resolve('no module')")
        .await;
    page.wait_for_text("#guest-error", "notes.txt: ").await;
    page.click("#watches li:nth-child(1) button").await;
    for value in 60..67 {
        page.emit(value, &["test-200"]).await;
    }
    page.click("#watches li:nth-child(1) button").await;
    page.wait_for_log("3 emits, 64 to 66 → prefix test-", 1)
        .await;
    page.emit(67, &[&"long".repeat(100)]).await;
    page.watch("key", &"long".repeat(100), "", "coalesce", "4")
        .await;
    page.set("stdin", "alice").await;
    page.click("#input button").await;
    page.click("#end").await;
    page.click("#input button").await;
    page.wait_for_text("#input-error", "the input has ended")
        .await;
    page.wait_for("document.querySelectorAll('#timeline .mark-gap').length == 1")
        .await;
}

async fn looks_right_in(width: u32, scheme: &str) {
    let mut page = Page::open_as(width, scheme).await;
    let device = if width == PHONE { "phone" } else { "desk" };
    looks_right(&mut page, width, &format!("{device}-{scheme}")).await;
    fill(&mut page).await;
    looks_right(&mut page, width, &format!("{device}-{scheme}-full")).await;
}

#[tokio::test]
async fn on_a_phone_in_the_light() {
    looks_right_in(PHONE, "light").await;
}

#[tokio::test]
async fn on_a_phone_in_the_dark() {
    looks_right_in(PHONE, "dark").await;
}

#[tokio::test]
async fn on_a_desk_in_the_light() {
    looks_right_in(DESK, "light").await;
}

#[tokio::test]
async fn on_a_desk_in_the_dark() {
    looks_right_in(DESK, "dark").await;
}

#[tokio::test]
async fn every_control_has_a_name_and_news_are_announced() {
    let mut page = Page::open().await;
    let nameless = page
        .evaluate(
            "[...document.querySelectorAll('input, select, textarea, button')].filter((node) =>
               !node.labels?.length && !node.ariaLabel && !node.textContent.trim()).map((node) => node.outerHTML)",
        )
        .await;
    assert_eq!(nameless, serde_json::json!([]));
    for (selector, role) in [
        ("#status", "status"),
        ("#log", "log"),
        ("#output", "log"),
        ("#call-error", "alert"),
    ] {
        let shown = page
            .evaluate(&format!(
                "document.querySelector('{selector}').getAttribute('role')"
            ))
            .await;
        assert_eq!(shown, role, "{selector}");
    }
}
