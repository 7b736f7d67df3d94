//! The page, and the program that serves it.

use std::path::Path;
use std::process::Stdio;

use etcd_example::proto::etcdserverpb::kv_client::KvClient;
use etcd_example::proto::etcdserverpb::{CompactionRequest, DeleteRangeRequest, PutRequest};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::transport::Channel;

use crate::tab::Tab;

/// The program, on a folder of data.
struct Server {
    address: String,
    process: Child,
}

impl Server {
    async fn start(address: &str, data: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_etcd-example"))
            .args(["--listen", address, "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("it starts");
        let address = line.split(' ').nth(2).expect("`listening on ADDRESS`");
        Self {
            address: address.to_owned(),
            process,
        }
    }

    /// As a crash does.
    async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    async fn kv(&self) -> KvClient<Channel> {
        let address = format!("http://{}", self.address);
        let channel = Channel::from_shared(address).unwrap();
        KvClient::new(channel.connect().await.unwrap())
    }

    async fn put(&self, key: &str, value: &str) {
        let request = PutRequest {
            key: key.into(),
            value: value.into(),
            ..PutRequest::default()
        };
        self.kv().await.put(request).await.unwrap();
    }

    async fn delete(&self, key: &str) {
        let request = DeleteRangeRequest {
            key: key.into(),
            ..DeleteRangeRequest::default()
        };
        self.kv().await.delete_range(request).await.unwrap();
    }

    async fn compact(&self, revision: i64) {
        let request = CompactionRequest {
            revision,
            ..CompactionRequest::default()
        };
        self.kv().await.compact(request).await.unwrap();
    }
}

/// Submits the form.
async fn watch(tab: &mut Tab, prefix: &str) {
    tab.wait_for("document.readyState === 'complete'").await;
    let submit = format!(
        "const {{ prefix }} = document.forms[0].elements;
        prefix.value = {};
        document.forms[0].requestSubmit();",
        json!(prefix)
    );
    tab.evaluate(&submit).await;
    let is_live = "document.querySelector('[role=status]').className === 'live'";
    tab.wait_for(is_live).await;
}

/// The rows of the table, the first first, once there are as many.
async fn rows(tab: &mut Tab, n_rows: usize) -> Value {
    let rows = "document.querySelectorAll('tbody tr')";
    tab.wait_for(&format!("{rows}.length >= {n_rows}")).await;
    let cells = "[...row.cells].map((cell) => cell.textContent)";
    tab.evaluate(&format!("[...{rows}].map((row) => {cells}).reverse()"))
        .await
}

#[tokio::test]
async fn a_page_shows_each_change_once_and_resumes_after_a_crash() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start("127.0.0.1:0", data.path()).await;
    let address = server.address.clone();
    server.put("pods/1", "before").await;
    let mut tab = Tab::open(&format!("http://{address}/"), 360).await;
    watch(&mut tab, "pods/").await;

    let hostile = "pods/<img src=x onerror=\"document.title = 'hostile'\">";
    server.put("pods/2", "two").await;
    server.put("other", "unseen").await;
    server.delete("pods/1").await;
    server.put(hostile, &"x".repeat(1_000)).await;
    let shown = format!("{} … 1,000 bytes", "x".repeat(256));
    let mut expected = vec![
        json!(["3", "put", "pods/2", "two"]),
        json!(["5", "delete", "pods/1", ""]),
        json!(["6", "put", hostile, shown]),
    ];
    assert_eq!(rows(&mut tab, 3).await, json!(expected));
    assert_eq!(tab.evaluate("document.images.length").await, 0);
    let width = "document.scrollingElement.scrollWidth";
    assert_eq!(tab.evaluate(width).await, 360);
    let number = |id: &str| format!("document.getElementById('{id}').textContent");
    let is_shown = format!(
        "{} === '6' && {} === '3'",
        number("revision"),
        number("keys")
    );
    tab.wait_for(&is_shown).await;

    // At another address, so that the page receives nothing of these.
    server.kill().await;
    let server = Server::start("127.0.0.1:0", data.path()).await;
    server.put("pods/3", "three").await;
    server.put("pods/4", "four").await;
    server.kill().await;
    let server = Server::start(&address, data.path()).await;
    expected.push(json!(["7", "put", "pods/3", "three"]));
    expected.push(json!(["8", "put", "pods/4", "four"]));
    assert_eq!(rows(&mut tab, 5).await, json!(expected));
    server.put("pods/5", "five").await;
    expected.push(json!(["9", "put", "pods/5", "five"]));
    assert_eq!(rows(&mut tab, 6).await, json!(expected));

    server.kill().await;
    let server = Server::start("127.0.0.1:0", data.path()).await;
    for value in ["a", "b", "c"] {
        server.put("pods/6", value).await;
    }
    server.compact(12).await;
    server.kill().await;
    let server = Server::start(&address, data.path()).await;
    expected.push(json!(["Compacted: changes before revision 12 are gone"]));
    expected.push(json!(["12", "put", "pods/6", "c"]));
    assert_eq!(rows(&mut tab, 8).await, json!(expected));
    server.put("pods/7", "seven").await;
    expected.push(json!(["13", "put", "pods/7", "seven"]));
    assert_eq!(rows(&mut tab, 9).await, json!(expected));
}
