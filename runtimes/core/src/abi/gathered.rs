//! What a guest of generation 2 has queued and not yet flushed.

use rangewatch_bus::EmitError;
use smallvec::SmallVec;

use super::AbiError;
use crate::guest::guest_bus::Emitter;
use crate::guest::limits::Limits;
use crate::guest::staged::StagedEmits;

/// Values and keys, in the order in which they were queued. The functions of the ABI bound them.
#[derive(Debug)]
pub(super) struct Gathered {
    emits: StagedEmits,
    /// The bytes of the key lists.
    n_bytes: usize,
}

impl Default for Gathered {
    fn default() -> Self {
        Self {
            emits: StagedEmits::new(usize::MAX, Limits::MAX_FLUSH_MATCHES),
            n_bytes: 0,
        }
    }
}

impl Gathered {
    pub(super) fn push(&mut self, value: u64, keys: &[&[u8]], n_bytes: usize) {
        self.n_bytes += n_bytes;
        // Its bound is never reached.
        let _ = self.emits.stage(value, keys);
    }

    pub(super) fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    pub(super) fn n_keys(&self) -> usize {
        self.emits.n_keys()
    }

    /// Calls `f` with the value and the keys of each emit.
    pub(super) fn for_each<E>(
        &self,
        mut f: impl FnMut(u64, &[&[u8]]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.emits.iter().try_for_each(|(value, keys)| {
            let keys: SmallVec<[&[u8]; 16]> = keys.collect();
            f(value, &keys)
        })
    }

    /// Emits all, or nothing. Returns how many ranges of subscriptions matched.
    pub(super) fn emit(&self, emitter: &dyn Emitter) -> Result<usize, AbiError> {
        let mut n_ranges = 0;
        if self.emits.n_emits() == 1 {
            let emitted = self.for_each(|value, keys| {
                n_ranges = emitter.emit(value, keys)?.n_ranges();
                Ok(())
            });
            return emitted.map(|()| n_ranges).map_err(AbiError::Emit);
        }
        let max_matches = Limits::MAX_FLUSH_MATCHES;
        let mut batch = emitter.batch(usize::MAX, max_matches);
        let staged = self.for_each(|value, keys| batch.stage(value, keys));
        staged.map_err(|full| AbiError::StagedFull {
            max_bytes: full.max_bytes,
        })?;
        match batch.commit() {
            Ok(emitted) => Ok(emitted.n_ranges()),
            Err(EmitError::TooManyMatched { .. }) => {
                Err(AbiError::FlushTooManyMatches { max_matches })
            }
            Err(error) => Err(AbiError::Emit(error)),
        }
    }
}
