//! The events that a queue has dropped and not yet reported.

use std::collections::VecDeque;

/// The greatest number of runs. Bounds the memory of a queue whose consumer does
/// not receive, to 24 bytes for each.
const MAX_RUNS: usize = 64;

/// Counts dropped events, in the order of their emits. They lie before everything retained, in one
/// piece.
///
/// The values are stored as runs of consecutive values, so that
/// [`discard_through`](Self::discard_through) is exact. Beyond [`MAX_RUNS`] the oldest runs are
/// merged, which makes it inexact within them.
pub(crate) struct Missed {
    n_events: u64,
    runs: VecDeque<Run>,
}

struct Run {
    least: u64,
    greatest: u64,
    n_events: u64,
}

impl Missed {
    pub(crate) const fn new() -> Self {
        Self {
            n_events: 0,
            runs: VecDeque::new(),
        }
    }

    pub(crate) const fn n_events(&self) -> u64 {
        self.n_events
    }

    /// Counts an event.
    pub(crate) fn push(&mut self, value: u64) {
        self.n_events += 1;
        if let Some(run) = self.runs.back_mut()
            && run.is_consecutive()
            && run.greatest.checked_add(1) == Some(value)
        {
            run.greatest = value;
            run.n_events += 1;
            return;
        }
        if self.runs.len() == MAX_RUNS
            && let Some(oldest) = self.runs.pop_front()
            && let Some(run) = self.runs.front_mut()
        {
            run.least = run.least.min(oldest.least);
            run.greatest = run.greatest.max(oldest.greatest);
            run.n_events += oldest.n_events;
        }
        self.runs.push_back(Run {
            least: value,
            greatest: value,
            n_events: 1,
        });
    }

    /// Takes the number of events to report.
    pub(crate) fn take(&mut self) -> u64 {
        std::mem::replace(self, Self::new()).n_events
    }

    /// Discards the events with a value up to `value`. Returns their number.
    ///
    /// Of runs that were merged either all events are discarded or none.
    pub(crate) fn discard_through(&mut self, value: u64) -> u64 {
        let before = self.n_events;
        self.runs.retain_mut(|run| {
            let n_events = run.n_events;
            if run.greatest <= value {
                run.n_events = 0;
            } else if run.least <= value && run.is_consecutive() {
                run.n_events = run.greatest - value;
                run.least = value + 1;
            }
            self.n_events -= n_events - run.n_events;
            run.n_events > 0
        });
        before - self.n_events
    }
}

impl Run {
    /// Whether every value from the least to the greatest was dropped, once.
    const fn is_consecutive(&self) -> bool {
        self.greatest - self.least == self.n_events - 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn g18_the_number_of_missed_events_is_exact_up_to_the_greatest_number_of_runs() {
        let mut missed = Missed::new();
        (0..MAX_RUNS as u64).for_each(|i| missed.push(10 * i));
        assert_eq!(missed.discard_through(305), 31);
        assert_eq!(missed.take(), 33);
        assert_eq!(missed.take(), 0);
        (1..=1_000).for_each(|value| missed.push(value));
        assert_eq!((missed.runs.len(), missed.discard_through(999)), (1, 999));
    }

    #[test]
    fn g17_runs_are_merged_when_they_are_too_many_and_never_report_less_than_was_missed() {
        let mut missed = Missed::new();
        (0..1_000).for_each(|i| missed.push(10 * i));
        assert_eq!(missed.runs.len(), MAX_RUNS);
        // The merged runs are discarded together.
        assert_eq!(missed.discard_through(100), 0);
        assert_eq!(missed.discard_through(9_985), 999);
        assert_eq!(missed.take(), 1);
    }

    proptest! {
        #[test]
        fn g18_a_few_runs_agree_with_a_list(
            values in prop::collection::vec(0..40_u64, 0..60),
            through in 0..40_u64,
        ) {
            let mut missed = Missed::new();
            values.iter().for_each(|value| missed.push(*value));
            let n_discarded = values.iter().filter(|value| **value <= through).count() as u64;
            // Two events of one value in a row are two runs.
            prop_assert_eq!(missed.discard_through(through), n_discarded);
            prop_assert_eq!(missed.take(), values.len() as u64 - n_discarded);
        }
    }
}
