//! Measuring a row.

use std::time::{Duration, Instant};

/// The number of batches per contender; the median counts.
const N_BATCHES: usize = 7;
/// The target duration of a batch.
const BATCH: Duration = Duration::from_millis(25);

/// The effort per row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Runs each operation once, to check that it works.
    Smoke,
    /// Runs enough operations for comparable numbers.
    Full,
}

/// One implementation in a row: runs an operation `n` times and returns the measured time.
pub(crate) struct Contender<'a> {
    run: Box<dyn FnMut(u64) -> Duration + 'a>,
}

impl<'a> Contender<'a> {
    /// Measures the whole operation.
    pub(crate) fn new(mut op: impl FnMut() + 'a) -> Self {
        Self::timed(move |n| cpu_time_of(|| (0..n).for_each(|_| op())))
    }

    /// Measures with a closure that returns the time of the relevant part.
    pub(crate) fn timed(run: impl FnMut(u64) -> Duration + 'a) -> Self {
        Self { run: Box::new(run) }
    }
}

/// The median nanoseconds per operation of each contender. Batches alternate between contenders, so
/// that changes of the machine's load affect all of them.
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
            // An operation that takes seconds is repeated less often; it is far from any goal.
            if round > 0 && batches[i][0] * counts[i] as f64 > 1e9 {
                continue;
            }
            let time = (contender.run)(counts[i]);
            batches[i].push(time.as_nanos() as f64 / counts[i] as f64);
        }
    }
    batches.iter_mut().map(|batch| median(batch)).collect()
}

/// The number of operations per batch.
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

/// The CPU time of the process during `action`, which includes the threads of a peer. Falls back to
/// elapsed time if the system has no such clock.
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
