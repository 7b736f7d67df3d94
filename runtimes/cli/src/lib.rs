//! Runs a WebAssembly guest on wasmtime or wasmi and prints what it emits.
