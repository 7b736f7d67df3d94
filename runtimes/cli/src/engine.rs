//! The runtimes of this build.

use std::fmt;
use std::sync::Arc;

use clap::ValueEnum;
use rangewatch::Runtime;

use crate::failure::Failure;

/// A runtime by its name, whether this build has it or not.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Engine {
    Wasmtime,
    Wasmi,
}

/// One line per build, so that `--help` says what this one can do.
pub(crate) const RUNTIME_HELP: &str = match (cfg!(feature = "wasmtime"), cfg!(feature = "wasmi")) {
    (true, true) => "The runtime: wasmtime, which compiles, or wasmi, which interprets",
    (true, false) => "The runtime: wasmtime, which compiles; this build has no wasmi",
    (false, true) => "The runtime: wasmi, which interprets; this build has no wasmtime",
    (false, false) => "The runtime; this build has neither wasmtime nor wasmi",
};

impl Engine {
    /// wasmtime where it is compiled in, else wasmi.
    pub(crate) const DEFAULT: Self = if cfg!(feature = "wasmtime") {
        Self::Wasmtime
    } else {
        Self::Wasmi
    };

    /// The runtime. It counts no fuel: nothing else waits for the thread of a command line, and who runs a guest that
    /// loops interrupts it.
    pub(crate) fn start(self) -> Result<Arc<dyn Runtime>, Failure> {
        match self {
            #[cfg(feature = "wasmtime")]
            Self::Wasmtime => Ok(Arc::new(rangewatch::Wasmtime::unmetered())),
            #[cfg(feature = "wasmi")]
            Self::Wasmi => Ok(Arc::new(rangewatch::Wasmi::unmetered())),
            #[cfg(not(all(feature = "wasmtime", feature = "wasmi")))]
            missing => Err(Failure::usage(format_args!(
                "this build has no {missing}: build one that has it with \
                 `cargo install --path runtimes/cli --features {missing}`"
            ))),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wasmtime => "wasmtime",
            Self::Wasmi => "wasmi",
        })
    }
}
