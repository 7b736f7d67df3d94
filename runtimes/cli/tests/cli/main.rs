//! The built binary, on every runtime of this build.
#![cfg(any(feature = "wasmi", feature = "wasmtime"))]

/// Makes a test of each scenario, a function that takes the name of a runtime, for each runtime
/// that is compiled in.
macro_rules! on_each_runtime {
    ($($scenario:ident)*) => {
        #[cfg(feature = "wasmi")]
        mod wasmi {
            $(#[test] fn $scenario() { super::$scenario("wasmi"); })*
        }
        #[cfg(feature = "wasmtime")]
        mod wasmtime {
            $(#[test] fn $scenario() { super::$scenario("wasmtime"); })*
        }
    };
}

mod calls;
mod command;
mod events;
mod exit_code;
mod files;
mod new;
mod stdin;
mod usage;
