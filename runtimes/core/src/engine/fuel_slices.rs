//! The fuel of one call, in slices.

use crate::guest::limits::Limits;

/// The fuel of one call, for a backend that gives its engine one slice at a time and yields in
/// between.
#[derive(Debug)]
pub struct FuelSlices {
    left: u64,
    slice: u64,
    /// The last slice.
    last: u64,
}

impl FuelSlices {
    /// The fuel that `limits` give to one call, in slices of at most `max_slice`.
    #[must_use]
    #[inline]
    pub fn new(limits: &Limits, max_slice: u64) -> Self {
        Self {
            left: limits.max_fuel_per_call().unwrap_or(u64::MAX),
            slice: limits.max_fuel_slice().min(max_slice),
            last: 0,
        }
    }

    /// The fuel of the call that no slice has been given yet.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Deducts the work of the host that exceeded a slice: `false` if the call has no fuel left for
    /// it.
    #[must_use = "a call without fuel ends"]
    pub fn deduct(&mut self, units: u64) -> bool {
        let is_left = units <= self.left;
        self.left = self.left.saturating_sub(units);
        is_left
    }

    /// The fuel that the engine has for the next slice, in place of the `unused` fuel that it still
    /// has of the last one. It is enough for the next instruction, which needs `required` more than
    /// `unused`. `None` if the call has used its fuel.
    #[inline]
    pub fn next_slice(&mut self, unused: u64, required: u64) -> Option<u64> {
        let needed = unused.saturating_add(required);
        // An engine that used nothing needs more for one instruction than it says.
        let is_stalled = self.last > 0 && unused >= self.last;
        let at_least = if is_stalled {
            needed.max(self.last.saturating_mul(2))
        } else {
            needed
        };
        self.left = self.left.saturating_add(unused);
        let slice = self.slice.max(at_least).min(self.left);
        if required > self.left || (is_stalled && slice <= self.last) {
            return None;
        }
        self.left -= slice;
        self.last = slice;
        Some(slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_its_fuel_in_slices() {
        let limits = Limits::default().fuel_per_call(25).fuel_slice(10);
        let mut slices = FuelSlices::new(&limits, u64::MAX);
        assert_eq!(slices.next_slice(0, 0), Some(10));
        assert_eq!(slices.next_slice(2, 3), Some(10), "2 are left of the first");
        assert_eq!(slices.next_slice(0, 7), Some(7), "the rest");
        assert_eq!(slices.next_slice(0, 1), None);
    }

    #[test]
    fn an_instruction_that_needs_more_than_a_slice_has_it() {
        let limits = Limits::default().fuel_slice(10);
        let mut slices = FuelSlices::new(&limits, u64::MAX);
        assert_eq!(slices.next_slice(0, 0), Some(10));
        assert_eq!(slices.next_slice(9, 5), Some(14));
    }

    #[test]
    fn an_engine_that_asks_for_too_little_gets_more_or_is_out_of_fuel() {
        let limits = Limits::default().fuel_per_call(25).fuel_slice(10);
        let mut slices = FuelSlices::new(&limits, 5);
        assert_eq!(slices.next_slice(0, 0), Some(5));
        assert_eq!(slices.next_slice(5, 1), Some(10));
        assert_eq!(slices.next_slice(10, 1), Some(20));
        assert_eq!(slices.next_slice(20, 1), Some(25));
        assert_eq!(slices.next_slice(25, 1), None, "there is no more");
    }
}
