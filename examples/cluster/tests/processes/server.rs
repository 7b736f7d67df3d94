//! A server of a test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use std::{env, io};

use tempfile::TempDir;

use crate::node::{DEADLINE, poll};

/// What serves, and its options.
#[derive(Clone, Copy)]
pub(crate) enum Engine {
    Redis(&'static [&'static str]),
    /// With the streams in files.
    Nats,
}

/// A server on a free port, in a folder of its own, which is killed when this is dropped.
pub(crate) struct Server {
    port: u16,
    folder: TempDir,
    engine: Engine,
    process: Child,
}

impl Engine {
    const fn program(self) -> &'static str {
        match self {
            Self::Redis(_) => "redis-server",
            Self::Nats => "nats-server",
        }
    }
}

impl Server {
    /// Starts a server. `None`, and a line that says so, if it is not installed.
    pub(crate) fn start(engine: Engine) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // Another process may take the port before the server does.
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            match spawn(port, &folder, engine) {
                Ok(Some(process)) => {
                    return Some(Self {
                        port,
                        folder,
                        engine,
                        process,
                    });
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let is_required = env::var_os("SERVERS_REQUIRED").is_some();
                    let program = engine.program();
                    assert!(!is_required, "{program} is not installed");
                    println!("{program} is not installed: nothing was tested");
                    return None;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        let scheme = match self.engine {
            Engine::Redis(_) => "redis",
            Engine::Nats => "nats",
        };
        format!("{scheme}://127.0.0.1:{}/", self.port)
    }

    /// Sends a command to Redis, and returns the first line of the answer.
    pub(crate) fn command(&self, command: &str) -> String {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        write!(connection, "{command}\r\n").unwrap();
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).unwrap();
        answer
    }

    /// Kills it with -9.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again, on the same port and folder.
    pub(crate) fn restart(&mut self) {
        let process = spawn(self.port, &self.folder, self.engine).unwrap();
        self.process = process.expect("it starts again");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a server, and waits until it accepts connections. `None` if it ends before.
fn spawn(port: u16, folder: &TempDir, engine: Engine) -> io::Result<Option<Child>> {
    let mut server = Command::new(engine.program());
    match engine {
        Engine::Redis(options) => {
            server.args(["--bind", "127.0.0.1", "--save", ""]);
            server.args(["--port", &port.to_string(), "--dir"]);
            server.arg(folder.path()).args(options);
        }
        Engine::Nats => {
            server.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
            server
                .args(["--jetstream", "--store_dir"])
                .arg(folder.path());
        }
    }
    let mut process = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if process.try_wait()?.is_some() {
            return Ok(None);
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "{} does not answer",
            engine.program()
        );
        poll();
    }
    Ok(Some(process))
}
