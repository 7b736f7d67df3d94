//! Why a runtime could not be built.

use std::ops::RangeInclusive;

use crate::engine::failure::EngineError;

/// Why a runtime could not be built, the same for each backend.
/// [`ErrorChain`](crate::ErrorChain) displays it with its sources.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The stack limit is outside of [`STACK_BYTES`].
    #[error(
        "`max_stack_bytes` is {bytes}: choose from {} to {}",
        STACK_BYTES.start(), STACK_BYTES.end()
    )]
    StackBytes {
        /// The limit that was asked for, in bytes.
        bytes: usize,
    },
    /// A setting that belongs to the configuration of an engine was made beside a given engine.
    #[error(
        "`{setting}` has no effect on an engine that exists already: call `{in_config}` of its `Config`"
    )]
    FixedByEngine {
        /// The setting of the builder.
        setting: &'static str,
        /// What sets the same in the configuration of the engine.
        in_config: &'static str,
    },
    /// The given engine is configured in a way in which guests cannot run.
    #[error("this engine cannot run guests of rangewatch: {needs}")]
    Unsuited {
        /// What to change in the configuration of the engine.
        needs: &'static str,
    },
    /// The given engine refuses modules of [`Profile::Baseline`](crate::Profile::Baseline).
    #[error(
        "this engine does not accept the wasm profile `baseline`: leave the proposals of \
         WebAssembly 2.0 and extended constants enabled in its `Config`"
    )]
    Baseline(#[source] EngineError),
    /// The directory for compiled modules cannot be used.
    #[error("the directory for compiled modules cannot be used")]
    CompiledDir(#[source] EngineError),
    /// The engine could not be made, for example because it does not support this machine.
    #[error("the engine could not be made")]
    Engine(#[source] EngineError),
}

/// The stack of a guest's calls, in bytes, of a runtime that says nothing else: 512 KiB.
pub const DEFAULT_STACK_BYTES: usize = 512 << 10;

/// What the stack limit of a runtime may be, in bytes: 16 KiB to 64 MiB. Below, ordinary programs
/// fail at once; above, one call could take a notable part of the host's memory.
pub const STACK_BYTES: RangeInclusive<usize> = 16 << 10..=64 << 20;

/// Checks a stack limit, for a backend.
///
/// # Errors
///
/// [`BuildError::StackBytes`] outside of [`STACK_BYTES`].
pub fn check_stack_bytes(bytes: usize) -> Result<usize, BuildError> {
    if STACK_BYTES.contains(&bytes) {
        Ok(bytes)
    } else {
        Err(BuildError::StackBytes { bytes })
    }
}
