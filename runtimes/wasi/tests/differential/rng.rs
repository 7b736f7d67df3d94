//! A pseudorandom source of choices.

use crate::call::Choices;

/// SplitMix64: small, and identical on every machine.
pub(crate) struct Rng(pub(crate) u64);

impl Choices for Rng {
    fn next(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    /// Half of the paths begin with two directories, which are opened by one `openat2` on the host.
    fn path(&mut self) -> String {
        let below = self.pick(&["", "", "a/b/", "b/c/"]);
        format!("{below}{}", self.short_path())
    }
}
