//! The fuzz targets, which are modules of the tests of the runtime crate.

#[path = "../../tests/fuzzing/targets/mod.rs"]
mod targets;

/// Sequences of calls of two guests on a bus, compared with a model.
pub fn abi(input: &[u8]) {
    targets::calls::run(input);
}

/// As [`abi`], over an arbitrary memory with an arbitrary meta page.
pub fn pages(input: &[u8]) {
    targets::calls::run_over_any_page(input);
}
