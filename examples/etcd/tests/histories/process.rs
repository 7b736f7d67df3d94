//! The program under test, as a process that can be killed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The engines that the program has.
pub(crate) const RUNTIMES: &[&str] = &[
    #[cfg(feature = "wasmtime")]
    "wasmtime",
    #[cfg(feature = "wasmi")]
    "wasmi",
];

/// Bytes of a request and of a fragment, so that watches that were behind receive fragments.
const MAX_REQUEST_BYTES: &str = "65536";

/// A server that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    _stdout: Lines<BufReader<ChildStdout>>,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts it on a free port, and waits until it listens.
    pub(crate) async fn start(runtime: &str, data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_etcd-example"))
            .args(["--listen", "127.0.0.1:0", "--runtime", runtime])
            .args(["--max-request-bytes", MAX_REQUEST_BYTES])
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program is built");
        let stdout = child.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(stdout).lines();
        let line = lines.next_line().await.expect("a pipe");
        let line = line.expect("the server says why it does not start");
        let address = line.split(' ').nth(2).expect("`listening on ADDRESS`");
        Self {
            address: address.parse().expect("an address"),
            child,
            _stdout: lines,
        }
    }

    /// Kills it, with `SIGKILL`, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it runs");
    }
}
