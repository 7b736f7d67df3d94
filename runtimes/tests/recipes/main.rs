//! The page of recipes, which shows what runs here, word for word.
#![cfg(all(feature = "host-dir", feature = "wasmi", feature = "wasmtime"))]
#![expect(
    unreachable_pub,
    reason = "the functions are as a reader of the page would write them"
)]

mod capture_output;
mod feed_input;
mod fixed_clock;
mod sandboxed_directory;
mod virtual_filesystem;

use std::error::Error;

use rangewatch::{Runtime, Wasmi, Wasmtime};
use rangewatch_runtime::conformance::within_deadline;

const PAGE: &str = include_str!("../../RECIPES.md");

/// The code of the recipes, in the order of the page.
const RECIPES: [&str; 5] = [
    include_str!("capture_output.rs"),
    include_str!("feed_input.rs"),
    include_str!("virtual_filesystem.rs"),
    include_str!("fixed_clock.rs"),
    include_str!("sandboxed_directory.rs"),
];

#[test]
fn the_page_shows_what_is_tested() {
    let blocks: Vec<&str> = PAGE
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert_eq!(blocks, RECIPES);
}

#[test]
fn recipes_are_short() {
    for recipe in RECIPES {
        assert!(recipe.lines().count() < 20, "{recipe}");
    }
}

/// Runs a recipe on both engines with the guest `greet`, within a deadline, and returns what the
/// recipe returned on both.
fn on_both(
    recipe: impl AsyncFn(&dyn Runtime, &[u8]) -> Result<String, Box<dyn Error>> + Send + 'static,
) -> String {
    within_deadline(move || on_each(&recipe))
}

fn on_each(recipe: impl AsyncFn(&dyn Runtime, &[u8]) -> Result<String, Box<dyn Error>>) -> String {
    let guests = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../integration-tests/guests/prebuilt"
    );
    let wasm = std::fs::read(format!("{guests}/greet.wasm")).expect("it is in the repository");
    let run = |runtime: &dyn Runtime| futures::executor::block_on(recipe(runtime, &wasm)).unwrap();
    let (compiled, interpreted) = (run(&Wasmtime::new()), run(&Wasmi::new()));
    assert_eq!(compiled, interpreted);
    compiled
}

#[test]
fn output_is_captured() {
    let said = on_both(capture_output::capture);
    assert_eq!(said, "arg 0 greet\narg 1 --args\n");
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
fn the_clock_stands_and_random_bytes_repeat() {
    let said = on_both(fixed_clock::repeat);
    assert!(
        said.starts_with("time 1690674910.239502000\nrandom "),
        "{said}"
    );
    assert_eq!(said, on_both(fixed_clock::repeat));
}

#[test]
fn a_directory_confines() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("dir");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("in"), "inside\n").unwrap();
    std::fs::write(outer.path().join("out"), "outside\n").unwrap();
    let dir = dir.to_str().unwrap().to_owned();
    let said =
        on_both(async move |runtime, wasm| sandboxed_directory::confine(runtime, wasm, &dir).await);
    assert!(said.starts_with("inside\ncat: "), "{said}");
    assert!(!said.contains("outside"), "{said}");
}
