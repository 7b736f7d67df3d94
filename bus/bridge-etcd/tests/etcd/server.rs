//! An etcd of a test, on free ports, in a folder of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd_client::Client;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

/// How long a test waits for what happens soon.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A member of a cluster, which is killed when this is dropped.
pub(crate) struct Server {
    name: String,
    /// Of all members: the ports of clients and of peers.
    ports: Vec<(u16, u16)>,
    /// The place of this member among them.
    n: usize,
    folder: TempDir,
    options: Vec<String>,
    process: Child,
}

impl Server {
    /// Starts a cluster of one. `None`, and a line that says so, if this machine has no etcd.
    pub(crate) async fn start(options: &[&str]) -> Option<Self> {
        Self::cluster(1, options).await?.pop()
    }

    /// Starts a cluster of `n` members.
    pub(crate) async fn cluster(n: usize, options: &[&str]) -> Option<Vec<Self>> {
        let installed = Command::new("etcd").arg("--version").output();
        if installed.is_err() {
            assert!(
                std::env::var_os("SERVERS_REQUIRED").is_none(),
                "etcd is not installed"
            );
            println!("etcd is not installed: nothing was tested");
            return None;
        }
        // Another process may take a port before etcd does.
        loop {
            let ports: Vec<_> = (0..n).map(|_| (free_port(), free_port())).collect();
            let members = (0..n).map(|n| Self::spawn(ports.clone(), n, options));
            let mut members: Vec<_> = members.collect();
            let mut all_answer = true;
            for member in &mut members {
                all_answer &= member.answers().await;
            }
            if all_answer {
                return Some(members);
            }
        }
    }

    fn spawn(ports: Vec<(u16, u16)>, n: usize, options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let folder = tempfile::tempdir().unwrap();
        let name = format!("member-{n}");
        let process = process(&name, &ports, n, &data(&folder), &options);
        Self {
            name,
            ports,
            n,
            folder,
            options,
            process,
        }
    }

    pub(crate) fn url(&self) -> String {
        url(self.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.ports[self.n].0
    }

    pub(crate) fn data(&self) -> PathBuf {
        data(&self.folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it with -9.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, on the same ports and folder.
    pub(crate) async fn restart(&mut self) {
        self.begin_restart();
        assert!(self.answers().await, "etcd does not start again");
    }

    /// Starts it again, with other options.
    pub(crate) async fn restart_with(&mut self, options: &[&str]) {
        self.options = options.iter().map(|option| (*option).to_owned()).collect();
        self.restart().await;
    }

    pub(crate) fn begin_restart(&mut self) {
        self.process = process(&self.name, &self.ports, self.n, &self.data(), &self.options);
    }

    /// Stops the process, or lets it continue: `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}"));
        kill.arg(self.process.id().to_string());
        assert!(kill.status().unwrap().success());
    }

    /// A client, for what a test does itself.
    pub(crate) async fn client(&self) -> Client {
        Client::connect([self.url()], None).await.unwrap()
    }

    /// Replaces the data by that of a snapshot of a server, as an operator does.
    pub(crate) fn restore(&self, snapshot: &Path) {
        let (_, peer) = self.ports[self.n];
        let mut restore = Command::new("etcdctl");
        restore.env("ETCDCTL_API", "3");
        restore.args(["snapshot", "restore"]).arg(snapshot);
        restore.arg("--data-dir").arg(self.data());
        restore.args(["--name", &self.name]);
        restore
            .arg("--initial-cluster")
            .arg(format!("{}={}", self.name, url(peer)));
        restore.arg("--initial-advertise-peer-urls").arg(url(peer));
        let output = restore.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Whether it answers before it ends.
    async fn answers(&mut self) -> bool {
        let answers = async {
            loop {
                if self.process.try_wait().unwrap().is_some() {
                    return false;
                }
                let mut client = self.client().await;
                let read = timeout(Duration::from_secs(5), client.get("x", None)).await;
                if matches!(read, Ok(Ok(_))) {
                    return true;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, answers).await.expect("etcd answers")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn process(name: &str, ports: &[(u16, u16)], n: usize, data: &Path, options: &[String]) -> Child {
    let (client, peer) = ports[n];
    let peers = ports.iter().enumerate();
    let peers = peers.map(|(n, (_, peer))| format!("member-{n}={}", url(*peer)));
    let peers: Vec<_> = peers.collect();
    Command::new("etcd")
        .args(["--name", name, "--unsafe-no-fsync", "--data-dir"])
        .arg(data)
        .args(["--listen-client-urls", &url(client)])
        .args(["--advertise-client-urls", &url(client)])
        .args(["--listen-peer-urls", &url(peer)])
        .args(["--initial-advertise-peer-urls", &url(peer)])
        .args(["--initial-cluster", &peers.join(",")])
        .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Runs a future on a runtime, at most until the deadline.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    let done = runtime.block_on(async { timeout(DEADLINE, future).await });
    done.expect("it ends before the deadline")
}
