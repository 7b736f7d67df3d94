//! Why bytes did not become a module.

use crate::engine::failure::EngineError;

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
    /// The module is malformed or cut off, or uses a feature outside of the profile: threads and
    /// shared memory, tail calls, garbage collection, exceptions, external references, 64-bit or
    /// multiple memories.
    #[error(
        "not a valid module of the supported wasm profile (WebAssembly 2.0 with extended constants): \
         if the cause names a feature, build the guest without it; if not, the file is damaged or cut off"
    )]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The engine could not compile a module that is valid.
    #[error("the engine could not compile the module")]
    Engine(#[source] EngineError),
}
