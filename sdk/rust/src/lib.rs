//! Emit and watch byte-key ranges from a WebAssembly guest.
