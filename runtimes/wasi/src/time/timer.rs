//! Timers that wake a sleeping guest.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::time::delay::delay;

/// The longest duration that is passed to a timer: a hundred years.
///
/// Without this limit, a guest that sleeps for `u64::MAX` nanoseconds would make the host add 584
/// years to an instant, which overflows on systems that count nanoseconds in 64 bits.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Wakes a guest that sleeps, when its host awaits the guest's calls.
///
/// A closure that returns a future is a timer, so that the timers of a runtime need no adapter:
/// `.timer(|duration| tokio::time::sleep(duration))`. The default is [`ThreadTimer`].
///
/// # Examples
///
/// ```
/// use std::future::ready;
///
/// use rangewatch_wasi::{SystemClock, Wasi};
///
/// // Every sleep ends at once.
/// let ctx = Wasi::builder().clock(SystemClock::new()).timer(|_duration| ready(())).build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
pub trait Timer: Send {
    /// Returns a future that is ready `duration` after this call.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<F, S> Timer for F
where
    F: Fn(Duration) -> S + Send,
    S: Future<Output = ()> + Send + 'static,
{
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self(duration))
    }
}

/// A timer that needs no async runtime: one thread per process, started by the first sleep.
///
/// A target without threads has it too. With the feature `web` it is `setTimeout` of JavaScript.
/// Without, as for wasm32-wasip1, a sleep reads the clock whenever it is polled and asks to be
/// polled again: it works on any executor, and keeps it busy.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{SystemClock, ThreadTimer, Wasi};
///
/// let ctx = Wasi::builder().clock(SystemClock::new()).timer(ThreadTimer::new()).build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ThreadTimer;

impl ThreadTimer {
    /// The timer of this process.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Timer for ThreadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(delay(duration))
    }
}
