//! A state machine without state: the emit of each value follows from the value.

use std::ops::RangeInclusive;

use bytes::Bytes;
use fastrand::Rng;

/// The first value. The revisions of etcd begin with it.
pub const FIRST: u64 = 2;

/// How many keys there are.
const N_KEYS: u64 = 40;
/// One emit in so many has a large payload, which a log stores in parts.
const LARGE_EVERY: u64 = 101;
const LARGE_BYTES: usize = 200_000;

/// A state machine. All that have the same seed emit the same.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    seed: u64,
}

impl Machine {
    /// Makes the machine of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The keys of an emit, in order, each with its payload.
    #[must_use]
    pub fn emit(&self, value: u64) -> Vec<(String, Bytes)> {
        let keys = self.keys(value).into_iter();
        keys.map(|key| {
            let payload = self.payload(value, &key);
            (key, payload)
        })
        .collect()
    }

    /// The keys of an emit, in order.
    #[must_use]
    pub fn keys(&self, value: u64) -> Vec<String> {
        let mut random = Rng::with_seed(self.seed ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let n_keys = random.usize(1..=4);
        let mut keys: Vec<_> = (0..n_keys).map(|_| random.u64(0..N_KEYS)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(|key| format!("k/{key:02}")).collect()
    }

    /// Whether an emit of `values` has a key that begins with `prefix`.
    #[must_use]
    pub fn emits(&self, prefix: &str, values: RangeInclusive<u64>) -> bool {
        let mut values = (*values.start()).max(FIRST)..=*values.end();
        values.any(|value| self.keys(value).iter().any(|key| key.starts_with(prefix)))
    }

    /// The payload of a key.
    #[must_use]
    pub fn payload(&self, value: u64, key: &str) -> Bytes {
        let text = format!("{value} {key}");
        if value.is_multiple_of(LARGE_EVERY) {
            Bytes::from(text.repeat(LARGE_BYTES / text.len()))
        } else {
            Bytes::from(text)
        }
    }
}
