//! The server of a test.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use fastrand::Rng;
use tempfile::TempDir;

use crate::process::{DEADLINE, poll};

/// A server, on a free port, in a folder of its own, which is killed when this is dropped.
pub(crate) struct Engine {
    scheme: &'static str,
    port: u16,
    folder: TempDir,
    command: fn(port: u16, folder: &str) -> Command,
    options: Vec<String>,
    process: Option<Child>,
}

impl Engine {
    pub(crate) fn redis(options: &[&str]) -> Self {
        Self::new("redis", options, |port, folder| {
            let mut command = Command::new("redis-server");
            command.args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                folder,
                "--port",
            ]);
            command.arg(port.to_string());
            command
        })
    }

    fn new(scheme: &'static str, options: &[&str], command: fn(u16, &str) -> Command) -> Self {
        Self {
            scheme,
            port: 0,
            folder: tempfile::tempdir().expect("a folder"),
            command,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            process: None,
        }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a server like this one at another port.
    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("{}://127.0.0.1:{port}/", self.scheme)
    }

    /// Starts it on a free port. `false`, and a line that says so, if it is not installed.
    pub(crate) fn start(&mut self) -> bool {
        // Another process may take the port before the server does.
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            self.port = listener.local_addr().expect("an address").port();
            drop(listener);
            match self.try_start() {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    assert!(
                        std::env::var_os("SERVERS_REQUIRED").is_none(),
                        "the server is not installed"
                    );
                    println!("{} is not installed: nothing was tested", self.scheme);
                    return false;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Kills it with -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again, on the same port and folder.
    pub(crate) fn restart(&mut self) {
        assert!(self.try_start().expect("it starts"), "it starts again");
    }

    /// Cuts the end of what it has stored, as a machine that fails before it has written all.
    pub(crate) fn lose_tail(&self, random: &mut Rng) {
        let folder = self.folder.path().join("appendonlydir");
        let files = std::fs::read_dir(folder).expect("a folder");
        let mut paths = files.map(|file| file.expect("a file").path());
        let path = paths.find(|path| path.to_string_lossy().ends_with(".incr.aof"));
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(path.expect("a log file"));
        let file = file.expect("a log file");
        let len = file.metadata().expect("its length").len();
        file.set_len(len - random.u64(0..=len.min(100_000)))
            .expect("it is cut");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.as_ref().expect("it runs").id();
        crate::process::signal(id, signal);
    }

    /// Whether it accepts connections before it ends.
    fn try_start(&mut self) -> io::Result<bool> {
        let folder = self.folder.path().to_str().expect("a name");
        let mut command = (self.command)(self.port, folder);
        let command = command
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut process = command.spawn()?;
        let begun = Instant::now();
        loop {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                self.process = Some(process);
                return Ok(true);
            }
            if process.try_wait()?.is_some() {
                return Ok(false);
            }
            assert!(
                begun.elapsed() < DEADLINE,
                "the server does not accept connections"
            );
            poll();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}
