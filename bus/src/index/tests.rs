use super::*;

fn index(ranges: impl IntoIterator<Item = KeyRange>) -> IntervalIndex<usize> {
    let mut index = IntervalIndex::new();
    for (value, range) in ranges.into_iter().enumerate() {
        index.insert(range, value);
    }
    index
}

/// Looks all of `keys` up; returns how many visits that made, and how many comparisons.
fn cost(index: &IntervalIndex<usize>, keys: &[String]) -> (usize, usize) {
    let before = index.n_comparisons.get();
    let mut n_visits = 0;
    index.visit_any(keys, |_| n_visits += 1);
    (n_visits, index.n_comparisons.get() - before)
}

#[test]
fn many_keys_in_many_equal_ranges_cost_no_product_of_the_two() {
    let index = index((0..1_000).map(|_| KeyRange::new("k", "l").unwrap()));
    let keys: Vec<_> = (0..1_000).map(|i| format!("k{i}")).collect();
    let (n_visits, n_comparisons) = cost(&index, &keys);
    assert_eq!(n_visits, 1_000);
    // Of each entry: the greatest end below it, its start among 1,000 keys, its own end.
    assert!(n_comparisons <= 1_000 * (1 + 11 + 1), "{n_comparisons}");
}

#[test]
fn many_keys_that_lie_in_few_ranges_pass_no_more_than_each_would_alone() {
    let range = |i| KeyRange::new(format!("{i:05}"), format!("{i:05}-")).unwrap();
    let index = index((0..10_000).map(range));
    // Every other key falls into a range, the rest between two.
    let key = |i| format!("{:05}{}", i * 97, if i % 2 == 0 { "" } else { "~" });
    let keys: Vec<_> = (0..100).map(key).collect();
    let alone: usize = keys
        .iter()
        .map(|key| cost(&index, std::slice::from_ref(key)).1)
        .sum();
    let (n_visits, n_comparisons) = cost(&index, &keys);
    assert_eq!(n_visits, 50);
    // A start is sought among at most 100 keys.
    assert!(n_comparisons <= 7 * alone, "{n_comparisons}, alone {alone}");
    assert!(n_comparisons < 10_000, "{n_comparisons}");
}
