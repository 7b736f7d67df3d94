//! The recipes: RECIPES.md shows them word for word, they work on both engines, and they fail when
//! their guest fails.
#![cfg(all(feature = "host-dir", feature = "wasmi", feature = "wasmtime"))]
#![expect(dead_code, reason = "each recipe is a program of its own")]

#[path = "../examples/capture_output.rs"]
mod capture_output;
#[path = "../examples/feed_input.rs"]
mod feed_input;
#[path = "../examples/fixed_clock.rs"]
mod fixed_clock;
#[path = "../examples/sandboxed_directory.rs"]
mod sandboxed_directory;
#[path = "../examples/virtual_filesystem.rs"]
mod virtual_filesystem;

use std::error::Error;

use rangewatch::{Exit, Runtime, Wasmi, Wasmtime};
use rangewatch_runtime::conformance::within_deadline;

/// The recipes in the order of the page.
const SOURCES: [&str; 5] = [
    include_str!("../examples/capture_output.rs"),
    include_str!("../examples/feed_input.rs"),
    include_str!("../examples/virtual_filesystem.rs"),
    include_str!("../examples/fixed_clock.rs"),
    include_str!("../examples/sandboxed_directory.rs"),
];

const PAGE: &str = include_str!("../RECIPES.md");

#[test]
fn the_page_shows_the_recipes() {
    let blocks: Vec<&str> = PAGE
        .split("```rust,no_run\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert_eq!(blocks, SOURCES);
}

#[test]
fn recipes_are_short() {
    for source in SOURCES {
        assert!(source.lines().count() <= 36, "{source}");
    }
}

#[test]
fn output_is_captured() {
    let output = on_both(capture_output::capture);
    assert_eq!(output, "arg 0 greet\narg 1 --args\n");
}

#[test]
fn input_is_fed() {
    assert_eq!(on_both(feed_input::feed), "hello alice\nhello bob\n");
}

#[test]
fn files_are_in_memory() {
    assert_eq!(on_both(virtual_filesystem::files), "hello\n");
}

#[test]
fn the_clock_is_fixed_and_random_bytes_repeat() {
    let output = on_both(fixed_clock::repeat);
    assert!(
        output.starts_with("time 1690674910.239502000\nrandom "),
        "{output}"
    );
    assert_eq!(output, on_both(fixed_clock::repeat));
}

#[test]
fn a_directory_confines() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("dir");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("Cargo.toml"), "inside\n").unwrap();
    std::fs::write(outer.path().join("Cargo.toml"), "outside\n").unwrap();
    let dir = dir.to_str().unwrap().to_owned();
    let output =
        on_both(async move |runtime, wasm| sandboxed_directory::confine(runtime, wasm, &dir).await);
    assert!(output.starts_with("inside\ncat: "), "{output}");
    assert!(!output.contains("outside"), "{output}");
}

/// Runs a recipe on both engines, within a deadline, and returns its output, which is the same.
/// The recipe has to fail with the exit code of a guest that exits with one.
fn on_both(
    recipe: impl AsyncFn(&dyn Runtime, &[u8]) -> Result<String, Box<dyn Error>> + Send + 'static,
) -> String {
    within_deadline(move || {
        let (compiled, interpreted) = (on(&Wasmtime::new(), &recipe), on(&Wasmi::new(), &recipe));
        assert_eq!(compiled, interpreted);
        compiled
    })
}

fn on(
    runtime: &dyn Runtime,
    recipe: impl AsyncFn(&dyn Runtime, &[u8]) -> Result<String, Box<dyn Error>>,
) -> String {
    let run = |wasm: &[u8]| futures::executor::block_on(recipe(runtime, wasm));
    let error = run(&wat::parse_str(EXITS_WITH_3).unwrap()).unwrap_err();
    assert_eq!(
        error.downcast_ref::<Exit>().map(|exit| exit.code()),
        Some(3),
        "{error}"
    );
    let guests = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../integration-tests/guests/prebuilt"
    );
    run(&std::fs::read(format!("{guests}/greet.wasm")).unwrap()).unwrap()
}

/// A command that fails.
const EXITS_WITH_3: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 3))))"#;
