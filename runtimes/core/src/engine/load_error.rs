//! Why bytes did not become a module.

use crate::engine::failure::EngineError;
use crate::engine::profile::{Names, Profile, Proposal};

/// Why bytes did not become a [`Module`](crate::Module). [`ErrorChain`](crate::ErrorChain) displays
/// it with its sources.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{LoadError, Runtime};
///
/// # async fn example(runtime: &dyn Runtime) {
/// let text = runtime.load(b"(module)").await;
/// assert!(matches!(text, Err(LoadError::NotWasm { .. })));
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes are not a wasm binary: nothing, text, a file of another kind.
    #[error(
        "not a wasm binary: it should start with \"\\0asm\" but starts with \"{}\"; \
         a text module (.wat) must be assembled first",
        starts_with.escape_ascii()
    )]
    NotWasm {
        /// The first bytes, at most eight.
        starts_with: Vec<u8>,
    },
    /// The bytes are a component, or of a version that is not 1.
    #[error(
        "not a core wasm module but a component or another version of wasm: build a core module, \
         for the target wasm32-wasip1 or wasm32-unknown-unknown"
    )]
    NotCore,
    /// The module needs proposals that the profile of the runtime does not include.
    #[error(
        "the module uses {}, which the wasm profile `{profile}` does not include: build the guest \
         without it{}",
        Names(proposals),
        larger(proposals)
    )]
    OutsideOfProfile {
        /// The proposals, at least one.
        proposals: Vec<Proposal>,
        /// The profile of the runtime.
        profile: Profile,
    },
    /// The profile includes what the module needs, but the engine lacks it.
    #[error(
        "the module uses {}, which this engine, {engine}, does not have or was built without: \
         choose another engine, or build the guest without it",
        Names(proposals)
    )]
    NotInEngine {
        /// The proposals, at least one.
        proposals: Vec<Proposal>,
        /// The name of the runtime.
        engine: &'static str,
    },
    /// The module is malformed or cut off, or uses a proposal that is newer than the parser.
    #[error(
        "not a valid wasm module: the file is damaged or cut off, or needs a proposal that is not \
         known here"
    )]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The engine could not compile a module that is valid.
    #[error("the engine could not compile the module")]
    Engine(#[source] EngineError),
}

/// Names the profile that includes all of the proposals.
fn larger(proposals: &[Proposal]) -> &'static str {
    let extended = Profile::Extended.proposals();
    if proposals.iter().all(|proposal| extended.contains(proposal)) {
        ", or choose `Profile::Extended` on an engine that has it"
    } else {
        ""
    }
}
