//! The server of a test.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use fastrand::Rng;
use tempfile::TempDir;

use crate::network::Network;
use crate::process::{DEADLINE, poll};

/// A server, on a free port, in a folder of its own, which is killed when this is dropped.
pub(crate) struct Engine {
    scheme: &'static str,
    program: PathBuf,
    port: u16,
    folder: TempDir,
    arguments: fn(host: &str, port: u16, folder: &str) -> Vec<String>,
    options: Vec<String>,
    process: Option<Child>,
    pub(crate) network: Option<Network>,
}

impl Engine {
    pub(crate) fn redis(options: &[&str]) -> Self {
        Self::new(
            "redis",
            "redis-server".into(),
            options,
            |host, port, folder| {
                let port = port.to_string();
                let arguments = [
                    "--bind", host, "--save", "", "--dir", folder, "--port", &port,
                ];
                let open = ["--protected-mode", "no"];
                arguments
                    .into_iter()
                    .chain(open)
                    .map(str::to_owned)
                    .collect()
            },
        )
    }

    /// Debian's nats-server, of an old version.
    pub(crate) fn old_nats(scheme: &'static str) -> Self {
        Self::nats(scheme, "/usr/sbin/nats-server".into())
    }

    /// The nats-server that `.ci/run` installs from PyPI.
    pub(crate) fn new_nats(scheme: &'static str) -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/tools");
        Self::nats(scheme, tools.join("nats-server/bin/nats-server"))
    }

    fn nats(scheme: &'static str, program: PathBuf) -> Self {
        Self::new(scheme, program, &[], |host, port, folder| {
            let port = port.to_string();
            let arguments = ["-a", host, "-p", &port, "-js", "-sd", folder];
            arguments.into_iter().map(str::to_owned).collect()
        })
    }

    fn new(
        scheme: &'static str,
        program: PathBuf,
        options: &[&str],
        arguments: fn(&str, u16, &str) -> Vec<String>,
    ) -> Self {
        Self {
            scheme,
            program,
            port: 0,
            folder: tempfile::tempdir().expect("a folder"),
            arguments,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            process: None,
            network: None,
        }
    }

    /// Puts the server into a network of its own.
    pub(crate) fn in_network(mut self, network: Network) -> Self {
        self.network = Some(network);
        self
    }

    /// The address on which the server listens.
    pub(crate) fn host(&self) -> String {
        let network = self.network.as_ref();
        network.map_or_else(|| Ipv4Addr::LOCALHOST.to_string(), Network::host)
    }

    /// The URL of the server.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}:{}/", self.scheme, self.host(), self.port)
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
                        "{} is not installed",
                        self.program.display()
                    );
                    let program = self.program.display();
                    println!("{program} is not installed: nothing was tested");
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
        let host = self.host();
        let mut command = match &self.network {
            Some(network) => network.command(&self.program),
            None => Command::new(&self.program),
        };
        command
            .args((self.arguments)(&host, self.port, folder))
            .args(&self.options);
        let mut process = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let begun = Instant::now();
        loop {
            if TcpStream::connect((&*host, self.port)).is_ok() {
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
