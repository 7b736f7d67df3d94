//! The builder of a memory filesystem.

use std::fmt;
use std::time::Duration;

use super::MemoryFs;
use super::dir::MemoryDir;
use super::shared::Shared;
use crate::{Clock, FixedClock, SteppingClock};

/// Builds a [`MemoryFs`].
///
/// | setting | default |
/// |---|---|
/// | [limit in bytes](Self::limit_bytes) | [`MemoryFs::DEFAULT_LIMIT_BYTES`] |
/// | [limit in entries](Self::limit_entries) | [`MemoryFs::DEFAULT_LIMIT_ENTRIES`] |
/// | [clock](Self::clock) | starts at 1970-01-01T00:00:00Z and advances by 1 ms per change |
///
/// The clock is independent of the context's, because a filesystem may outlive a context and serve
/// several. For a guest that compares file times with its own clock, use the same source in both
/// places:
///
/// ```
/// use rangewatch_wasi::fs::{Access, MemoryFs};
/// use rangewatch_wasi::{SystemClock, Wasi};
///
/// let clock = SystemClock::new();
/// let files = MemoryFs::builder().limit_bytes(1 << 20).clock(clock.clone()).build();
/// let ctx = Wasi::builder().clock(clock).preopen("/", files, Access::ReadWrite).build()?;
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[must_use = "a builder does nothing until it is built"]
pub struct MemoryFsBuilder {
    limit_bytes: u64,
    limit_entries: u64,
    clock: Box<dyn Clock>,
}

impl MemoryFsBuilder {
    /// Sets the limit in bytes of all files and link targets together, and of a single file.
    pub fn limit_bytes(mut self, limit_bytes: u64) -> Self {
        self.limit_bytes = limit_bytes;
        self
    }

    /// Sets the maximum number of directory entries.
    pub fn limit_entries(mut self, limit_entries: u64) -> Self {
        self.limit_entries = limit_entries;
        self
    }

    /// Sets the clock for file times, for example a [`SystemClock`](crate::SystemClock). Only
    /// [`realtime_ns`](Clock::realtime_ns) is read.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Builds the filesystem.
    #[must_use]
    pub fn build(self) -> MemoryFs {
        let shared = Shared::new(self.limit_bytes, self.limit_entries, self.clock);
        MemoryFs {
            root: MemoryDir::root(shared),
        }
    }
}

impl Default for MemoryFsBuilder {
    fn default() -> Self {
        Self {
            limit_bytes: MemoryFs::DEFAULT_LIMIT_BYTES,
            limit_entries: MemoryFs::DEFAULT_LIMIT_ENTRIES,
            clock: Box::new(SteppingClock::new(
                FixedClock::at(0, 0),
                Duration::from_millis(1),
            )),
        }
    }
}

impl fmt::Debug for MemoryFsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFsBuilder")
            .field("limit_bytes", &self.limit_bytes)
            .field("limit_entries", &self.limit_entries)
            .finish_non_exhaustive()
    }
}
