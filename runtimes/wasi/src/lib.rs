//! WASI preview1 for any WebAssembly engine, over pluggable stdio, clocks and randomness.
