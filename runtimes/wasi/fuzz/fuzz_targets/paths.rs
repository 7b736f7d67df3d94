//! See `rangewatch_wasi_fuzz::paths`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rangewatch_wasi_fuzz::paths::run(input));
