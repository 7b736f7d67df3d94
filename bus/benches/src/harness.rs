//! How a row is measured.

use std::time::{Duration, Instant};

/// How many batches of each contender are measured, of which the median counts.
const N_BATCHES: usize = 9;
/// How long a batch should take.
const BATCH: Duration = Duration::from_millis(25);

/// How much is done for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Each operation once: whether it works.
    Smoke,
    /// As many as a number takes that can be compared.
    Full,
}

impl Effort {
    /// How many samples of a latency are taken of `full`.
    pub(crate) fn samples(self, full: usize) -> usize {
        match self {
            Self::Smoke => 2,
            Self::Full => full,
        }
    }
}

/// One implementation in a row: runs an operation so many times and returns the time that counts.
pub(crate) struct Contender<'a> {
    run: Box<dyn FnMut(u64) -> Duration + 'a>,
}

impl<'a> Contender<'a> {
    /// An operation all of which counts, by the processor time of this thread.
    pub(crate) fn new(mut op: impl FnMut() + 'a) -> Self {
        Self::timed(move |n| cpu_time_of(|| (0..n).for_each(|_| op())))
    }

    /// Runs that measure themselves, because not all of them counts.
    pub(crate) fn timed(run: impl FnMut(u64) -> Duration + 'a) -> Self {
        Self { run: Box::new(run) }
    }
}

/// The median nanoseconds per operation of each contender. Batches take turns, so that what changes in the
/// course of the row changes for all.
pub(crate) fn measure(effort: Effort, contenders: &mut [Contender<'_>]) -> Vec<f64> {
    if effort == Effort::Smoke {
        return contenders
            .iter_mut()
            .map(|contender| (contender.run)(1).as_nanos() as f64)
            .collect();
    }
    let counts: Vec<u64> = contenders.iter_mut().map(calibrate).collect();
    let mut batches = vec![Vec::with_capacity(N_BATCHES); contenders.len()];
    for _ in 0..N_BATCHES {
        for (i, contender) in contenders.iter_mut().enumerate() {
            let time = (contender.run)(counts[i]);
            batches[i].push(time.as_nanos() as f64 / counts[i] as f64);
        }
    }
    batches
        .iter_mut()
        .map(|batch| quantile(batch, 0.5))
        .collect()
}

/// How many operations fill a batch.
fn calibrate(contender: &mut Contender<'_>) -> u64 {
    let mut n = 1;
    loop {
        let started = Instant::now();
        (contender.run)(n);
        let time = started.elapsed();
        if time >= BATCH {
            return n;
        }
        let missing = BATCH.as_nanos() as f64 / time.as_nanos().max(1) as f64;
        n = (n as f64 * missing.clamp(1.2, 10.0)).ceil() as u64;
    }
}

/// The value below which the share `q` of the samples lies.
pub(crate) fn quantile(samples: &mut [f64], q: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1);
    samples[(last as f64 * q).round() as usize]
}

/// The processor time that this thread spends in `action`; where the system does not tell, the time that
/// passes.
pub(crate) fn cpu_time_of(action: impl FnOnce()) -> Duration {
    let before = cpu_time();
    action();
    cpu_time().saturating_sub(before)
}

#[cfg(unix)]
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("the processor time of a thread is not negative")
}

#[cfg(not(unix))]
fn cpu_time() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
