//! Random histories with small nodes, whose invariants are checked, and what operations cost.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Bytes that keys are made of: what is longer than a code holds, and a few single bytes.
fn key() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: [&[u8]; 7] = [
        b"/registry/pods/",
        b"aaaaaaaa",
        b"\0",
        b"a",
        b"b",
        b"\xff",
        b"",
    ];
    vec(select(&PIECES[..]), 0..5).prop_map(|pieces| pieces.concat())
}

fn range() -> impl Strategy<Value = KeyRange> {
    let bounds = (key(), prop::option::weighted(0.9, key()));
    bounds.prop_map(|(from, to)| match to {
        None => KeyRange::unbounded(from),
        Some(to) if from == to => KeyRange::new(&from, [&from[..], b"\0"].concat()).unwrap(),
        Some(to) => KeyRange::new((&from).min(&to), (&from).max(&to)).unwrap(),
    })
}

#[derive(Clone, Debug)]
enum Step {
    Insert(KeyRange),
    Remove(Index),
    Find(Vec<Vec<u8>>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => range().prop_map(Step::Insert),
        3 => any::<Index>().prop_map(Step::Remove),
        2 => vec(key(), 1..5).prop_map(Step::Find),
    ];
    vec(step, 0..150)
}

/// What a list and a scan find.
fn scan(list: &[(Handle, KeyRange, u32)], keys: &[Vec<u8>]) -> Vec<u32> {
    let holds = |range: &KeyRange| keys.iter().any(|key| range.contains(key));
    let found = list.iter().filter(|(_, range, _)| holds(range));
    found.map(|(_, _, value)| *value).collect()
}

fn check(index: &IntervalIndex<u32>, list: &[(Handle, KeyRange, u32)], keys: &[Vec<u8>]) {
    let mut found = Vec::new();
    index.find_any(keys, &mut found);
    found.sort_unstable();
    assert_eq!(found, scan(list, keys), "{keys:?}");
    for key in keys {
        found.clear();
        index.find(key, &mut found);
        found.sort_unstable();
        assert_eq!(found, scan(list, std::slice::from_ref(key)), "{key:?}");
    }
}

proptest! {
    #[test]
    fn g10_small_nodes_keep_their_invariants_and_find_what_a_scan_finds(steps in steps()) {
        let mut index = IntervalIndex::new();
        let mut list: Vec<(Handle, KeyRange, u32)> = Vec::new();
        for (value, step) in (0..).zip(steps) {
            match step {
                Step::Insert(range) => {
                    list.push((index.insert(range.clone(), value), range, value));
                }
                Step::Remove(pick) if !list.is_empty() => {
                    let (handle, _, value) = list.remove(pick.index(list.len()));
                    assert_eq!(index.remove(handle), Some(value));
                    assert_eq!(index.remove(handle), None);
                }
                Step::Remove(_) => {}
                Step::Find(keys) => check(&index, &list, &keys),
            }
            index.ranges.check(&index.entries);
            assert_eq!(index.len(), list.len());
        }
        let bounds = list.iter().map(|(_, range, _)| range.start().to_vec());
        let bounds: Vec<_> = bounds.take(20).collect();
        check(&index, &list, &bounds);
        for (handle, _, value) in list {
            assert_eq!(index.remove(handle), Some(value));
            index.ranges.check(&index.entries);
        }
        assert!(index.is_empty() && index.ranges.is_empty());
    }
}

fn index(ranges: impl IntoIterator<Item = KeyRange>) -> IntervalIndex<usize> {
    let mut index = IntervalIndex::new();
    for (value, range) in ranges.into_iter().enumerate() {
        index.insert(range, value);
    }
    index
}

/// Looks all of `keys` up; returns how many values that found, and how many steps it took: looks at
/// a node, a table or the range of an entry.
fn cost(index: &IntervalIndex<usize>, keys: &[String]) -> (usize, usize) {
    let before = index.n_steps();
    let mut found = Vec::new();
    index.find_any(keys, &mut found);
    (found.len(), index.n_steps() - before)
}

fn number(i: usize) -> String {
    format!("{i:05}")
}

