//! A Redis of a test, on a free port, in a folder of its own.

#![allow(dead_code, reason = "each test target uses some of it")]
#![expect(
    clippy::print_stdout,
    reason = "a test says that it has tested nothing"
)]

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a test waits for what happens soon.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A server, which is killed when this is dropped.
pub(crate) struct Server {
    port: u16,
    folder: TempDir,
    options: Vec<String>,
    process: Child,
}

impl Server {
    /// Starts a server with options of its command line. `None`, and a line that says so, if this
    /// machine has no Redis.
    pub(crate) fn start(options: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        let mut port = free_port();
        let Ok(process) = spawn(port, &folder, &options) else {
            assert!(
                std::env::var_os("SERVERS_REQUIRED").is_none(),
                "redis-server is not installed"
            );
            println!("redis-server is not installed: nothing was tested");
            return None;
        };
        let mut server = Self {
            port,
            folder,
            options,
            process,
        };
        // Another process may take the port before the server does.
        while !server.answers() {
            port = free_port();
            server.process = spawn(port, &server.folder, &server.options).unwrap();
            server.port = port;
        }
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it with -9.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, on the same port and folder.
    pub(crate) fn restart(&mut self) {
        self.process = spawn(self.port, &self.folder, &self.options).unwrap();
        assert!(self.answers(), "redis-server does not start again");
    }

    /// Stops the process, or lets it continue: `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}"))
            .arg(self.process.id().to_string());
        assert!(kill.status().unwrap().success());
    }

    /// Runs a command on the server. Returns what it answers.
    pub(crate) fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(word);
        });
        command.query(&mut connection).unwrap()
    }

    /// Whether it answers before it ends.
    fn answers(&mut self) -> bool {
        let begun = Instant::now();
        let client = redis::Client::open(self.url()).unwrap();
        loop {
            let ping = client
                .get_connection()
                .and_then(|mut c| redis::cmd("PING").query(&mut c));
            match ping {
                Ok(redis::Value::SimpleString(_)) => return true,
                Err(error) if error.code() == Some("NOAUTH") => return true,
                _ => {}
            }
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(begun.elapsed() < DEADLINE, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16, folder: &TempDir, options: &[String]) -> std::io::Result<Child> {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--port"])
        .arg(port.to_string())
        .arg("--dir")
        .arg(folder.path())
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Runs a future on a runtime, at most until the deadline.
pub(crate) fn block_on<F: Future<Output = ()>>(future: F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let done = runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await });
    done.expect("it ends before the deadline");
}
