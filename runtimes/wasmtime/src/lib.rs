//! rangewatch on wasmtime, the WebAssembly JIT.