#[test]
fn g15_many_keys_in_many_equal_ranges_cost_no_product_of_the_two() {
    let index = index((0..1_000).map(|_| KeyRange::new("k", "m").unwrap()));
    let keys: Vec<_> = (0..1_000).map(|i| format!("k{i}")).collect();
    let (n_found, n_steps) = cost(&index, &keys);
    assert_eq!(n_found, 1_000);
    // The first key finds all of them: in at most 1,000 nodes, with two bounds of equal code in
    // each. The other keys pass the root.
    assert!(n_steps <= 3 * 1_000 + 5 * 1_000, "{n_steps}");
}

#[test]
fn g15_many_keys_that_lie_in_few_ranges_pass_no_more_than_each_would_alone() {
    let range = |i| KeyRange::new(number(i), format!("{}-", number(i))).unwrap();
    let index = index((0..10_000).map(range));
    // Every other key falls into a range, the rest between two.
    let key = |i: usize| {
        format!(
            "{}{}",
            number(i * 97),
            if i.is_multiple_of(2) { "" } else { "~" }
        )
    };
    let keys: Vec<_> = (0..100).map(key).collect();
    let alone = keys
        .iter()
        .map(|key| cost(&index, std::slice::from_ref(key)).1);
    let alone: usize = alone.sum();
    let (n_found, n_steps) = cost(&index, &keys);
    assert_eq!(n_found, 50);
    // A node looks at each of its keys, and at the first one behind them.
    assert!(n_steps <= 2 * alone, "{n_steps}, alone {alone}");
}

#[test]
fn g15_a_lookup_pays_for_the_depth_and_for_what_it_finds() {
    // Every fiftieth range is long, so that the ranges that hold the key are far apart.
    let range = |i| {
        let end = if i % 50 == 0 { 99_999 } else { i };
        KeyRange::new(number(i), format!("{}-", number(end))).unwrap()
    };
    for n in [5_000, 50_000] {
        let index = index((0..n).map(range));
        let (n_found, n_steps) = cost(&index, &[number(n + 1)]);
        assert_eq!(n_found, n / 50);
        // With at least three of eight items in each node the tree is at most ten nodes high.
        assert!(n_steps <= 10 * (1 + n_found), "{n_steps} of {n}");
        // Nothing holds this one.
        let (n_found, n_steps) = cost(&index, &["99999-".to_owned()]);
        assert!(n_found == 0 && n_steps <= 20, "{n_found}, {n_steps} of {n}");
    }
}

#[test]
fn an_insertion_and_a_removal_cost_the_logarithm_whatever_the_ranges_are() {
    let range = |start: String, end: String| KeyRange::new(start, end + "~").unwrap();
    type Family<'a> = (&'a str, &'a dyn Fn(usize) -> KeyRange);
    let families: [Family<'_>; 6] = [
        ("ascending", &|i| range(number(i), number(i))),
        ("descending", &|i| {
            range(number(99_999 - i), number(99_999 - i))
        }),
        ("equal", &|_| range(number(0), number(0))),
        ("nested", &|i| range(number(i), number(99_999 - i))),
        ("of different lengths", &|i| {
            let start = "/".repeat(i % 300) + &number(i);
            range(start.clone(), start)
        }),
        ("at both ends in turn", &|i| match i % 2 {
            0 => range(number(50_000 + i), number(50_000 + i)),
            _ => range(number(50_000 - i), number(99_999)),
        }),
    ];
    for (name, family) in families {
        let steps = |n: usize| {
            let mut index = IntervalIndex::new();
            let mut handles: Vec<_> = (0..n).map(|i| index.insert(family(i), i)).collect();
            // In turn shortens and lengthens what all ranges begin with.
            for _ in 0..n {
                let lowest = index.insert(KeyRange::new("", "zz").unwrap(), n);
                assert_eq!(index.remove(lowest), Some(n));
            }
            while !handles.is_empty() {
                let handle = handles.swap_remove(handles.len() * 7 / 10);
                assert!(index.remove(handle).is_some());
            }
            index.n_steps() / n
        };
        let (few, many) = (steps(250), steps(4_000));
        // The logarithm grows from 8 to 12.
        assert!(many <= 2 * few, "{name}: {few} among 250, {many}");
    }
}
