//! The playground in a tab, and what a visitor does with it.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use playground::Server;
use serde_json::{Value, json};

use crate::tab::Tab;

/// A width of a phone, and one of a desk.
pub(crate) const PHONE: u32 = 390;
pub(crate) const DESK: u32 = 1280;

pub(crate) struct Page {
    tab: Tab,
    width: u32,
}

/// The page as `cargo run` has built it, on a server.
fn url() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let out = playground::default_out();
        assert!(
            out.join("index.html").exists(),
            "`cargo run` builds the page before"
        );
        let server = Server::start(&out, "127.0.0.1:0").unwrap();
        format!("http://{}/", server.address())
    })
}

impl Page {
    /// The page of a first visitor, after its demonstration.
    pub(crate) async fn open() -> Self {
        Self::open_as(DESK, "light").await
    }

    pub(crate) async fn open_as(width: u32, scheme: &str) -> Self {
        let mut page = Self::open_at(url(), width, scheme).await;
        page.wait_for_log("emit = 0", 2).await;
        page
    }

    /// The page of another server, at once.
    pub(crate) async fn open_at(url: &str, width: u32, scheme: &str) -> Self {
        let mut page = Self {
            tab: Tab::open("about:blank", width).await,
            width,
        };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        page.tab.call("Emulation.setEmulatedMedia", media).await;
        if width == DESK {
            page.set_height(900).await;
        }
        page.tab.call("Page.navigate", json!({ "url": url })).await;
        page.wait_for("location.href != 'about:blank'").await;
        page
    }

