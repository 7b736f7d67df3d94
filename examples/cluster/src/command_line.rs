//! The options of the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rangewatch::Runtime;
use rangewatch_bridge::BoxError;

/// Nodes that run the same guest, and append what it emits to one log.
#[derive(Debug, Parser)]
#[command(name = "cluster")]
pub(crate) struct Options {
    /// The log: redis://HOST:PORT/ or nats://HOST:PORT. Without it, all nodes run in this process,
    /// on a log in memory.
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<String>,
    /// Runs one node, that of this number. Without it, all are started.
    #[arg(long, value_name = "N", requires = "log")]
    pub(crate) node: Option<u32>,
    /// How many nodes: in this process, or, with a log, each in a process of its own.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) nodes: u32,
    /// What runs the guest. `both`: nodes with odd numbers use wasmtime, the others wasmi.
    #[arg(long, default_value = DEFAULT)]
    pub(crate) runtime: Engine,
    /// Milliseconds between two changes.
    #[arg(long, value_name = "MS", default_value_t = 500)]
    pub(crate) pace: u64,
    /// Ends after this revision. Without a log the default is 8; with one, Ctrl-C ends it.
    #[arg(long, value_name = "REVISION")]
    pub(crate) until: Option<u64>,
    /// Selects the commands, the same on all nodes. Each seed has a log of its own.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The folder where each node notes what it has printed, to go on there when it is started
    /// again. The default is a folder among the temporary files of the system.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) journal: Option<PathBuf>,
}

/// The runtimes of the nodes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Engine {
    Wasmi,
    Wasmtime,
    Both,
}

const DEFAULT: &str = if cfg!(feature = "wasmtime") {
    "wasmtime"
} else {
    "wasmi"
};

impl Engine {
    /// The runtime of a node. The rest of the program does not depend on it.
    pub(crate) fn of_node(self, number: u32) -> Result<Box<dyn Runtime>, BoxError> {
        let name = match self {
            Self::Wasmtime => "wasmtime",
            Self::Both if number % 2 == 1 => "wasmtime",
            Self::Wasmi | Self::Both => "wasmi",
        };
        match name {
            #[cfg(feature = "wasmi")]
            "wasmi" => Ok(Box::new(rangewatch::Wasmi::new())),
            #[cfg(feature = "wasmtime")]
            "wasmtime" => Ok(Box::new(rangewatch::Wasmtime::new())),
            _ => {
                Err(format!("this build has no {name}: add --features {name} to cargo run").into())
            }
        }
    }
}

impl Options {
    pub(crate) const fn pace(&self) -> Duration {
        Duration::from_millis(self.pace)
    }

    /// The folder of the journals.
    pub(crate) fn journal(&self) -> PathBuf {
        let temporary = || std::env::temp_dir().join("rangewatch-cluster");
        self.journal.clone().unwrap_or_else(temporary)
    }
}
