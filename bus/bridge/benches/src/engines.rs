//! The engines.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::Result;
use crate::client::Client;
use crate::peers::{Memory, Nats, Redis};
use crate::server::Server;

/// An engine, with the options of its server.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    start: fn() -> Result<Server>,
}

pub(crate) const ENGINES: &[Engine] = &[
    Engine {
        name: "redis",
        start: || Server::start("redis", |port, folder| redis(port, folder, "no")),
    },
    Engine {
        name: "redis-appendonly",
        start: || Server::start("redis", |port, folder| redis(port, folder, "yes")),
    },
    Engine {
        name: "nats",
        start: || Server::start("nats", nats),
    },
    Engine {
        name: "memory",
        start: || Ok(Server::none("memory:")),
    },
];

impl Engine {
    /// Starts its server.
    ///
    /// # Errors
    ///
    /// It is not installed.
    pub(crate) fn start(&self) -> Result<Server> {
        (self.start)()
    }
}

/// A client of the server of this URL.
pub(crate) fn client(url: &str) -> Result<Arc<dyn Client>> {
    match url.split_once(':') {
        Some(("redis", _)) => Ok(Arc::new(Redis::new(url)?)),
        Some(("nats", _)) => Ok(Arc::new(Nats::new(url))),
        Some(("memory", _)) => Ok(Arc::new(Memory::default())),
        _ => Err(format!("no engine has the URL {url}").into()),
    }
}

fn nats(port: u16, folder: &Path) -> Command {
    let mut command = Command::new("nats-server");
    command
        .args(["--addr", "127.0.0.1", "--port"])
        .arg(port.to_string())
        .args(["--jetstream", "--store_dir"])
        .arg(folder);
    command
}

fn redis(port: u16, folder: &Path, appendonly: &str) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", appendonly])
        // A rewrite would fall into some rounds and not into others.
        .args(["--auto-aof-rewrite-percentage", "0"])
        .arg("--port")
        .arg(port.to_string())
        .arg("--dir")
        .arg(folder);
    command
}
