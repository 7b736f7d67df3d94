//! The choice of a runtime.

use std::fmt;
use std::sync::Arc;

use clap::ValueEnum;
use rangewatch::Runtime;

use crate::failure::Failure;

/// A runtime, compiled in or not.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Engine {
    Wasmtime,
    Wasmi,
}

/// The help of `--runtime`, which names the runtimes that are compiled in.
pub(crate) const RUNTIME_HELP: &str = match (cfg!(feature = "wasmtime"), cfg!(feature = "wasmi")) {
    (true, true) => "The runtime: wasmtime (compiles) or wasmi (interprets)",
    (true, false) => "The runtime: wasmtime (compiles); this build has no wasmi",
    (false, true) => "The runtime: wasmi (interprets); this build has no wasmtime",
    (false, false) => "The runtime; this build has neither wasmtime nor wasmi",
};

impl Engine {
    /// wasmtime if it is compiled in, else wasmi.
    pub(crate) const DEFAULT: Self = if cfg!(feature = "wasmtime") {
        Self::Wasmtime
    } else {
        Self::Wasmi
    };

    /// Starts the runtime, without fuel metering: no other task shares the thread, and a user can
    /// interrupt a guest that loops.
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
