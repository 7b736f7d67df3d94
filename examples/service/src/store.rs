//! An ordered store in memory that emits each change with what it did.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch_bus::{BuildError, EmitError, History, RangeWatchBus};

/// The new value of a key, or `None` when it is deleted. Events carry it, also those of the past.
pub(crate) type Change = Option<Arc<str>>;

pub(crate) struct Store {
    pub(crate) keys: Mutex<BTreeMap<String, Arc<str>>>,
    pub(crate) bus: RangeWatchBus<Change>,
}

impl Store {
    pub(crate) fn new(head: u64) -> Result<Self, BuildError> {
        let bus = RangeWatchBus::builder()
            .name("store")
            .payloads::<Change>()
            .payload_bytes(|change| change.as_ref().map_or(0, |value| value.len()))
            .history(History::events(100_000).bytes(64 << 20))
            .head(head)
            .build()?;
        let keys = Mutex::default();
        Ok(Self { keys, bus })
    }

    /// Changes a key, and returns the revision; `None` if there is nothing to delete.
    pub(crate) fn change(&self, key: String, change: Change) -> Result<Option<u64>, EmitError> {
        let mut keys = self.keys.lock();
        if change.is_none() && !keys.contains_key(&key) {
            return Ok(None);
        }
        // Under the lock, so that events come in the order of the changes. An emit never waits.
        let revision = self.bus.emit_next_with([(&key, change.clone())])?.value();
        match change {
            Some(value) => keys.insert(key, value),
            None => keys.remove(&key),
        };
        Ok(Some(revision))
    }
}
