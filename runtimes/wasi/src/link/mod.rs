//! Adapters that add WASI to an engine's linker, one per engine.

/// The result of a function that the table marks `errno` as that of one that may wait.
macro_rules! as_waiting {
    (errno $call:expr) => {
        $call.map_err(crate::Interrupt::from)
    };
    (wait $call:expr) => {
        $call
    };
}

#[cfg(feature = "wasmi")]
pub mod link_wasmi;
#[cfg(feature = "wasmtime")]
pub mod link_wasmtime;
