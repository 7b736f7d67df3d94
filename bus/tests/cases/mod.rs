//! How many cases the property tests run, and the byte strings that they are made of.

#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::cmp::Ordering;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rangewatch_bus::Selector;

/// The default number of cases. The variable `RANGEWATCH_CASES` sets another.
const DEFAULT_CASES: u32 = 512;

/// The configuration of every property test here.
pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("RANGEWATCH_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(DEFAULT_CASES);
    ProptestConfig {
        cases,
        // A failing case is printed in full; add it as a test.
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    }
}

/// A short key over few bytes, the extreme ones among them, so that bounds and keys meet often.
pub(crate) fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(select(&[0x00, b'.', b'a', b'b', 0xfe, 0xff][..]), 0..4)
}

/// A selector of any kind, but no range that holds no key.
pub(crate) fn selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        3 => key().prop_map(Selector::key),
        4 => (key(), key()).prop_map(|(a, mut b)| match a.cmp(&b) {
            Ordering::Less => Selector::range(a, b),
            Ordering::Greater => Selector::range(b, a),
            Ordering::Equal => {
                b.push(0);
                Selector::range(a, b)
            }
        }),
        2 => key().prop_map(Selector::from_key),
        3 => key().prop_map(Selector::prefix),
        1 => Just(Selector::all()),
    ]
}
