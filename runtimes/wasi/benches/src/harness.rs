//! How a row is measured.

use std::time::{Duration, Instant};

/// How many batches of each contender are measured, of which the median counts.
const N_BATCHES: usize = 7;
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

/// One implementation in a row: runs an operation so many times and returns the time that counts.
pub(crate) struct Contender<'a> {
    run: Box<dyn FnMut(u64) -> Duration + 'a>,
}

impl<'a> Contender<'a> {
    /// An operation all of which counts.
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
    for round in 0..N_BATCHES {
        for (i, contender) in contenders.iter_mut().enumerate() {
            // What takes seconds is not repeated as often; it is also far from any goal.
            if round > 0 && batches[i][0] * counts[i] as f64 > 1e9 {
                continue;
            }
            let time = (contender.run)(counts[i]);
            batches[i].push(time.as_nanos() as f64 / counts[i] as f64);
        }
    }
    batches.iter_mut().map(|batch| median(batch)).collect()
}

/// How many operations fill a batch.
fn calibrate(contender: &mut Contender<'_>) -> u64 {
    let mut n = 1;
    loop {
        let started = Instant::now();
        let counted = (contender.run)(n);
        if counted >= BATCH || started.elapsed() >= BATCH * 20 {
            return n;
        }
        let missing = BATCH.as_nanos() as f64 / counted.as_nanos().max(1) as f64;
        n = (n as f64 * missing.clamp(1.2, 10.0)).ceil() as u64;
    }
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// The processor time that the process spends in `action`: a peer that hands work to threads pays for them
/// too. Where the system does not tell, the time that passes.
pub(crate) fn cpu_time_of(action: impl FnOnce()) -> Duration {
    let before = cpu_time();
    action();
    cpu_time().saturating_sub(before)
}

#[cfg(unix)]
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(now).expect("the processor time of a process is not negative")
}

#[cfg(not(unix))]
fn cpu_time() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
