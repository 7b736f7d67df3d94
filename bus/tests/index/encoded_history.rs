//! Histories of an index that are encoded as bytes, for the fuzzing in `bus/fuzz`. The reference
//! implementation is a linear scan.

use rangewatch_bus::KeyRange;
use rangewatch_bus::index::{Handle, IntervalIndex};

/// What bounds the time that an input takes.
#[derive(Clone, Copy)]
struct Limits {
    n_inserted: usize,
    /// The comparisons of the scans. Later lookups are skipped.
    n_comparisons: usize,
}

/// Enough for a tree of general ranges with two levels.
const SMALL: Limits = Limits {
    n_inserted: 600,
    n_comparisons: 1 << 16,
};

/// Enough for three levels.
const LARGE: Limits = Limits {
    n_inserted: 24_000,
    n_comparisons: 1 << 21,
};

/// The most bytes of a key: keys may be made of other keys.
const MAX_KEY_BYTES: usize = 1_000;

/// The numbers of entries or keys that one operation inserts, removes or looks up.
const COUNTS: [usize; 8] = [2, 5, 16, 17, 70, 200, 500, 5_000];

/// What keys are made of. Nodes of the index compare eight bytes at once, so some pieces are about
/// as long as that.
const PIECES: [&[u8]; 12] = [
    b"",
    b"\0",
    b"a",
    b"b",
    b"\xfe",
    b"\xff",
    b"aaaaaaa",
    b"aaaaaaaa",
    b"\0\0\0\0\0\0\0\0",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"/registry/pods/",
    b"namespace-0/pod-",
];

/// Performs the operations that `input` encodes, and compares the results with those of a scan. Few
/// inputs are large, so that most take milliseconds.
pub(crate) fn run(input: &[u8]) {
    let mut input = Input(input);
    let limits = match input.byte() {
        255 => LARGE,
        _ => SMALL,
    };
    let mut history = History {
        input,
        limits,
        index: IntervalIndex::new(),
        entries: Vec::new(),
        n_live: 0,
        n_comparisons: 0,
    };
    while !history.input.0.is_empty() {
        history.operation();
        assert_eq!(history.index.len(), history.n_live);
    }
    history.find_bounds();
    // Half of the entries is removed, and then the rest.
    history.remove_each(0, 2);
    history.find_bounds();
    history.remove_each(0, 1);
    assert!(history.index.is_empty());
}

/// The rest of the input. An input that has ended continues with zeros.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// A number below `end`, from one byte.
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// A number below `end`, from two bytes.
    fn below_many(&mut self, end: usize) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()])) % end
    }

    fn count(&mut self) -> usize {
        COUNTS[self.below(COUNTS.len())]
    }
}

struct History<'a> {
    input: Input<'a>,
    limits: Limits,
    index: IntervalIndex<u32>,
    /// All entries that were inserted, by their values; without a range if removed since.
    entries: Vec<(Handle, Option<KeyRange>)>,
    n_live: usize,
    n_comparisons: usize,
}

