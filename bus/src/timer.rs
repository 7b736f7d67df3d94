//! Sources of time.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::delay::delay;
use crate::emit::WakeList;
use crate::sync::Mutex;

/// The future that a [`Timer`] returns.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use rangewatch_bus::timer::{Sleep, ThreadTimer, Timer};
///
/// # futures::executor::block_on(async {
/// let sleep: Sleep = ThreadTimer.sleep(Duration::from_millis(1));
/// sleep.await;
/// # });
/// ```
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time, for [progress marks at an interval](crate::SubscribeBuilder::progress_every).
/// A bus uses time for nothing else.
///
/// Set with [`RangeWatchBusBuilder::timer`](crate::RangeWatchBusBuilder::timer). Implementations:
/// [`ThreadTimer`], the default; [`ManualTimer`], for tests; `TokioTimer`, with the feature
/// `tokio`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use rangewatch_bus::timer::{Sleep, ThreadTimer, Timer};
///
/// /// Sleeps for a tenth of the time.
/// #[derive(Debug)]
/// struct FastTimer;
///
/// impl Timer for FastTimer {
///     fn sleep(&self, duration: Duration) -> Sleep {
///         ThreadTimer.sleep(duration / 10)
///     }
/// }
/// ```
pub trait Timer: fmt::Debug + Send + Sync {
    /// Returns a future that is ready when `duration` has passed from now.
    fn sleep(&self, duration: Duration) -> Sleep;
}

impl<T: Timer + ?Sized> Timer for Arc<T> {
    fn sleep(&self, duration: Duration) -> Sleep {
        (**self).sleep(duration)
    }
}

/// Uses one timer thread per process, started lazily. Works on any executor.
///
/// A target without threads has it too. With the feature `web` it is `setTimeout` of JavaScript.
/// Without, as for wasm32-wasip1, a sleep reads the clock whenever it is polled and asks to be
/// polled again: it works on any executor, and keeps it busy. For wasm32-unknown-unknown in another
/// host than JavaScript, whose std has no clock, implement [`Timer`].
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_bus::timer::ThreadTimer;
///
/// let bus = RangeWatchBus::builder().timer(ThreadTimer).build()?; // as without `timer`
/// # Ok::<(), rangewatch_bus::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "there is nothing to configure, and a unit is written as a value"
)]
pub struct ThreadTimer;

impl Timer for ThreadTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(delay(duration))
    }
}

/// Uses the timer of a tokio runtime, and no further thread. Receives may be polled outside of the
/// runtime.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_bus::timer::TokioTimer;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let bus = RangeWatchBus::builder().timer(TokioTimer::current()).build()?;
/// # Ok::<(), rangewatch_bus::BuildError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "tokio")]
#[derive(Clone, Debug)]
pub struct TokioTimer(tokio::runtime::Handle);

#[cfg(feature = "tokio")]
impl TokioTimer {
    /// Uses the timer of `runtime`, which must have been built with its time driver (`enable_time`,
    /// `enable_all` or the macros of tokio) and must be running when a receive is polled: a sleep
    /// panics otherwise, as tokio's own.
    #[must_use]
    pub const fn new(runtime: tokio::runtime::Handle) -> Self {
        Self(runtime)
    }

    /// Uses the timer of the runtime that this is called on, as [`new`](Self::new).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, as `Handle::current`.
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        Self(tokio::runtime::Handle::current())
    }

    /// As [`current`](Self::current), without the panic.
    ///
    /// # Errors
    ///
    /// `TryCurrentError` outside of a tokio runtime.
    pub fn try_current() -> Result<Self, tokio::runtime::TryCurrentError> {
        tokio::runtime::Handle::try_current().map(Self)
    }
}

#[cfg(feature = "tokio")]
impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        let _runtime = self.0.enter();
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that only [`advance`](Self::advance) moves, for tests that neither wait nor depend on a
/// real clock.
///
/// Clones are handles of the same clock.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use rangewatch_bus::timer::ManualTimer;
/// use rangewatch_bus::{History, Item, RangeWatchBus};
///
/// # futures::executor::block_on(async {
/// let timer = ManualTimer::new();
/// let bus = RangeWatchBus::builder()
///     .history(History::events(100))
///     .timer(timer.clone())
///     .build()?;
/// let minute = Duration::from_secs(60);
/// let mut sub = bus.subscribe("a".."b").progress_every(minute).events(16)?;
/// bus.emit(7, ["elsewhere"])?;
///
/// let consumer = sub.recv_item();
/// let time = async { timer.advance(2 * minute) };
/// let (item, ()) = futures::join!(consumer, time);
/// assert_eq!(item?, Item::Progress(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualTimer(Arc<Mutex<ManualTime>>);

#[derive(Debug, Default)]
struct ManualTime {
    now: Duration,
    last_sleeper: u64,
    sleepers: Vec<(u64, Duration, Option<Waker>)>,
}

impl ManualTimer {
    /// Makes a clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock by `duration` and wakes the sleeps that are over.
    pub fn advance(&self, duration: Duration) {
        let mut time = self.0.lock();
        time.now = time.now.saturating_add(duration);
        let now = time.now;
        let due = time.sleepers.iter_mut().filter(|(_, at, _)| *at <= now);
        let wakers: WakeList = due.filter_map(|(_, _, waker)| waker.take()).collect();
        drop(time);
        wakers.wake_all();
    }

    /// The number of sleeps that are not over.
    #[must_use]
    pub fn n_sleepers(&self) -> usize {
        let time = self.0.lock();
        time.sleepers
            .iter()
            .filter(|(_, at, _)| *at > time.now)
            .count()
    }
}

impl Timer for ManualTimer {
    fn sleep(&self, duration: Duration) -> Sleep {
        let mut time = self.0.lock();
        time.last_sleeper += 1;
        let (id, at) = (time.last_sleeper, time.now.saturating_add(duration));
        time.sleepers.push((id, at, None));
        Box::pin(ManualSleep {
            time: Arc::clone(&self.0),
            id,
        })
    }
}

struct ManualSleep {
    time: Arc<Mutex<ManualTime>>,
    id: u64,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut time = self.time.lock();
        let now = time.now;
        let sleeper = time.sleepers.iter_mut().find(|(id, ..)| *id == self.id);
        let (polled, _old) = match sleeper {
            Some((_, at, slot)) if *at > now => (Poll::Pending, slot.replace(waker)),
            _ => (Poll::Ready(()), None),
        };
        drop(time);
        polled
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        let mut time = self.time.lock();
        let i = time.sleepers.iter().position(|(id, ..)| *id == self.id);
        let _sleeper = i.map(|i| time.sleepers.swap_remove(i));
        drop(time);
    }
}
