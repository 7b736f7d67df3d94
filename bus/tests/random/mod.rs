//! Random numbers, keys and selectors.

#![allow(dead_code, reason = "not every test binary uses all of it")]

use rangewatch_bus::{Selector, Selectors};

/// Numbers that look random and are the same in every run: xorshift.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    pub(crate) fn key(&mut self) -> String {
        (0..self.below(3))
            .map(|_| ["a", "b", "c", "d"][self.below(4)])
            .collect()
    }

    pub(crate) fn selectors(&mut self) -> Selectors {
        (0..1 + self.below(3))
            .map(|_| match self.below(4) {
                0 => Selector::key(self.key()),
                1 => Selector::prefix(self.key()),
                2 => Selector::from_key(self.key()),
                _ => Selector::range("a", "c"),
            })
            .collect()
    }
}
