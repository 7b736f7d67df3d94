//! What wakes a guest that sleeps.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_timer::Delay;

/// The longest time that is handed to a timer: a hundred years, which no host will see the end of.
///
/// Without it a guest that sleeps for ever would make the host add 584 years to an instant, which overflows on systems
/// that count nanoseconds in 64 bits.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Wakes guests that sleep while their host awaits them.
///
/// A closure that makes a future is a timer, so that the timers of a runtime fit without an adapter:
/// `.timer(|duration| tokio::time::sleep(duration))`. The default is [`ThreadTimer`].
pub trait Timer: Send {
    /// A future that is ready after `duration`, which is counted from now.
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

/// A timer that needs no runtime: one thread for the whole process, which starts when the first guest sleeps.
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
        Box::pin(Delay::new(duration))
    }
}
