//! The `EventSource` of a browser: a page reports what it receives, in order.

use axum::extract::State;
use axum::response::Html;
use axum::{Router, routing};
use rangewatch_bus::{History, RangeWatchBus};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::browser::Browser;
use crate::server::{Server, in_time};

const PAGE: &str = r#"<!doctype html><script>
const queue = [];
let isSending = false;
// One report at a time, and again if the server is not there.
async function report(...entry) {
  queue.push(JSON.stringify(entry));
  if (isSending) return;
  isSending = true;
  while (queue.length > 0) {
    try {
      await fetch("/report", { method: "POST", body: queue[0] });
      queue.shift();
    } catch {
      await new Promise((resume) => setTimeout(resume, 20));
    }
  }
  isSending = false;
}

const source = new EventSource("/watch?prefix=a");
for (const type of ["message", "progress", "compacted", "shutdown", "closed"]) {
  source.addEventListener(type, (event) => report(type, event.lastEventId, JSON.parse(event.data)));
}
source.addEventListener("closed", () => {
  source.close();
  const refused = new EventSource("/watch?since=1");
  refused.onerror = () => report("refused", "", refused.readyState);
});
</script>"#;

/// The page in a browser.
struct Page {
    reports: mpsc::UnboundedReceiver<String>,
    _browser: Browser,
}

impl Page {
    fn open(server: &Server, reports: mpsc::UnboundedReceiver<String>) -> Self {
        Self {
            reports,
            _browser: Browser::open(&format!("http://{}/", server.address)),
        }
    }

    async fn next(&mut self) -> Value {
        let report = in_time(self.reports.recv()).await.unwrap();
        serde_json::from_str(&report).unwrap()
    }

    /// The next report that is no progress mark: those depend on the time.
    async fn event(&mut self) -> Value {
        loop {
            let report = self.next().await;
            if report[0] != "progress" {
                return report;
            }
        }
    }
}

async fn receive(State(reports): State<mpsc::UnboundedSender<String>>, report: String) {
    // The test has ended if nothing receives.
    let _ = reports.send(report);
}

#[tokio::test]
async fn an_event_source_reconnects_by_itself_without_a_gap_or_a_repeat() {
    let history = History::events(10);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    let (sender, reports) = mpsc::unbounded_channel();
    let more = Router::new()
        .route("/", routing::get(async || Html(PAGE)))
        .route("/report", routing::post(receive))
        .with_state(sender);
    let server = Server::start(&bus, more.clone(), "127.0.0.1:0".parse().unwrap()).await;
    let address = server.address;
    let mut page = Page::open(&server, reports);
    let message = |seq: u64, value: u64, keys: Value| json!(["message", value.to_string(), { "seq": seq, "value": value, "keys": keys }]);

    assert_eq!(
        page.next().await,
        json!(["progress", "start", { "progress": null }])
    );
    bus.emit_slices(1, &[b"a1", b"b", b"a\xff"]).unwrap();
    assert_eq!(
        page.event().await,
        message(1, 1, json!(["a1", { "base64": "Yf8=" }]))
    );

    server.stop().await;
    assert_eq!(bus.n_subscriptions(), 0);
    for value in 2..=4 {
        bus.emit(value, ["a"]).unwrap();
    }
    let server = Server::start(&bus, more.clone(), address).await;
    assert_eq!(
        page.event().await,
        json!(["shutdown", "1", { "shutdown": {} }])
    );
    for value in 2..=4 {
        assert_eq!(page.event().await, message(value, value, json!(["a"])));
    }
    bus.emit(5, ["a"]).unwrap();
    assert_eq!(page.event().await, message(5, 5, json!(["a"])));

    server.stop().await;
    for value in 6..=30 {
        bus.emit(value, ["a"]).unwrap();
    }
    let _server = Server::start(&bus, more, address).await;
    assert_eq!(page.event().await[0], "shutdown");
    // The history holds ten.
    assert_eq!(
        page.event().await,
        json!(["compacted", "20", { "compacted": { "floor": 21, "epoch": 0 } }])
    );
    for value in 21..=30 {
        assert_eq!(page.event().await, message(value, value, json!(["a"])));
    }

    bus.close_with("done");
    assert_eq!(
        page.event().await,
        json!(["closed", "30", { "closed": { "reason": "done" } }])
    );
    // `EventSource.CLOSED`: a refusal is final.
    assert_eq!(page.event().await, json!(["refused", "", 2]));
}
