//! The staged emits of a call, in the hands of the embedder.

use std::fmt;
use std::ops::Range;

use rangewatch_bus::{EmitError, EmittedMany, RangeWatchBus};

/// The emits that one call has staged, to be published on their bus or dropped. They belong to no
/// instance and may be moved to another task.
#[must_use = "emits that are dropped are not published"]
pub struct Staged<P = ()> {
    bus: RangeWatchBus<P>,
    emits: StagedEmits,
}

impl<P: Send + Sync + 'static> Staged<P> {
    pub(crate) fn new(bus: RangeWatchBus<P>, emits: StagedEmits) -> Self {
        Self { bus, emits }
    }

    /// The value and the keys of each emit, in the order of the guest. Consecutive flushes of one
    /// value are one emit.
    pub fn emits(&self) -> impl Iterator<Item = (u64, impl Iterator<Item = &[u8]>)> {
        self.emits.iter()
    }

    /// The number of emits.
    #[must_use]
    pub fn n_emits(&self) -> usize {
        self.emits.values.len()
    }

    /// The number of keys of all emits.
    #[must_use]
    pub fn n_keys(&self) -> usize {
        self.emits.ends.len()
    }

    /// Publishes all emits, with a payload for each key, and no other emit in between. Where a call
    /// has staged nothing this succeeds on every bus, one that is closed too.
    ///
    /// # Errors
    ///
    /// The error of the bus, which refused them all, and the emits as they were: the embedder can
    /// still roll back.
    pub fn publish_with(
        self,
        mut payload: impl FnMut(u64, &[u8]) -> P,
    ) -> Result<EmittedMany, (Self, EmitError)> {
        if self.n_emits() == 0 {
            return Ok(EmittedMany::default());
        }
        let batch = self.bus.batch(usize::MAX);
        let mut batch = batch.max_matched(self.emits.max_matches);
        for (value, keys) in self.emits.iter() {
            let entries = keys.map(|key| (key, payload(value, key)));
            // The bound of this batch is never reached.
            let _ = batch.stage_with(value, entries);
        }
        batch.commit().map_err(|error| (self, error))
    }
}

impl Staged {
    /// Publishes all emits, with no other emit in between.
    ///
    /// # Errors
    ///
    /// As [`publish_with`](Self::publish_with).
    pub fn publish(self) -> Result<EmittedMany, (Self, EmitError)> {
        self.publish_with(|_value, _key| ())
    }
}

impl<P> fmt::Debug for Staged<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Staged").field(&self.emits).finish()
    }
}

/// Staged emits without a bus, their keys in one buffer.
pub(crate) struct StagedEmits {
    /// The value of each emit, and the number of keys before it.
    values: Vec<(u64, usize)>,
    /// Where each key ends in `bytes`. It begins where the key before it ends.
    ends: Vec<usize>,
    bytes: Vec<u8>,
    max_bytes: usize,
    max_matches: usize,
}

impl StagedEmits {
    /// Of at most `max_bytes`, whose publication may match `max_matches`.
    pub(crate) fn new(max_bytes: usize, max_matches: usize) -> Self {
        Self {
            values: Vec::new(),
            ends: Vec::new(),
            bytes: Vec::new(),
            max_bytes,
            max_matches,
        }
    }

    /// Stages the keys of one flush, or none of them. Returns the bound in bytes if they exceed it.
    pub(crate) fn stage(&mut self, value: u64, keys: &[&[u8]]) -> Result<(), usize> {
        let is_new = self.values.last().map(|(last, _)| *last) != Some(value);
        let n_entries = self.ends.len() + keys.len() + self.values.len() + usize::from(is_new);
        let key_bytes: usize = keys.iter().map(|key| key.len()).sum();
        if self.bytes.len() + key_bytes + size_of::<u64>() * n_entries > self.max_bytes {
            return Err(self.max_bytes);
        }
        if is_new {
            self.values.push((value, self.ends.len()));
        }
        for key in keys {
            self.bytes.extend_from_slice(key);
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    pub(crate) fn n_emits(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn n_keys(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, impl Iterator<Item = &[u8]>)> {
        let ends = self.values.iter().skip(1).map(|(_, first)| *first);
        let ends = ends.chain([self.ends.len()]);
        (self.values.iter().zip(ends)).map(|(&(value, first), end)| (value, self.keys(first..end)))
    }

    fn keys(&self, range: Range<usize>) -> impl Iterator<Item = &[u8]> {
        let start = range
            .start
            .checked_sub(1)
            .map_or(0, |before| self.ends[before]);
        self.ends[range].iter().scan(start, |start, &end| {
            Some(&self.bytes[std::mem::replace(start, end)..end])
        })
    }
}

impl fmt::Debug for StagedEmits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedEmits")
            .field("n_emits", &self.values.len())
            .field("n_keys", &self.ends.len())
            .finish_non_exhaustive()
    }
}
