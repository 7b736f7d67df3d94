//! Clocks that a guest can read.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::host::{Instant, SystemTime, UNIX_EPOCH};

/// A source of time for one guest. All times are nanoseconds.
///
/// The context corrects two faults of an implementation: it never lets a monotonic clock go
/// backwards, and it reads a resolution of 0 as 1.
///
/// # Examples
///
/// A clock that the host sets:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use rangewatch_wasi::{Clock, Wasi};
///
/// #[derive(Clone, Default)]
/// struct Manual(Arc<AtomicU64>);
///
/// impl Clock for Manual {
///     fn realtime_ns(&mut self) -> u64 {
///         self.0.load(Ordering::Relaxed)
///     }
///     fn monotonic_ns(&mut self) -> u64 {
///         self.0.load(Ordering::Relaxed)
///     }
/// }
///
/// let clock = Manual::default();
/// let ctx = Wasi::builder().clock(clock.clone()).build()?;
/// clock.0.store(1_000, Ordering::Relaxed);
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub trait Clock: Send {
    /// The time since 1970-01-01T00:00:00Z. The range ends in the year 2554.
    fn realtime_ns(&mut self) -> u64;

    /// The time since a start that the clock chooses.
    ///
    /// Some runtimes refuse a clock that reads 0 (Go fails with "nanotime returning zero"), so 1 is
    /// a better start.
    fn monotonic_ns(&mut self) -> u64;

    /// The resolution of [`realtime_ns`](Clock::realtime_ns). The default is 1.
    fn realtime_resolution_ns(&mut self) -> u64 {
        1
    }

    /// The resolution of [`monotonic_ns`](Clock::monotonic_ns). The default is 1.
    fn monotonic_resolution_ns(&mut self) -> u64 {
        1
    }

    /// The CPU time of the guest, for `CLOCK_PROCESS_CPUTIME_ID` and `CLOCK_THREAD_CPUTIME_ID`. The
    /// default is `None`: reading such a clock fails with [`Errno::Inval`](crate::Errno::Inval).
    fn cpu_ns(&mut self) -> Option<u64> {
        None
    }

    /// Handles a sleep of the guest for `duration`, which is not zero.
    ///
    /// A simulated clock advances by `duration` and returns [`Sleep::Elapsed`]; the guest does not
    /// wait then. The default returns [`Sleep::Wait`]: the host waits for `duration`, and does not
    /// check afterwards that this clock has advanced as far.
    fn sleep(&mut self, duration: Duration) -> Sleep {
        let _ = duration;
        Sleep::Wait
    }
}

/// How a guest's sleep ends. [`Clock::sleep`] returns it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use rangewatch_wasi::{Clock, FixedClock, Sleep, SystemClock};
///
/// let hour = Duration::from_secs(3_600);
/// assert_eq!(SystemClock::new().sleep(hour), Sleep::Wait);
/// assert_eq!(FixedClock::at(0, 0).sleep(hour), Sleep::Elapsed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a sleep either has elapsed or has to be waited for"
)]
pub enum Sleep {
    /// Immediately: the clock counts the sleep as elapsed.
    Elapsed,
    /// By waiting for the duration on the host.
    Wait,
}

/// The real-time and monotonic clocks of the host.
///
/// The monotonic clock starts near 0 when the `SystemClock` is created, so that a guest does not
/// learn the uptime of the host.
///
/// On wasm32-unknown-unknown it needs the feature `web`, and panics without it, as std's clocks do.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{Clock, SystemClock};
///
/// let mut clock = SystemClock::new();
/// let start_ns = clock.monotonic_ns();
/// assert!(clock.monotonic_ns() >= start_ns && start_ns > 0);
/// ```
#[derive(Clone, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Makes a clock whose monotonic time starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    /// A host clock before 1970 reads as 0, one after 2554 as the last nanosecond of the range.
    fn realtime_ns(&mut self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, saturating_ns)
    }

    fn monotonic_ns(&mut self) -> u64 {
        saturating_ns(self.start.elapsed()).saturating_add(1)
    }
}

