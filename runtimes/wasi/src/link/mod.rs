//! Adapters that add WASI to an engine's linker, one per engine.

#[cfg(feature = "wasmi")]
pub mod link_wasmi;
#[cfg(feature = "wasmtime")]
pub mod link_wasmtime;
