//! The fuzz targets, which are modules of the tests of the runtime crate.

#[path = "../../tests/fuzzing/targets/mod.rs"]
mod targets;

use std::cell::OnceCell;

use futures::executor::block_on;
use targets::programs::Programs;
use targets::toy_guest;

/// Sequences of calls of two guests on a bus, compared with a model.
pub fn abi(input: &[u8]) {
    targets::calls::run(input);
}

/// As [`abi`], over an arbitrary memory with an arbitrary meta page.
pub fn pages(input: &[u8]) {
    targets::calls::run_over_any_page(input);
}

/// Programs of guests and of their host, on a runtime without an engine. Nothing is left at the
/// end.
pub fn programs(input: &[u8]) {
    thread_local! {
        static PROGRAMS: OnceCell<Programs> = const { OnceCell::new() };
    }
    PROGRAMS.with(|programs| {
        let load = || block_on(Programs::load(&toy_guest::runtime()));
        programs.get_or_init(load).run(input);
    });
}
