//! Optional features. Run with `--all-features`.

#![cfg(all(feature = "metrics", feature = "tracing"))]

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use futures::future::select;
use metrics_exporter_prometheus::PrometheusBuilder;
use rangewatch_bridge::{Appender, MemoryLog, Reader, Writer};
use rangewatch_bus::{History, RangeWatchBus};

/// Appends three emits to a log, trims it under a reader, and reads it.
async fn work() {
    let log = MemoryLog::new();
    let history = History::events(100);
    let source = RangeWatchBus::builder()
        .name("source")
        .history(history)
        .build()
        .unwrap();
    let appender = Appender::builder(log.clone(), &source).build().unwrap();
    for value in 1..=3 {
        source.emit(value, ["k"]).unwrap();
    }
    source.close();
    // It was closed before the appender was connected: the log has nothing of it.
    appender.run().await.unwrap_err();

    let mut writer = Writer::open(log.clone()).await.unwrap();
    writer.append(1, ["k"]).await.unwrap();
    let reader = Reader::builder(log).name("orders").open().await.unwrap();
    for value in 2..=4 {
        writer.append(value, ["k"]).await.unwrap();
    }
    writer.compact(4).await.unwrap();
    let mut status = reader.status();
    let at_end = status.until(|status| status.position == Some(4) && status.lag() == 0);
    select(pin!(reader.run()), pin!(at_end)).await;
}

#[test]
fn metrics_have_the_status_of_readers_and_appenders() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || block_on(work()));
    let metrics = handle.render();
    for line in [
        r#"rangewatch_bridge_emits_total{kind="reader",bus="orders"} 1"#,
        r#"rangewatch_bridge_gaps_total{kind="reader",bus="orders"} 1"#,
        r#"rangewatch_bridge_connects_total{kind="reader",bus="orders"} 1"#,
        r#"rangewatch_bridge_lag{kind="reader",bus="orders"} 0"#,
        r#"rangewatch_bridge_phase{kind="reader",bus="orders",phase="ended"} 1"#,
        r#"rangewatch_bridge_phase{kind="reader",bus="orders",phase="live"} 0"#,
        r#"rangewatch_bridge_phase{kind="appender",bus="source",phase="ended"} 1"#,
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} in\n{metrics}"
        );
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn tracing_has_changes_of_the_phase_and_gaps() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    tracing::subscriber::with_default(subscriber, || block_on(work()));
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let has = |words: &[&str]| {
        let mut lines = text.lines();
        assert!(
            lines.any(|line| words.iter().all(|word| line.contains(word))),
            "{words:?} in\n{text}"
        );
    };
    has(&["INFO", "orders", "reader", "live"]);
    has(&["INFO", "orders", "reader", "ended"]);
    has(&["WARN", "orders", "reader", "the log was compacted up to 4"]);
    has(&["WARN", "source", "appender", "the bus was closed"]);
}
