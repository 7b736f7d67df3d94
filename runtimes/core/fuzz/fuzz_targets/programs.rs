//! See `rangewatch_runtime_fuzz::programs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rangewatch_runtime_fuzz::programs(input));
