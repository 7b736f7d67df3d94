//! What an engine needs for the rows: its log, and its bare client.

use std::sync::Arc;

use bytes::Bytes;
use rangewatch_bridge::{Log, async_trait};

use crate::Result;

/// A client of one server: in this process, or in another one with the same URL.
#[async_trait]
pub(crate) trait Client: Send + Sync {
    /// The log of the bridge for this bus, which reads at most `n_batch` emits at once.
    fn log(&self, bus: &str, n_batch: usize) -> Result<Arc<dyn Log>>;

    /// A connection of the bare client for appending to this stream. `None` if the engine has no
    /// such client.
    async fn bare_writer(&self, stream: &str) -> Result<Option<Box<dyn BareWriter>>>;

    /// A connection of the bare client for reading this stream from its start, at most `n_batch`
    /// entries at once.
    async fn bare_reader(
        &self,
        stream: &str,
        n_batch: usize,
    ) -> Result<Option<Box<dyn BareReader>>>;

    /// Removes all logs and streams.
    async fn clear(&self) -> Result<()>;

    /// What the server counts.
    async fn usage(&self) -> Result<Usage>;
}

/// Appends as a program does that uses the client of the engine without the bridge.
#[async_trait]
pub(crate) trait BareWriter: Send {
    /// Appends entries, each with a value and bytes, and waits until the server has them.
    async fn append(&mut self, entries: &[(u64, Bytes)]) -> Result<()>;
}

/// Reads as a program does that uses the client of the engine without the bridge.
#[async_trait]
pub(crate) trait BareReader: Send {
    /// Waits for the next entries, and reads some.
    async fn next(&mut self) -> Result<Vec<(u64, Bytes)>>;
}

/// What a server counts, in bytes. 0 if it does not count it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// That its data has in memory.
    pub(crate) memory: u64,
    /// On its disk.
    pub(crate) disk: u64,
    /// That it has received.
    pub(crate) received: u64,
    /// That it has sent.
    pub(crate) sent: u64,
}
