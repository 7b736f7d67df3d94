//! Batches: emits that are staged and committed together.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

use crate::{EmitError, EmittedMany, RangeWatchBus};

/// Staged emits. [`commit`](Self::commit) emits them with no other emit in between; dropping the
/// batch emits nothing. From [`RangeWatchBus::batch`].
///
/// Consecutive keys of the same value are one emit, so that an emit may be staged in pieces.
///
/// A batch is a handle of its bus, which stays open as long as the batch exists.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
///
/// let bus = RangeWatchBus::new();
/// let mut sub = bus.subscribe("a".."z").events(16)?;
///
/// let mut batch = bus.batch(1 << 20);
/// batch.stage(1, ["a", "b"])?;
/// batch.stage(1, ["c"])?;
/// batch.stage(2, ["d"])?;
/// assert!(sub.try_recv().is_err());
///
/// assert_eq!(batch.commit()?.n_emits(), 2);
/// assert!(sub.try_recv()?.keys().eq([b"a", b"b", b"c"]));
/// assert!(sub.try_recv()?.keys().eq([b"d"]));
///
/// let mut batch = bus.batch(1 << 20);
/// batch.stage(3, ["e"])?;
/// drop(batch);
/// assert!(sub.try_recv().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a batch that is dropped emits nothing"]
pub struct Batch {
    bus: RangeWatchBus,
    staged: Staged,
    max_bytes: usize,
}

/// The keys exceed the bound of the batch. What was staged before is unchanged.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
///
/// let bus = RangeWatchBus::new();
/// let mut batch = bus.batch(32);
/// batch.stage(1, ["a"])?; // 17 bytes: the key, and 8 for the key and the emit each
/// let full = batch.stage(2, ["b"]).unwrap_err();
/// assert_eq!(full.max_bytes, 32);
/// assert_eq!(batch.commit()?.n_emits(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the batch is full, it holds at most {max_bytes} bytes: commit it first, or give it a greater bound"
)]
#[non_exhaustive]
pub struct BatchFullError {
    /// The bound of the batch.
    pub max_bytes: usize,
}

impl Batch {
    pub(crate) fn new(bus: &RangeWatchBus, max_bytes: usize) -> Self {
        Self {
            bus: bus.clone(),
            staged: Staged::default(),
            max_bytes,
        }
    }

    /// Stages `keys` for `value`. They are added to the last emit if it has the same value;
    /// otherwise they are a new emit.
    ///
    /// # Errors
    ///
    /// [`BatchFullError`] if the keys, with 8 bytes for each key and each emit, exceed the bound of
    /// the batch; none of them is staged.
    ///
    /// # Panics
    ///
    /// Not by itself. A panic of `keys` passes through, and none of them is staged.
    pub fn stage<K: AsRef<[u8]>>(
        &mut self,
        value: u64,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(), BatchFullError> {
        let full = BatchFullError {
            max_bytes: self.max_bytes,
        };
        let guard = StageGuard::new(&mut self.staged);
        if guard.staged.last_value() != Some(value) {
            guard.staged.begin(value);
        }
        for key in keys {
            let key = key.as_ref();
            if guard.staged.n_bytes_with(key) > full.max_bytes {
                return Err(full);
            }
            guard.staged.push(key);
        }
        if guard.staged.n_bytes() > full.max_bytes {
            return Err(full);
        }
        guard.disarm();
        Ok(())
    }

    /// Emits everything that is staged, or nothing: each emit with its own [`Seq`](crate::Seq), in
    /// order, with no other emit in between, and one wake-up per waiting consumer. The batch is
    /// then empty and may be used again.
    ///
    /// # Errors
    ///
    /// As [`RangeWatchBus::emit`], for the first value that is refused. Nothing is emitted then,
    /// and the batch is unchanged.
    pub fn commit(&mut self) -> Result<EmittedMany, EmitError> {
        let emitted = self.staged.emit(&self.bus)?;
        self.staged.roll_back((0, 0, 0));
        Ok(emitted)
    }

    /// The number of staged emits.
    #[must_use]
    pub fn n_emits(&self) -> usize {
        self.staged.emits.len()
    }

    /// The size of the staged emits: the bytes of the keys, and 8 for each key and each emit.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.staged.n_bytes()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("n_emits", &self.n_emits())
            .field("n_bytes", &self.n_bytes())
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// Rolls `staged` back to the savepoint when it is dropped, unless it was disarmed.
struct StageGuard<'a> {
    staged: &'a mut Staged,
    before: Option<Savepoint>,
}

impl<'a> StageGuard<'a> {
    fn new(staged: &'a mut Staged) -> Self {
        let before = Some(staged.savepoint());
        Self { staged, before }
    }

    fn disarm(mut self) {
        self.before = None;
    }
}

impl Drop for StageGuard<'_> {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            self.staged.roll_back(before);
        }
    }
}

/// The numbers of emits, keys and bytes that are staged.
type Savepoint = (usize, usize, usize);

/// One of several emits that take effect together.
pub(crate) struct StagedEmit<'a> {
    pub(crate) value: u64,
    pub(crate) keys: &'a [&'a [u8]],
}

/// Staged emits, their keys in one buffer.
#[derive(Default)]
pub(crate) struct Staged {
    /// The value of each emit, and the number of keys before it.
    emits: Vec<(u64, usize)>,
    /// Where each key ends in `bytes`. It begins where the key before it ends.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl Staged {
    pub(crate) fn begin(&mut self, value: u64) {
        self.emits.push((value, self.ends.len()));
    }

    pub(crate) fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    /// Emits all, or none.
    pub(crate) fn emit(&self, bus: &RangeWatchBus) -> Result<EmittedMany, EmitError> {
        let mut start = 0;
        let keys: Vec<&[u8]> = self
            .ends
            .iter()
            .map(|&end| &self.bytes[std::mem::replace(&mut start, end)..end])
            .collect();
        let emits = self.ranges().map(|(value, range)| StagedEmit {
            value,
            keys: &keys[range],
        });
        bus.shared().emit_many(&emits.collect::<Vec<_>>())
    }

    /// The value of each emit, and the range of its keys in `ends`.
    fn ranges(&self) -> impl Iterator<Item = (u64, Range<usize>)> {
        let ends = self.emits.iter().skip(1).map(|(_, first)| *first);
        let ends = ends.chain([self.ends.len()]);
        let emits = self.emits.iter().zip(ends);
        emits.map(|(&(value, first), end)| (value, first..end))
    }

    fn last_value(&self) -> Option<u64> {
        self.emits.last().map(|(value, _)| *value)
    }

    fn n_bytes_with(&self, key: &[u8]) -> usize {
        self.n_bytes() + size_of::<u64>() + key.len()
    }

    fn n_bytes(&self) -> usize {
        self.bytes.len() + size_of::<u64>() * (self.ends.len() + self.emits.len())
    }

    fn savepoint(&self) -> Savepoint {
        (self.emits.len(), self.ends.len(), self.bytes.len())
    }

    fn roll_back(&mut self, (n_emits, n_keys, n_bytes): Savepoint) {
        self.emits.truncate(n_emits);
        self.ends.truncate(n_keys);
        self.bytes.truncate(n_bytes);
    }
}