/// A clock that always reads the same time.
///
/// A guest that spins until some time has passed never ends on this clock. [`SteppingClock`] is as
/// deterministic and moves. Every sleep of a guest is over at once.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use rangewatch_wasi::{Clock, FixedClock};
///
/// let mut clock = FixedClock::at(1_690_674_910, 0).monotonic_at(Duration::from_secs(5));
/// assert_eq!(clock.realtime_ns(), 1_690_674_910_000_000_000);
/// assert_eq!(clock.monotonic_ns(), 5_000_000_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedClock {
    realtime_ns: u64,
    monotonic_ns: u64,
}

impl FixedClock {
    /// Makes a clock whose real time is always `secs` seconds and `nanos` nanoseconds after
    /// 1970-01-01T00:00:00Z.
    ///
    /// Times after the year 2554 saturate. The monotonic clock reads 1 ns unless
    /// [`monotonic_at`](Self::monotonic_at) sets it.
    #[must_use]
    pub const fn at(secs: u64, nanos: u32) -> Self {
        Self {
            realtime_ns: secs
                .saturating_mul(1_000_000_000)
                .saturating_add(nanos as u64),
            monotonic_ns: 1,
        }
    }

    /// Sets what the monotonic clock reads. Some runtimes refuse 0: Go stops with "nanotime
    /// returning zero".
    #[must_use]
    pub fn monotonic_at(self, elapsed: Duration) -> Self {
        Self {
            monotonic_ns: saturating_ns(elapsed),
            ..self
        }
    }
}

impl Clock for FixedClock {
    fn realtime_ns(&mut self) -> u64 {
        self.realtime_ns
    }

    fn monotonic_ns(&mut self) -> u64 {
        self.monotonic_ns
    }

    /// Every sleep is over at once, and the clock does not move.
    fn sleep(&mut self, _duration: Duration) -> Sleep {
        Sleep::Elapsed
    }
}

/// A clock that advances by one step per reading and by the duration of each sleep.
///
/// The readings depend only on the number of earlier readings and on the time slept, so two runs of
/// one program see the same times. A sleep of an hour ends immediately. The default of a context is
/// `SteppingClock::new(FixedClock::at(0, 0), Duration::from_millis(1))`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use rangewatch_wasi::{Clock, FixedClock, SteppingClock};
///
/// let mut clock = SteppingClock::new(FixedClock::at(1_690_674_910, 0), Duration::from_secs(1));
/// assert_eq!(clock.realtime_ns(), 1_690_674_911_000_000_000);
/// assert_eq!(clock.monotonic_ns(), 2_000_000_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteppingClock {
    start: FixedClock,
    step_ns: u64,
    elapsed_ns: u64,
}

impl SteppingClock {
    /// A clock whose first reading is `step` after `start`. The monotonic clock starts 1 ns below
    /// that of `start`, which is 0 by default, and moves with it.
    ///
    /// A step under 1 ns counts as 1 ns. The clock saturates at the end of its range.
    #[must_use]
    pub fn new(start: FixedClock, step: Duration) -> Self {
        Self {
            start,
            step_ns: saturating_ns(step).max(1),
            elapsed_ns: 0,
        }
    }

    fn step(&mut self) -> u64 {
        self.elapsed_ns = self.elapsed_ns.saturating_add(self.step_ns);
        self.elapsed_ns
    }
}

impl Clock for SteppingClock {
    fn realtime_ns(&mut self) -> u64 {
        let elapsed_ns = self.step();
        self.start.realtime_ns.saturating_add(elapsed_ns)
    }

    fn monotonic_ns(&mut self) -> u64 {
        let elapsed_ns = self.step();
        let start_ns = self.start.monotonic_ns.saturating_sub(1);
        start_ns.saturating_add(elapsed_ns)
    }

    fn realtime_resolution_ns(&mut self) -> u64 {
        self.step_ns
    }

    fn monotonic_resolution_ns(&mut self) -> u64 {
        self.step_ns
    }

    fn sleep(&mut self, duration: Duration) -> Sleep {
        self.elapsed_ns = self.elapsed_ns.saturating_add(saturating_ns(duration));
        Sleep::Elapsed
    }
}

