//! A tab of a browser, by its DevTools protocol: JSON messages that end with a zero byte.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

use crate::browser::Browser;

pub(crate) struct Tab {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    n_calls: u64,
    session: Option<String>,
    _browser: Browser,
}

impl Tab {
    /// Opens a page on a screen of that width.
    pub(crate) async fn open(url: &str, width: u32) -> Self {
        let mut browser = Browser::open("about:blank");
        let process = &mut browser.process;
        let mut tab = Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()),
            n_calls: 0,
            session: None,
            _browser: browser,
        };
        let target = json!({ "url": "about:blank" });
        let target = tab.call("Target.createTarget", target).await;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = tab.call("Target.attachToTarget", target).await;
        tab.session = session["sessionId"].as_str().map(str::to_owned);
        let screen =
            json!({ "width": width, "height": 740, "deviceScaleFactor": 1, "mobile": true });
        tab.call("Emulation.setDeviceMetricsOverride", screen).await;
        tab.call("Page.navigate", json!({ "url": url })).await;
        tab
    }

    /// The value of an expression of JavaScript in the page.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Value {
        let evaluate = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true
        });
        let evaluated = self.call("Runtime.evaluate", evaluate).await;
        assert_eq!(evaluated["exceptionDetails"], Value::Null, "{expression}");
        evaluated["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) async fn wait_for(&mut self, condition: &str) {
        let wait = format!(
            "new Promise((resolve) => {{
                const check = () => ({condition}) ? resolve() : setTimeout(check, 20);
                check();
            }})"
        );
        self.evaluate(&wait).await;
    }

    /// The result of a method of the protocol.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.n_calls += 1;
        let mut call = json!({ "id": self.n_calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        let message = format!("{call}\0");
        self.input.write_all(message.as_bytes()).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(60), self.answer());
        let mut answer = answer
            .await
            .unwrap_or_else(|_| panic!("no answer to {call}"));
        assert_eq!(answer["error"], Value::Null, "{call}");
        answer["result"].take()
    }

    /// The answer to the last call. Events that come before it are skipped.
    async fn answer(&mut self) -> Value {
        loop {
            let mut message = Vec::new();
            let n_bytes = self.output.read_until(0, &mut message).await.unwrap();
            assert!(n_bytes > 0, "the browser has ended");
            message.pop();
            let message: Value = serde_json::from_slice(&message).unwrap();
            if message["id"] == self.n_calls {
                return message;
            }
        }
    }
}
