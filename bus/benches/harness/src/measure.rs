//! The measurement of one row.

use std::fmt;
use std::time::{Duration, Instant};

use crate::Clock;

/// How many batches of each contender are measured; their median counts.
const N_BATCHES: usize = 9;
/// The time that counts of one batch, at least.
const BATCH: Duration = Duration::from_millis(25);
/// The greatest wall-clock time of a batch, in multiples of [`BATCH`]: most of an operation may not
/// count.
const MAX_UNCOUNTED: u32 = 20;
/// A contender whose batch takes longer is measured once, because it is far from any goal.
const SLOW_BATCH: Duration = Duration::from_secs(1);

/// How many operations are run for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effort {
    /// Each operation once, to check that it works.
    Smoke,
    /// Enough for times that can be compared.
    Full,
}

impl Effort {
    /// The number of samples of a latency: `full`, or a few.
    #[must_use]
    pub fn samples(self, full: usize) -> usize {
        match self {
            Self::Smoke => full.min(2),
            Self::Full => full,
        }
    }
}

/// One implementation in a row: runs an operation a number of times and returns the time that
/// counts.
pub struct Contender<'a> {
    run: Box<dyn FnMut(u64) -> Duration + 'a>,
}

impl<'a> Contender<'a> {
    /// An operation that counts as a whole, in the processor time of the calling thread.
    pub fn new(op: impl FnMut() + 'a) -> Self {
        Self::on(Clock::Thread, op)
    }

    /// An operation that counts as a whole, in the processor time of `clock`.
    pub fn on(clock: Clock, mut op: impl FnMut() + 'a) -> Self {
        Self::timed(move |n| clock.time(|| (0..n).for_each(|_| op())))
    }

    /// An operation that counts in part: `run` runs it the given number of times and returns the
    /// time of that part.
    pub fn timed(run: impl FnMut(u64) -> Duration + 'a) -> Self {
        Self { run: Box::new(run) }
    }
}

impl fmt::Debug for Contender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender").finish_non_exhaustive()
    }
}

/// Measures the median nanoseconds per operation of each contender.
///
/// The batches of the contenders take turns, so that a change of the machine's load affects all of
/// them.
pub fn measure(effort: Effort, contenders: &mut [Contender<'_>]) -> Vec<f64> {
    if effort == Effort::Smoke {
        return contenders
            .iter_mut()
            .map(|contender| (contender.run)(1).as_nanos() as f64)
            .collect();
    }
    let counts: Vec<u64> = contenders.iter_mut().map(calibrate).collect();
    let mut batches = vec![Vec::with_capacity(N_BATCHES); contenders.len()];
    for round in 0..N_BATCHES {
        for (i, contender) in contenders.iter_mut().enumerate() {
            if round > 0 && batches[i][0] * counts[i] as f64 > SLOW_BATCH.as_nanos() as f64 {
                continue;
            }
            let time = (contender.run)(counts[i]);
            batches[i].push(time.as_nanos() as f64 / counts[i] as f64);
        }
    }
    batches
        .iter_mut()
        .map(|batch| quantile(batch, 0.5))
        .collect()
}

/// The number of operations in a batch.
fn calibrate(contender: &mut Contender<'_>) -> u64 {
    let mut n = 1;
    loop {
        let started = Instant::now();
        let counted = (contender.run)(n);
        if counted >= BATCH || started.elapsed() >= BATCH * MAX_UNCOUNTED {
            return n;
        }
        let missing = BATCH.as_nanos() as f64 / counted.as_nanos().max(1) as f64;
        n = (n as f64 * missing.clamp(1.2, 10.0)).ceil() as u64;
    }
}

/// The value below which the share `q` of the samples lies; 0 of no samples.
pub fn quantile(samples: &mut [f64], q: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1);
    let i = (last as f64 * q).round() as usize;
    samples.get(i).copied().unwrap_or_default()
}
