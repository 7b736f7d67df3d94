//! Histories of the interval index, compared with a linear scan.
#![no_main]

#[path = "../../tests/index/encoded_history.rs"]
mod encoded_history;

libfuzzer_sys::fuzz_target!(|input: &[u8]| encoded_history::run(input));
