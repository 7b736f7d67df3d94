//! The time between attempts to connect.

use std::time::Duration;

/// How long a reader or an appender waits before it connects again: a random time between half of
/// a step and the step, which doubles from `min` up to `max` with each attempt that fails.
///
/// The randomness keeps a hundred processes from connecting at the same moment after the server has
/// restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits about `min` after the first attempt that fails, and at most `max`.
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max }
    }

    /// The time to wait after so many attempts have failed, at least 1.
    pub(crate) fn delay(self, n_failed: u32, random: &mut fastrand::Rng) -> Duration {
        let doubled = 1_u32.checked_shl(n_failed.saturating_sub(1));
        let doubled = doubled.and_then(|factor| self.min.checked_mul(factor));
        let step = doubled.unwrap_or(self.max).min(self.max);
        step.mul_f64(random.f64().mul_add(0.5, 0.5))
    }
}

impl Default for Backoff {
    /// From 50 ms to 5 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_greatest_and_are_random() {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(70));
        let mut random = fastrand::Rng::with_seed(1);
        for (n_failed, step) in [(1, 10), (2, 20), (3, 40), (4, 70), (40, 70), (u32::MAX, 70)] {
            let mut seen = std::collections::HashSet::new();
            for _ in 0..100 {
                let delay = backoff.delay(n_failed, &mut random);
                assert!(
                    delay >= Duration::from_millis(step) / 2,
                    "{delay:?} after {n_failed}"
                );
                assert!(
                    delay <= Duration::from_millis(step),
                    "{delay:?} after {n_failed}"
                );
                seen.insert(delay);
            }
            assert!(seen.len() > 50, "random after {n_failed}");
        }
    }
}
