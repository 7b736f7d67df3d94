//! Range watches for Rust and WebAssembly guests on the engine of your choice.