    /// A reload, and the guest in its place again.
    pub(crate) async fn reload(&mut self) {
        self.evaluate("window.isOld = true").await;
        self.tab.call("Page.reload", json!({})).await;
        self.wait_for("window.isOld !== true").await;
        self.wait_for("document.getElementById('status')?.dataset.state === 'ready'")
            .await;
    }

    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        self.tab.evaluate(expression).await
    }

    pub(crate) async fn wait_for(&mut self, condition: &str) {
        self.tab.wait_for(condition).await;
    }

    /// The text of an element.
    pub(crate) async fn text(&mut self, selector: &str) -> String {
        let text = self
            .evaluate(&format!("document.querySelector({selector:?}).textContent"))
            .await;
        text.as_str().unwrap().to_owned()
    }

    /// Waits until an element has a text in it.
    pub(crate) async fn wait_for_text(&mut self, selector: &str, text: &str) {
        let condition =
            format!("document.querySelector({selector:?})?.textContent.includes({text:?})");
        self.wait_for(&condition).await;
    }

    /// Waits until that many entries of the log have a text in them.
    pub(crate) async fn wait_for_log(&mut self, text: &str, n: usize) {
        self.wait_for(&format!(
            "[...document.querySelectorAll('#log li')].filter((li) => \
             li.lastElementChild.textContent.includes({text:?})).length >= {n}"
        ))
        .await;
    }

    /// The entries of the log: kinds and texts.
    pub(crate) async fn log(&mut self) -> Vec<(String, String)> {
        let entries = "[...document.querySelectorAll('#log li')].map((li) => \
                       [li.children[1].textContent, li.children[2].textContent])";
        serde_json::from_value(self.evaluate(entries).await).unwrap()
    }

    /// Fills a field in, or chooses an option.
    pub(crate) async fn set(&mut self, id: &str, value: &str) {
        self.evaluate(&format!(
            "{{ const field = document.getElementById({id:?}); field.value = {value:?};
               field.dispatchEvent(new Event('input', {{ bubbles: true }}));
               field.dispatchEvent(new Event('change', {{ bubbles: true }})); }}"
        ))
        .await;
    }

    pub(crate) async fn click(&mut self, selector: &str) {
        self.evaluate(&format!("document.querySelector({selector:?}).click()"))
            .await;
    }

    /// Chooses a guest that comes with the page.
    pub(crate) async fn choose(&mut self, guest: &str) {
        self.set("guest", guest).await;
        self.wait_for_log(&format!("{guest}.wasm, "), 1).await;
    }

    /// Drops a file.
    pub(crate) async fn drop_file(&mut self, name: &str, bytes: &str) {
        self.evaluate(&format!(
            "(async () => {{
               const files = new DataTransfer();
               files.items.add(new File([await ({bytes})], {name:?}));
               const event = new DragEvent('drop', {{ dataTransfer: files, bubbles: true, cancelable: true }});
               document.getElementById('drop').dispatchEvent(event);
             }})()"
        ))
        .await;
    }

    /// Calls an export with arguments as a visitor types them.
    pub(crate) async fn call(&mut self, export: &str, args: &[&str]) {
        self.set("export", export).await;
        for (i, arg) in args.iter().enumerate() {
            self.set(&format!("argument-{i}"), arg).await;
        }
        self.click("#call-button").await;
    }

    /// Calls an export and waits for its result.
    pub(crate) async fn call_for(&mut self, export: &str, args: &[&str], result: &str) {
        self.evaluate("document.getElementById('result').textContent = ''")
            .await;
        self.call(export, args).await;
        self.wait_for_text("#result", result).await;
        self.wait_for("document.getElementById('call-button').ariaDisabled !== 'true'")
            .await;
    }

    /// Opens a watch.
    pub(crate) async fn watch(
        &mut self,
        kind: &str,
        from: &str,
        to: &str,
        mode: &str,
        capacity: &str,
    ) {
        let n = self.n("#watches li").await;
        for (id, value) in [
            ("kind", kind),
            ("from", from),
            ("to", to),
            ("mode", mode),
            ("capacity", capacity),
        ] {
            self.set(id, value).await;
        }
        self.click("#watch button").await;
        self.wait_for(&format!(
            "document.querySelectorAll('#watches li').length == {}",
            n + 1
        ))
        .await;
    }

    /// Emits from the host.
    pub(crate) async fn emit(&mut self, value: u64, keys: &[&str]) {
        self.set("value", &value.to_string()).await;
        self.set("keys", &keys.join("\n")).await;
        self.click("#emit button").await;
        self.wait_for(&format!(
            "document.getElementById('value').value == '{}'",
            value + 1
        ))
        .await;
    }

    /// How many elements there are.
    pub(crate) async fn n(&mut self, selector: &str) -> u64 {
        let n = self
            .evaluate(&format!("document.querySelectorAll({selector:?}).length"))
            .await;
        n.as_u64().unwrap()
    }

    /// Presses a key, such as `Tab`, `Enter` or `a`.
    pub(crate) async fn press(&mut self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            "Tab" | "Escape" | "Backspace" | "ArrowDown" => "",
            key => key,
        };
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Backspace" => 8,
            "ArrowDown" => 40,
            _ => 0,
        };
        let event = |kind: &str| json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.tab
            .call("Input.dispatchKeyEvent", event("keyDown"))
            .await;
        self.tab
            .call("Input.dispatchKeyEvent", event("keyUp"))
            .await;
    }

    pub(crate) async fn type_text(&mut self, text: &str) {
        for key in text.chars() {
            self.press(&key.to_string()).await;
        }
    }

    async fn set_height(&mut self, height: u64) {
        let screen = json!({
            "width": self.width, "height": height, "deviceScaleFactor": 1, "mobile": self.width == PHONE
        });
        self.tab
            .call("Emulation.setDeviceMetricsOverride", screen)
            .await;
    }

    /// A picture of the whole page, kept in `target/playground/screenshots`.
    pub(crate) async fn screenshot(&mut self, name: &str) {
        let height = self.evaluate("document.documentElement.scrollHeight").await;
        self.set_height(height.as_u64().unwrap()).await;
        // Two frames: the picture is drawn in one after the change of its width.
        self.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
        )
        .await;
        let picture = self
            .tab
            .call("Page.captureScreenshot", json!({ "format": "png" }))
            .await;
        let folder: PathBuf = playground::default_out().join("../screenshots");
        fs::create_dir_all(&folder).unwrap();
        let bytes = decode(picture["data"].as_str().unwrap());
        fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }
}

/// The bytes of base64.
fn decode(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut n_bits) = (0_u32, 0);
    for digit in text
        .bytes()
        .filter_map(|byte| alphabet.iter().position(|digit| *digit == byte))
    {
        bits = bits << 6 | digit as u32;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits) as u8);
        }
    }
    bytes
}
