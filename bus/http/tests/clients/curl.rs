//! The program `curl`.

use std::process::Stdio;

use axum::Router;
use rangewatch_bus::{History, RangeWatchBus};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::server::{Server, in_time};

/// A running `curl -N`.
struct Curl {
    lines: Lines<BufReader<ChildStdout>>,
    child: Child,
}

impl Curl {
    fn start(server: &Server, args: &[&str]) -> Self {
        let mut child = Command::new("curl")
            .args(["--silent", "--show-error", "--no-buffer"])
            .args(args)
            .arg(format!("http://{}/watch", server.address))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("curl is installed, as `.ci/run clients` does");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { lines, child }
    }

    /// The next line that is not empty; `None` at the end.
    async fn line(&mut self) -> Option<String> {
        loop {
            let line = in_time(self.lines.next_line()).await.unwrap()?;
            if !line.is_empty() {
                return Some(line);
            }
        }
    }

    /// Checks the next lines that are not empty.
    async fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.line().await.as_deref(), Some(*line));
        }
    }
}

#[tokio::test]
async fn curl_shows_events_when_they_are_emitted_and_resumes() {
    let history = History::events(100);
    let bus = RangeWatchBus::builder().history(history).build().unwrap();
    let server = Server::start(&bus, Router::new(), "127.0.0.1:0".parse().unwrap()).await;
    bus.emit(6, ["order/0"]).unwrap();

    let args = [
        "--get",
        "--data-urlencode",
        "prefix=order/ü ",
        "--data",
        "key=%FF",
    ];
    let mut curl = Curl::start(&server, &args);
    let progress = ["event: progress", "id: 6", r#"data: {"progress":6}"#];
    curl.expect(&["retry: 50"]).await;
    curl.expect(&progress).await;
    bus.emit_slices(7, &["order/ü 1".as_bytes(), b"\xff", b"x"])
        .unwrap();
    let event = r#"data: {"seq":2,"value":7,"keys":["order/ü 1",{"base64":"/w=="}]}"#;
    curl.expect(&["id: 7", event]).await;
    drop(curl);

    bus.emit(8, ["x"]).unwrap();
    let mut curl = Curl::start(
        &server,
        &["--get", "--data", "all", "--header", "Last-Event-ID: 7"],
    );
    curl.expect(&[
        "retry: 50",
        "id: 8",
        r#"data: {"seq":3,"value":8,"keys":["x"]}"#,
    ])
    .await;
    bus.close();
    curl.expect(&["event: progress", "id: 8", r#"data: {"progress":8}"#])
        .await;
    curl.expect(&["event: closed", r#"data: {"closed":{"reason":null}}"#])
        .await;
    assert_eq!(curl.line().await, None);
    assert!(
        in_time(curl.child.wait()).await.unwrap().success(),
        "the response is whole"
    );

    let mut curl = Curl::start(&server, &["--fail-with-body", "--get", "--data", "prefx=a"]);
    assert!(
        curl.line()
            .await
            .unwrap()
            .starts_with("\"prefx\" is no parameter")
    );
    assert_eq!(in_time(curl.child.wait()).await.unwrap().code(), Some(22));
}
