//! The history of a bus: its bounds, the emits that it retains, and reading from them.

mod buffer;
mod catch_up;
mod compact_error;
mod epoch;
mod restore_error;

pub(crate) use buffer::{HistoryBuffer, check_head, check_rise};
pub(crate) use catch_up::{
    CHUNK_EVENTS, CatchUp, Chunk, ChunkSize, TAIL_EVENTS, TAIL_KEYS, copy_chunk,
};
pub use compact_error::CompactError;
pub(crate) use epoch::Epoch;
pub use restore_error::RestoreError;

/// The bounds of the history of a bus, from which [`since`](crate::SubscribeBuilder::since) and
/// parked subscriptions are replayed.
///
/// The history is a ring buffer: when an emit would exceed one of the bounds, the oldest emits are
/// evicted until it fits. An emit that is larger than the history is delivered, and the history is
/// empty afterwards.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{History, RangeWatchBus, Selector};
///
/// let bus = RangeWatchBus::builder()
///     .history(History::events(100_000).bytes(64 << 20))
///     .build()?;
/// bus.emit(7, ["a"])?;
/// let mut sub = bus.subscribe(Selector::all()).since(5).events(16)?;
/// assert_eq!(sub.try_recv()?.value(), 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    pub(crate) max_events: usize,
    pub(crate) max_bytes: usize,
}

impl History {
    /// The default bound in bytes: 64 MiB.
    ///
    /// Prevents that a few emits of very many keys take all memory.
    pub const DEFAULT_BYTES: usize = 64 << 20;

    /// Retains at most `max_events` emits and [`DEFAULT_BYTES`](Self::DEFAULT_BYTES).
    ///
    /// Memory is allocated as the history fills.
    #[must_use]
    pub const fn events(max_events: usize) -> Self {
        Self {
            max_events,
            max_bytes: Self::DEFAULT_BYTES,
        }
    }

    /// Retains at most `max_bytes`. An emit counts the bytes of its keys, 8 for each key and for
    /// the emit, and what its payloads [weigh](crate::RangeWatchBusBuilder::payload_bytes). The
    /// history takes 60 to 90 further bytes for each emit, which are not counted.
    #[must_use]
    pub const fn bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }
}