/// A clock that advances by the duration of each sleep, and when the host calls
/// [`advance`](Self::advance).
///
/// A sleep of an hour ends immediately, and the clock then reads an hour later. Clones share one
/// time, so that a host can read and advance it. A guest that sleeps also advances the clock of the
/// other guests that share it.
///
/// A guest that loops until a deadline spins on this clock until the host advances it;
/// [`SteppingClock`] ends such loops.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use rangewatch_wasi::{VirtualClock, Wasi};
///
/// let clock = VirtualClock::at(1_690_674_910, 0);
/// let ctx = Wasi::builder().clock(clock.clone()).build()?;
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.elapsed(), Duration::from_secs(60));
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct VirtualClock {
    start: FixedClock,
    elapsed_ns: Arc<AtomicU64>,
}

impl VirtualClock {
    /// Makes a clock whose real time starts `secs` seconds and `nanos` nanoseconds after
    /// 1970-01-01T00:00:00Z, and whose monotonic time starts at 1 ns. Both saturate at the end of
    /// their range.
    #[must_use]
    pub fn at(secs: u64, nanos: u32) -> Self {
        Self {
            start: FixedClock::at(secs, nanos),
            elapsed_ns: Arc::default(),
        }
    }

    /// Advances the clock.
    ///
    /// It wakes no guest: no sleep of a guest waits for this clock, and a guest that waits for a
    /// stream reads the new time at its next clock call.
    pub fn advance(&self, duration: Duration) {
        let add = |elapsed_ns: u64| Some(elapsed_ns.saturating_add(saturating_ns(duration)));
        // The closure always returns `Some`, so the update cannot fail.
        let _ = self
            .elapsed_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// The time by which the clock has advanced since its start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::Relaxed))
    }
}

impl Clock for VirtualClock {
    fn realtime_ns(&mut self) -> u64 {
        let elapsed_ns = self.elapsed_ns.load(Ordering::Relaxed);
        self.start.realtime_ns.saturating_add(elapsed_ns)
    }

    fn monotonic_ns(&mut self) -> u64 {
        self.elapsed_ns.load(Ordering::Relaxed).saturating_add(1)
    }

    fn sleep(&mut self, duration: Duration) -> Sleep {
        self.advance(duration);
        Sleep::Elapsed
    }
}

/// The clock of one context: the host's clock, with the guarantees that do not depend on the host.
pub(crate) struct GuestClock {
    clock: Box<dyn Clock>,
    last_monotonic_ns: u64,
    last_cpu_ns: u64,
}

impl GuestClock {
    pub(crate) fn new(clock: Box<dyn Clock>) -> Self {
        Self {
            clock,
            last_monotonic_ns: 0,
            last_cpu_ns: 0,
        }
    }

    pub(crate) fn realtime_ns(&mut self) -> u64 {
        self.clock.realtime_ns()
    }

    /// Never less than the previous reading.
    pub(crate) fn monotonic_ns(&mut self) -> u64 {
        self.last_monotonic_ns = self.last_monotonic_ns.max(self.clock.monotonic_ns());
        self.last_monotonic_ns
    }

    /// Never less than the previous reading; `None` if the host has no such clock.
    pub(crate) fn cpu_ns(&mut self) -> Option<u64> {
        self.last_cpu_ns = self.last_cpu_ns.max(self.clock.cpu_ns()?);
        Some(self.last_cpu_ns)
    }

    pub(crate) fn sleep(&mut self, duration: Duration) -> Sleep {
        self.clock.sleep(duration)
    }

    /// Never 0, as the specification requires.
    pub(crate) fn realtime_resolution_ns(&mut self) -> u64 {
        self.clock.realtime_resolution_ns().max(1)
    }

    /// Never 0, as the specification requires.
    pub(crate) fn monotonic_resolution_ns(&mut self) -> u64 {
        self.clock.monotonic_resolution_ns().max(1)
    }
}

impl fmt::Debug for GuestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestClock")
            .field("last_monotonic_ns", &self.last_monotonic_ns)
            .finish_non_exhaustive()
    }
}

pub(crate) fn saturating_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
