//! Batches: emits that are staged and committed together.

use std::fmt;
use std::mem;
use std::ops::Range;

use thiserror::Error;

use crate::emit::{Draft, PayloadList};
use crate::order::Shared;
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
pub struct Batch<P = ()> {
    bus: RangeWatchBus<P>,
    staged: Staged<P>,
    max_bytes: usize,
    max_matched: usize,
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
        self.stage_with(value, keys.into_iter().map(|key| (key, ())))
    }
}

impl<P: Send + Sync + 'static> Batch<P> {
    pub(crate) fn new(bus: &RangeWatchBus<P>, max_bytes: usize) -> Self {
        Self {
            bus: bus.clone(),
            staged: Staged::default(),
            max_bytes,
            max_matched: usize::MAX,
        }
    }

    /// Bounds how many subscriptions the emits of one commit may match, added up over its emits. A
    /// commit delivers under the lock of the bus, so that the bound is one on the time of that.
    /// Unlimited unless set. A batch of a single emit is not bounded: it costs no more than that
    /// emit without a batch.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::{EmitError, RangeWatchBus};
    ///
    /// let bus = RangeWatchBus::new();
    /// let subscribe = |_| bus.subscribe("a".."z").wake();
    /// let subs = (0..3).map(subscribe).collect::<Result<Vec<_>, _>>()?;
    /// let mut batch = bus.batch(1 << 20).max_matched(5);
    /// batch.stage(1, ["b"])?;
    /// batch.stage(2, ["c"])?;
    /// assert_eq!(batch.commit(), Err(EmitError::TooManyMatched { max_matched: 5 }));
    /// assert_eq!(batch.max_matched(6).commit()?.matched(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_matched(mut self, n: usize) -> Self {
        self.max_matched = n;
        self
    }

    /// As [`stage`](Batch::stage), with a payload for each key.
    ///
    /// # Errors
    ///
    /// As [`stage`](Batch::stage); what the payloads weigh counts, too, and those that are not
    /// staged are dropped.
    ///
    /// # Panics
    ///
    /// Not by itself. Panics of `entries`, of the weigher and of payloads that are dropped pass
    /// through, and none of the keys is staged.
    pub fn stage_with<K: AsRef<[u8]>>(
        &mut self,
        value: u64,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<(), BatchFullError> {
        let full = BatchFullError {
            max_bytes: self.max_bytes,
        };
        let guard = StageGuard::new(&mut self.staged);
        if guard.staged.last_value() != Some(value) {
            guard.staged.begin(value);
        }
        for (key, payload) in entries {
            let weight = guard.staged.hold(payload, self.bus.shared());
            let key = key.as_ref();
            if guard.staged.n_bytes_with(key, weight) > full.max_bytes {
                return Err(full);
            }
            guard.staged.push(key, weight);
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
        self.staged.emit(self.bus.shared(), self.max_matched)
    }

    /// The number of staged emits.
    #[must_use]
    pub fn n_emits(&self) -> usize {
        self.staged.emits.len()
    }

    /// The number of staged keys.
    #[must_use]
    pub fn n_keys(&self) -> usize {
        self.staged.ends.len()
    }

    /// The size of the staged emits: the bytes of the keys, 8 for each key and each emit, and what
    /// the payloads [weigh](crate::RangeWatchBusBuilder::payload_bytes).
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.staged.n_bytes()
    }
}

impl<P> fmt::Debug for Batch<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("n_emits", &self.staged.emits.len())
            .field("n_bytes", &self.staged.n_bytes())
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// Rolls `staged` back to the savepoint when it is dropped, unless it was disarmed.
struct StageGuard<'a, P> {
    staged: &'a mut Staged<P>,
    before: Option<Savepoint>,
}

impl<'a, P> StageGuard<'a, P> {
    fn new(staged: &'a mut Staged<P>) -> Self {
        let before = Some(staged.savepoint());
        Self { staged, before }
    }

    fn disarm(mut self) {
        self.before = None;
    }
}

impl<P> Drop for StageGuard<'_, P> {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            self.staged.roll_back(before);
        }
    }
}

/// The numbers of emits and keys that are staged.
type Savepoint = (usize, usize);