impl History<'_> {
    fn operation(&mut self) {
        match self.input.below(8) {
            0..=2 => {
                let range = self.range();
                self.insert(range);
            }
            3 => self.insert_many(),
            4 => {
                if !self.entries.is_empty() {
                    let value = self.input.below_many(self.entries.len());
                    self.remove(value);
                }
            }
            5 => {
                let (first, stride) = (self.input.below_many(LARGE.n_inserted), self.input.count());
                let n = self.input.count();
                for i in 0..n.min(self.entries.len()) {
                    self.remove((first + i * stride) % self.entries.len());
                }
            }
            6 => {
                let n = 1 + self.input.below(4);
                let keys: Vec<_> = (0..n).map(|_| self.key()).collect();
                self.find(&keys);
            }
            _ => self.find_many(),
        }
    }

    fn insert(&mut self, range: KeyRange) {
        if self.entries.len() < self.limits.n_inserted {
            let handle = self.index.insert(range.clone(), self.entries.len() as u32);
            self.entries.push((handle, Some(range)));
            self.n_live += 1;
        }
    }

    /// Removes an entry, which may have been removed before.
    fn remove(&mut self, value: usize) {
        let (handle, range) = &mut self.entries[value];
        assert_eq!(self.index.range_of(*handle), range.as_ref());
        let expected = range.take().map(|_| value as u32);
        self.n_live -= usize::from(expected.is_some());
        assert_eq!(self.index.remove(*handle), expected);
        assert_eq!(self.index.range_of(*handle), None);
    }

    /// Removes every entry of so many, those that were removed before included.
    fn remove_each(&mut self, first: usize, stride: usize) {
        for value in (first..self.entries.len()).step_by(stride) {
            self.remove(value);
        }
        assert_eq!(self.index.len(), self.n_live);
    }

    fn find(&mut self, keys: &[Vec<u8>]) {
        self.n_comparisons += keys.len() * self.entries.len();
        if self.n_comparisons > self.limits.n_comparisons {
            return;
        }
        let holds = |range: &KeyRange| {
            let holds = |key: &Vec<u8>| {
                range.start() <= key.as_slice()
                    && range.end().is_none_or(|end| key.as_slice() < end)
            };
            keys.iter().any(holds)
        };
        let expected = (0..)
            .zip(&self.entries)
            .filter(|(_, (_, range))| range.as_ref().is_some_and(holds));
        let expected: Vec<_> = expected.map(|(value, _)| value).collect();
        // A lookup appends to what the buffer holds.
        let mut found = vec![u32::MAX];
        match keys {
            [key] => self.index.find(key, &mut found),
            keys => self.index.find_any(keys, &mut found),
        }
        assert_eq!(found.remove(0), u32::MAX);
        found.sort_unstable();
        assert_eq!(found, expected, "{keys:?}");
    }

    /// Looks up bounds of entries, each with the same bytes behind it.
    fn find_many(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        let (n, first, stride) = (
            self.input.count(),
            self.input.below_many(LARGE.n_inserted),
            self.input.count(),
        );
        let suffix = PIECES[self.input.below(PIECES.len())];
        let mut keys = Vec::new();
        for i in 0..n.min(64) {
            let bound = self.bound((first + i * stride) % self.entries.len(), i % 2 == 0);
            keys.push([bound, suffix].concat());
        }
        self.find(&keys);
    }

    /// Looks up some bounds, one at a time.
    fn find_bounds(&mut self) {
        for value in (0..self.entries.len()).step_by(self.entries.len() / 4 + 1) {
            for is_start in [true, false] {
                let bound = self.bound(value, is_start).to_vec();
                self.find(&[bound]);
            }
        }
    }

    /// The start of an entry, or its end; empty if there is none.
    fn bound(&self, value: usize, is_start: bool) -> &[u8] {
        let range = self
            .entries
            .get(value)
            .and_then(|(_, range)| range.as_ref());
        let bound = match range {
            Some(range) if is_start => Some(range.start()),
            Some(range) => range.end(),
            None => None,
        };
        bound.unwrap_or_default()
    }

    fn key(&mut self) -> Vec<u8> {
        let mut key = Vec::new();
        for _ in 0..self.input.below(5) {
            match self.input.below(PIECES.len() + 5) {
                piece if piece < PIECES.len() => key.extend(PIECES[piece]),
                12 => key.push(self.input.byte()),
                13 => {
                    let (byte, n) = (self.input.byte(), self.input.byte());
                    key.resize(key.len() + usize::from(n), byte);
                }
                14 => {
                    let value = self.input.below_many(self.entries.len().max(1));
                    let is_start = self.input.below(2) == 0;
                    key.extend(self.bound(value, is_start));
                }
                15 => {
                    if let Some(last) = key.last_mut() {
                        *last = last.saturating_sub(1);
                    }
                }
                _ => _ = key.pop(),
            }
        }
        key.truncate(MAX_KEY_BYTES);
        key
    }

    fn range(&mut self) -> KeyRange {
        match self.input.below(8) {
            0 => KeyRange::key(self.key()),
            1 => KeyRange::prefix(self.key()),
            2 => KeyRange::unbounded(self.key()),
            // The same range as that of another entry, and one with the same end.
            3 | 4 if !self.entries.is_empty() => {
                let value = self.input.below_many(self.entries.len());
                let Some(range) = self.entries[value].1.clone() else {
                    return KeyRange::unbounded("");
                };
                match (self.input.below(2), range.end()) {
                    (0, _) => range,
                    (_, Some(end)) => between(self.key(), end.to_vec()),
                    (_, None) => KeyRange::unbounded(self.key()),
                }
            }
            _ => between(self.key(), self.key()),
        }
    }

    /// Inserts many ranges of one kind, whose bounds begin with the same bytes.
    fn insert_many(&mut self) {
        let (n, order, kind, base) = (
            self.input.count(),
            self.input.below(3),
            self.input.below(12),
            self.key(),
        );
        let number = |i: usize| [&base[..], &(i as u16).to_be_bytes(), b"-"].concat();
        for i in 0..n {
            let i = match order {
                0 => i,
                1 => n - 1 - i,
                // This prime divides no number of ranges, so each number occurs once.
                _ => i * 7_919 % n,
            };
            self.insert(match kind {
                0 => between(number(i), number(i + 3)),
                1 => between(number(i), number(i + n / 2)),
                2 => between(number(i), number(n)),
                3 => between(number(0), number(i + 1)),
                4 => between(number(i), number(2 * n - i)),
                5 => between(number(0), number(1)),
                6 => KeyRange::unbounded(number(i)),
                // Few long ranges among many short ones.
                7 => between(number(i), number(if i % 50 == 0 { n + i } else { i + 1 })),
                8 => KeyRange::key(number(i % 300)),
                9 => KeyRange::prefix(number(i % 300)),
                10 => KeyRange::prefix([&base[..], &vec![b'a'; i % 64]].concat()),
                _ => KeyRange::prefix(vec![0xff; i % 64]),
            });
        }
    }
}

/// The range between two keys, or the one key if they are equal.
fn between(a: Vec<u8>, b: Vec<u8>) -> KeyRange {
    let (start, end) = if a < b { (a, b) } else { (b, a) };
    KeyRange::new(&start, end).unwrap_or_else(|_| KeyRange::key(start))
}
