//! Processor time.

use std::time::Duration;

/// Whose processor time counts. On systems that do not report it, wall-clock time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// That of the calling thread.
    Thread,
    /// That of all threads of the process, for contenders that hand work to other threads.
    Process,
}

impl Clock {
    /// The processor time that `action` takes.
    pub fn time(self, action: impl FnOnce()) -> Duration {
        let before = self.now();
        action();
        self.now().saturating_sub(before)
    }

    #[cfg(unix)]
    fn now(self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};

        let now = clock_gettime(match self {
            Self::Thread => ClockId::ThreadCPUTime,
            Self::Process => ClockId::ProcessCPUTime,
        });
        Duration::try_from(now).expect("processor time is not negative")
    }

    #[cfg(not(unix))]
    fn now(self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}