/// Staged emits, their keys in one buffer.
pub(crate) struct Staged<P> {
    /// The value of each emit, and the number of keys before it.
    emits: Vec<(u64, usize)>,
    /// Where each key ends in `bytes`. It begins where the key before it ends.
    ends: Vec<usize>,
    bytes: Vec<u8>,
    /// One for each key, and that of a key which is about to be staged.
    payloads: PayloadList<P>,
    /// The weight of the payloads up to that of each key. Empty if all weigh nothing.
    weights: Vec<usize>,
}

impl<P> Staged<P> {
    pub(crate) fn begin(&mut self, value: u64) {
        self.emits.push((value, self.ends.len()));
    }

    /// Takes the payload of the next key. Returns its weight.
    pub(crate) fn hold(&mut self, payload: P, shared: &Shared<P>) -> usize {
        shared.weigh(self.payloads.push(payload))
    }

    /// Stages a key, whose payload was taken before and weighs `weight`.
    pub(crate) fn push(&mut self, key: &[u8], weight: usize) {
        if weight > 0 || !self.weights.is_empty() {
            let before = self.weight();
            self.weights.resize(self.ends.len(), before);
            self.weights.push(before.saturating_add(weight));
        }
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    /// Emits all and empties this, or none.
    pub(crate) fn emit(
        &mut self,
        shared: &Shared<P>,
        max_matched: usize,
    ) -> Result<EmittedMany, EmitError> {
        // A panic of a waker leaves an empty batch: its emits have taken effect.
        let mut staged = mem::take(self);
        let mut payloads = staged.payloads.take().into_iter();
        let mut start = 0;
        let keys: Vec<&[u8]> = staged
            .ends
            .iter()
            .map(|&end| &staged.bytes[mem::replace(&mut start, end)..end])
            .collect();
        let mut drafts: Vec<_> = staged
            .ranges()
            .map(|(value, range)| {
                let mut of_emit = Vec::with_capacity(range.len());
                of_emit.extend(payloads.by_ref().take(range.len()));
                let weight = staged.weight_of(&range);
                (value, Draft::new(&keys[range], of_emit.into(), weight))
            })
            .collect();
        let emitted = shared.emit_many(&mut drafts, max_matched);
        if emitted.is_err() {
            let drafts = drafts.into_iter();
            let of_emits = drafts.map(|(_, draft)| draft.into_payloads().into_vec());
            let payloads: Vec<_> = of_emits.flatten().collect();
            staged.payloads = payloads.into();
            *self = staged;
        }
        emitted
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

    /// The weight of all payloads.
    fn weight(&self) -> usize {
        self.weights.last().copied().unwrap_or_default()
    }

    /// The weight of the payloads of the keys in `range`.
    fn weight_of(&self, range: &Range<usize>) -> usize {
        let up_to = |n: usize| n.checked_sub(1).and_then(|last| self.weights.get(last));
        let up_to = |n: usize| up_to(n).copied().unwrap_or_default();
        up_to(range.end) - up_to(range.start)
    }

    fn n_bytes_with(&self, key: &[u8], weight: usize) -> usize {
        let n_bytes = weight.saturating_add(size_of::<u64>() + key.len());
        self.n_bytes().saturating_add(n_bytes)
    }

    fn n_bytes(&self) -> usize {
        let n_bytes = self.bytes.len() + size_of::<u64>() * (self.ends.len() + self.emits.len());
        n_bytes.saturating_add(self.weight())
    }

    fn savepoint(&self) -> Savepoint {
        (self.emits.len(), self.ends.len())
    }

    fn roll_back(&mut self, (n_emits, n_keys): Savepoint) {
        self.emits.truncate(n_emits);
        self.ends.truncate(n_keys);
        self.bytes
            .truncate(self.ends.last().copied().unwrap_or_default());
        self.weights.truncate(n_keys);
        self.payloads.truncate(n_keys);
    }
}

impl<P> Default for Staged<P> {
    fn default() -> Self {
        Self {
            emits: Vec::new(),
            ends: Vec::new(),
            bytes: Vec::new(),
            payloads: PayloadList::new(),
            weights: Vec::new(),
        }
    }
}
