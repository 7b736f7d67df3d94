//! The targets of the fuzzing in `runtimes/core/fuzz`, on its committed inputs and on random ones.

mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::executor::block_on;
use targets::programs::Programs;
use targets::{calls, toy_guest};

/// The random inputs of each target. The variable `RANGEWATCH_CASES` sets another number.
const DEFAULT_CASES: u64 = 500;

/// Runs a target on its committed inputs, then on random ones.
fn run(target: &str, run: impl Fn(&[u8])) {
    let has_passed = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| run(input))).is_ok();
    let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        let path = seed.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        assert!(has_passed(&input), "{}", path.display());
    }
    let n_cases = std::env::var("RANGEWATCH_CASES").ok();
    let n_cases = n_cases.and_then(|n| n.parse().ok());
    for seed in 0..n_cases.unwrap_or(DEFAULT_CASES) {
        let input = random_bytes(seed);
        assert!(has_passed(&input), "{input:?}");
    }
}

/// Up to 512 bytes, always the same for a seed.
fn random_bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    // Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", SplitMix64.
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let len = next() % 512;
    (0..len).map(|_| next() as u8).collect()
}

#[test]
fn g30_calls_over_any_memory_end_as_in_the_model() {
    run("pages", calls::run_over_any_page);
}

#[test]
fn g26_any_sequence_of_calls_ends_as_in_the_model() {
    run("abi", calls::run);
}

#[test]
fn g23_any_program_leaves_nothing_behind() {
    let programs = block_on(Programs::load(&toy_guest::runtime()));
    run("programs", |input| drop(programs.run(input)));
}
