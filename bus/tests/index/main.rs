//! The interval index against reference implementations that get the same ranges: a linear scan,
//! and a treap where a scan would take too long. They find the same values, as ranges are inserted
//! and removed.

#[path = "../cases/mod.rs"]
mod cases;
mod encoded_history;
mod histories;
#[path = "../random/mod.rs"]
mod random;
mod treap;

use proptest::collection::vec;
use proptest::prelude::*;
use rangewatch_bus::index::{Handle, IntervalIndex};
use rangewatch_bus::{KeyRange, Selector};

/// The reference implementation: a list and a scan.
#[derive(Default)]
struct Scan(Vec<(Handle, Selector, u32)>);

impl Scan {
    fn find_any(&self, keys: &[Vec<u8>]) -> Vec<u32> {
        let holds = |selector: &Selector| keys.iter().any(|key| selector.matches(key));
        self.0
            .iter()
            .filter(|(_, selector, _)| holds(selector))
            .map(|&(.., value)| value)
            .collect()
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert(Selector),
    /// Removes the entry of one of the handles made so far; one whose entry was removed before is
    /// stale, and removes nothing.
    Remove(prop::sample::Index),
    Find(Vec<u8>),
    FindAny(Vec<Vec<u8>>),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => cases::selector().prop_map(Op::Insert),
        2 => any::<prop::sample::Index>().prop_map(Op::Remove),
        3 => cases::key().prop_map(Op::Find),
        2 => many_keys().prop_map(Op::FindAny),
    ]
}

/// 0 to 44 keys in any order, some of them repeated; the empty key may be among them. Up to 16 keys
/// of a lookup need no allocation, so that there are cases below and above.
fn many_keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let distinct = prop_oneof![vec(cases::key(), 0..5), vec(cases::key(), 20..40)];
    let repeated = vec(any::<prop::sample::Index>(), 0..5);
    (distinct, repeated).prop_map(|(mut keys, repeated)| {
        if !keys.is_empty() {
            for pick in repeated {
                keys.push(pick.get(&keys).clone());
            }
        }
        keys
    })
}

proptest! {
    #![proptest_config(cases::config())]

    #[test]
    fn g10_the_index_agrees_with_a_scan(ops in vec(op(), 1..60)) {
        let mut index = IntervalIndex::new();
        let mut scan = Scan::default();
        let mut handles = Vec::new();
        for (value, op) in (0..).zip(ops) {
            match op {
                Op::Insert(selector) => {
                    let handle = index.insert(KeyRange::try_from(&selector).unwrap(), value);
                    handles.push(handle);
                    scan.0.push((handle, selector, value));
                }
                Op::Remove(pick) if !handles.is_empty() => {
                    let handle = *pick.get(&handles);
                    let position = scan.0.iter().position(|(live, ..)| *live == handle);
                    let expected = position.map(|position| scan.0.remove(position).2);
                    prop_assert_eq!(index.range_of(handle).is_some(), expected.is_some());
                    prop_assert_eq!(index.remove(handle), expected);
                    prop_assert!(index.range_of(handle).is_none());
                }
                Op::Remove(_) => {}
                Op::Find(key) => {
                    let mut found = Vec::new();
                    index.find(&key, &mut found);
                    found.sort_unstable();
                    prop_assert_eq!(found, scan.find_any(&[key]));
                }
                Op::FindAny(keys) => {
                    let mut found = Vec::new();
                    index.find_any(&keys, &mut found);
                    found.sort_unstable();
                    prop_assert_eq!(found, scan.find_any(&keys));
                }
            }
            prop_assert_eq!(index.len(), scan.0.len());
        }
    }
}

#[test]
fn g10_many_ranges_are_found_and_removed_in_any_order() {
    let mut index = IntervalIndex::new();
    let range = |i: u32| KeyRange::new(format!("{i:05}"), format!("{:05}", i + 10)).unwrap();
    // 7919 and 10,000 have no common divisor: each number occurs once, in a shuffled order.
    let mut handles: Vec<_> = (0..10_000)
        .map(|i| i * 7919 % 10_000)
        .map(|i| (i, index.insert(range(i), i)))
        .collect();
    let mut found = Vec::new();
    // The ranges that begin at `i` or up to 9 below hold the key `i`.
    for i in [0_u32, 5, 4_321, 9_999] {
        found.clear();
        index.find(format!("{i:05}").as_bytes(), &mut found);
        found.sort_unstable();
        assert!(found.iter().copied().eq(i.saturating_sub(9)..=i));
    }
    handles.sort_unstable_by_key(|(i, _)| *i);
    for (i, handle) in handles {
        assert_eq!(index.remove(handle), Some(i));
    }
    assert!(index.is_empty());
}

#[test]
fn a_lookup_appends_to_what_the_buffer_holds() {
    let mut index = IntervalIndex::new();
    index.insert(KeyRange::unbounded(""), 1);
    let mut found = vec![0];
    index.find(b"key", &mut found);
    index.find_any(["key", "other"], &mut found);
    assert_eq!(found, [0, 1, 1]);
}

#[test]
fn g26_a_stale_handle_removes_nothing_also_after_its_slot_is_reused() {
    let mut index = IntervalIndex::new();
    let stale = index.insert(KeyRange::unbounded("a"), "old");
    assert_eq!(index.remove(stale), Some("old"));
    let kept = index.insert(KeyRange::unbounded("a"), "new");
    assert_eq!(index.remove(stale), None);
    assert!(index.range_of(stale).is_none());
    assert_eq!(index.range_of(kept), Some(&KeyRange::unbounded("a")));
    assert_eq!(index.len(), 1);
}

#[test]
fn g10_the_inputs_of_the_fuzzing_find_what_a_scan_finds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/index");
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(!inputs.is_empty());
    for input in inputs {
        let path = input.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        let result = std::panic::catch_unwind(|| encoded_history::run(&input));
        assert!(result.is_ok(), "{}", path.display());
    }
}
