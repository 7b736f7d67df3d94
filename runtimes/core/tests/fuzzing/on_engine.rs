//! The programs of the fuzzing on an engine, for the tests of a backend.

#[path = "targets/input.rs"]
mod input;
#[path = "targets/programs/mod.rs"]
mod programs;
#[path = "../toy/mod.rs"]
mod toy;
#[path = "targets/toy_guest.rs"]
mod toy_guest;

use std::path::{Path, PathBuf};

use futures::executor::block_on;
use programs::Programs;
use rangewatch_runtime::Runtime;

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/fuzz/seeds/programs");

/// The engine gives the trace of the runtime without an engine for every committed input: results,
/// kinds of errors, what the guest and the host do to memory, emits, callbacks, and the watches
/// after each operation. The variable `RANGEWATCH_INPUTS` names a folder of further inputs.
pub(crate) fn compare(runtime: &dyn Runtime) {
    let mut paths = inputs(Path::new(SEEDS));
    if let Some(folder) = std::env::var_os("RANGEWATCH_INPUTS") {
        paths.extend(inputs(Path::new(&folder)));
    }
    let without_engine = block_on(Programs::load(&toy_guest::runtime()));
    let engine = block_on(Programs::load(runtime));
    for path in paths {
        let input = std::fs::read(&path).expect("it is there");
        if let Some(text) = differing(&engine.run(&input), &without_engine.run(&input)) {
            panic!("{}: {text}", path.display());
        }
    }
}

/// Where two traces differ.
fn differing(trace: &[String], expected: &[String]) -> Option<String> {
    let is_equal = |(a, b): &(&String, &String)| a == b;
    let n_equal = trace.iter().zip(expected).take_while(is_equal).count();
    if n_equal == trace.len().max(expected.len()) {
        return None;
    }
    let shown = |trace: &[String]| {
        let from = n_equal.saturating_sub(10);
        trace[from..trace.len().min(n_equal + 3)].join("\n")
    };
    let (trace, expected) = (shown(trace), shown(expected));
    Some(format!(
        "the trace differs from line {n_equal} on\n{trace}\n---- without an engine\n{expected}"
    ))
}

fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}", folder.display());
    paths
}
