//! rangewatch on wasmi, the pure-Rust WebAssembly interpreter.
