//! The clocks that a guest can read.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time for one guest.
///
/// All times are nanoseconds. Implementations need not be careful: the context holds back a monotonic clock that goes
/// backwards, and reads a resolution of 0 as 1.
///
/// # Examples
///
/// A clock that the host moves by hand:
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

    /// The time since a start of the clock's own choice.
    ///
    /// Some runtimes refuse a clock that reads 0 (Go stops with "nanotime returning zero"), so 1 is a better start.
    fn monotonic_ns(&mut self) -> u64;

    /// The step by which [`realtime_ns`](Clock::realtime_ns) moves; 1 unless overridden.
    fn realtime_resolution_ns(&mut self) -> u64 {
        1
    }

    /// The step by which [`monotonic_ns`](Clock::monotonic_ns) moves; 1 unless overridden.
    fn monotonic_resolution_ns(&mut self) -> u64 {
        1
    }

    /// The time that the guest's process has computed, and with a second name its only thread. `None`, the default, is
    /// [`Errno::Inval`](crate::Errno::Inval) to the guest: there is no such clock.
    fn cpu_ns(&mut self) -> Option<u64> {
        None
    }

    /// What it means on this clock that the guest sleeps for `duration`, which is not zero.
    ///
    /// A clock whose time the host makes answers [`Sleep::Elapsed`], after moving by `duration`; the guest does not wait
    /// then. The default is [`Sleep::Wait`]: the host waits for `duration`, and this clock is not asked whether it has
    /// moved as far.
    fn sleep(&mut self, duration: Duration) -> Sleep {
        let _ = duration;
        Sleep::Wait
    }
}

/// How a guest gets to the end of a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Sleep {
    /// At once: the clock is there.
    Elapsed,
    /// By waiting as long as it takes on the host.
    Wait,
}

/// The clocks of the host.
///
/// The monotonic clock starts near 0 when the `SystemClock` is made, so that a guest does not learn how long the host
/// has been up.
#[derive(Clone, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// The clocks of the host; the monotonic one starts now.
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

/// A clock that stands still.
///
/// A guest that spins until some time has passed never ends on this clock; [`SteppingClock`] is as deterministic and
/// lets it end. A guest that sleeps goes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedClock {
    realtime_ns: u64,
}

impl FixedClock {
    /// A clock whose real time is always `secs` seconds and `nanos` nanoseconds after 1970-01-01T00:00:00Z.
    ///
    /// Times after the year 2554 saturate. The monotonic clock always reads 1.
    #[must_use]
    pub const fn at(secs: u64, nanos: u32) -> Self {
        Self {
            realtime_ns: secs
                .saturating_mul(1_000_000_000)
                .saturating_add(nanos as u64),
        }
    }
}

impl Clock for FixedClock {
    fn realtime_ns(&mut self) -> u64 {
        self.realtime_ns
    }

    fn monotonic_ns(&mut self) -> u64 {
        1
    }

    /// Every sleep is over at once, and the clock stands where it stood.
    fn sleep(&mut self, _duration: Duration) -> Sleep {
        Sleep::Elapsed
    }
}

/// A clock that moves by one step each time it is read, and by as long as the guest sleeps, and at no other time.
///
/// What a guest sees depends only on how often it has asked and how long it has slept, so two runs of one program see the
/// same times, and one that sleeps for an hour ends at once. The default of a context is `SteppingClock::new(FixedClock::at(0, 0), Duration::from_millis(1))`.
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
    /// A clock whose first reading is `step` after `start`; the monotonic clock starts at 0 and steps along.
    ///
    /// A step under 1 ns counts as 1 ns. The clock stops at the end of its range.
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
        self.step()
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

/// A clock that moves when the guest sleeps, or when the host moves it, and at no other time.
///
/// A guest that sleeps for an hour goes on at once and finds that an hour has passed. Clones share one time, so that a host
/// can watch and move it; guests that share it move each other's.
///
/// A guest that spins until some time has passed waits for its host on this clock; [`SteppingClock`] lets it end.
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
    /// A clock whose real time starts `secs` seconds and `nanos` nanoseconds after 1970-01-01T00:00:00Z, and whose monotonic
    /// time starts at 1 ns. Both stop at the end of their range.
    #[must_use]
    pub fn at(secs: u64, nanos: u32) -> Self {
        Self {
            start: FixedClock::at(secs, nanos),
            elapsed_ns: Arc::default(),
        }
    }

    /// Moves the clock on.
    ///
    /// A guest that waits for its host's streams does not notice before it reads the clock: no sleep of a guest waits
    /// for this clock.
    pub fn advance(&self, duration: Duration) {
        let add = |elapsed_ns: u64| Some(elapsed_ns.saturating_add(saturating_ns(duration)));
        // The closure never refuses.
        let _ = self
            .elapsed_ns
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// How far the clock has moved since its start.
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

/// The clock of one context: the host's, with the promises that do not depend on the host.
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

    /// Never less than at the call before.
    pub(crate) fn monotonic_ns(&mut self) -> u64 {
        self.last_monotonic_ns = self.last_monotonic_ns.max(self.clock.monotonic_ns());
        self.last_monotonic_ns
    }

    /// Never less than at the call before; `None` without such a clock.
    pub(crate) fn cpu_ns(&mut self) -> Option<u64> {
        self.last_cpu_ns = self.last_cpu_ns.max(self.clock.cpu_ns()?);
        Some(self.last_cpu_ns)
    }

    pub(crate) fn sleep(&mut self, duration: Duration) -> Sleep {
        self.clock.sleep(duration)
    }

    /// Never 0, as the specification demands.
    pub(crate) fn realtime_resolution_ns(&mut self) -> u64 {
        self.clock.realtime_resolution_ns().max(1)
    }

    /// Never 0, as the specification demands.
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
