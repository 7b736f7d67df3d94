//! Ranges of keys as etcd writes them.

use rangewatch_bus::KeyRange;

/// A key and the end of a range, as requests have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EtcdRange {
    pub(crate) key: Vec<u8>,
    /// Empty: the one key. A zero byte: every key from `key` on.
    pub(crate) end: Vec<u8>,
}

impl EtcdRange {
    /// The keys of `range` that can exist: etcd has no empty key. `None` if none can.
    pub(crate) fn new(range: &KeyRange) -> Option<Self> {
        let key: &[u8] = match range.start() {
            [] => &[0],
            start => start,
        };
        let end: &[u8] = match range.end() {
            None => &[0],
            Some(end) if end <= key => return None,
            // A user that may read one key may not read a range that holds only this key.
            Some(end) if end.strip_suffix(&[0]) == Some(key) => &[],
            Some(end) => end,
        };
        Some(Self {
            key: key.to_vec(),
            end: end.to_vec(),
        })
    }

    /// What lies above `last` of the range.
    pub(crate) fn after(&self, last: &[u8]) -> Self {
        Self {
            key: [last, &[0]].concat(),
            end: self.end.clone(),
        }
    }
}

/// The keys that lie in both ranges.
pub(crate) fn intersection(a: &KeyRange, b: &KeyRange) -> Option<KeyRange> {
    let start = a.start().max(b.start());
    let end = match (a.end(), b.end()) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    match end {
        None => Some(KeyRange::unbounded(start)),
        Some(end) => KeyRange::new(start, end).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etcd(range: &KeyRange) -> Option<(Vec<u8>, Vec<u8>)> {
        EtcdRange::new(range).map(|range| (range.key, range.end))
    }

    fn pair(key: &str, end: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        Some((key.into(), end.into()))
    }

    #[test]
    fn ranges_are_written_as_etcd_reads_them() {
        let range = |from, to| KeyRange::new(from, to).unwrap();
        assert_eq!(etcd(&range("a", "m")), pair("a", "m"));
        assert_eq!(etcd(&KeyRange::key("a")), pair("a", ""));
        assert_eq!(etcd(&range("a", "a\0")), pair("a", ""));
        assert_eq!(etcd(&KeyRange::prefix("a/")), pair("a/", "a0"));
        let top = KeyRange::prefix([0xff, 0xff]);
        assert_eq!(etcd(&top), Some((vec![0xff, 0xff], vec![0])));
        assert_eq!(etcd(&KeyRange::unbounded("a")), pair("a", "\0"));
    }

    #[test]
    fn the_empty_key_does_not_exist() {
        assert_eq!(etcd(&KeyRange::unbounded("")), pair("\0", "\0"));
        assert_eq!(etcd(&KeyRange::prefix("")), pair("\0", "\0"));
        assert_eq!(etcd(&KeyRange::new("", "b").unwrap()), pair("\0", "b"));
        assert_eq!(etcd(&KeyRange::key("")), None);
        assert_eq!(etcd(&KeyRange::new("", "\0\0").unwrap()), pair("\0", ""));
    }

    #[test]
    fn an_intersection_holds_the_keys_of_both() {
        let ranges = ["", "a", "b", "c"].map(KeyRange::unbounded).into_iter();
        let bounded = [("", "a"), ("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")];
        let bounded = bounded.map(|(from, to)| KeyRange::new(from, to).unwrap());
        let ranges: Vec<_> = ranges.chain(bounded).collect();
        for (a, b) in ranges
            .iter()
            .flat_map(|a| ranges.iter().map(move |b| (a, b)))
        {
            let both = intersection(a, b);
            for key in ["", "a", "aa", "b", "bb", "c", "cc", "d", "e"].map(str::as_bytes) {
                let expected = a.contains(key) && b.contains(key);
                let found = both.as_ref().is_some_and(|both| both.contains(key));
                assert_eq!(found, expected, "{a:?} {b:?} {key:?}");
            }
        }
    }
}
