//! The retained emits of a bus with history.

use std::collections::VecDeque;

use crate::emit::Record;
use crate::history::Epoch;
use crate::queue::End;
use crate::{CompactError, EmitError, History, Seq, SubscribeError};

/// The latest emits, bounded in events and in bytes, the head and the floor.
///
/// The values strictly increase, so a value is found by binary search.
pub(crate) struct HistoryBuffer<P> {
    /// Each with its value, so that a search does not read the records.
    emits: VecDeque<(u64, Record<P>)>,
    n_bytes: usize,
    bounds: History,
    /// The greatest value that was emitted, advanced to or restored.
    head: Option<u64>,
    /// The least value that `since` serves: every emit from here on is in `emits`.
    floor: u64,
    epoch: Epoch,
    /// How many emits were read, for the tests of how long a reader holds the lock.
    #[cfg(test)]
    pub(crate) n_read: std::cell::Cell<usize>,
}

impl<P> HistoryBuffer<P> {
    pub(crate) fn new(bounds: History, head: Option<u64>, epoch: Epoch) -> Self {
        Self {
            emits: VecDeque::new(),
            n_bytes: 0,
            bounds,
            head,
            floor: head.map_or(0, |head| head.saturating_add(1)),
            epoch,
            #[cfg(test)]
            n_read: std::cell::Cell::new(0),
        }
    }

    pub(crate) const fn head(&self) -> Option<u64> {
        self.head
    }

    pub(crate) const fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The end of a subscription that has yet to read what is no longer here.
    pub(crate) const fn compacted(&self) -> End {
        End::Compacted {
            floor: self.floor,
            epoch: self.epoch.number,
        }
    }

    /// Whether a subscription can begin with `value`, of `epoch` if that is known.
    pub(crate) fn check_since(&self, value: u64, epoch: Option<u64>) -> Result<(), SubscribeError> {
        let Self {
            floor,
            epoch: Epoch { number, .. },
            ..
        } = *self;
        if value < floor || epoch.is_some_and(|epoch| epoch != number) {
            let epoch = number;
            return Err(SubscribeError::Compacted { floor, epoch });
        }
        Ok(())
    }

    /// Begins an epoch as a new history. Returns the old one, to be freed outside of locks.
    pub(crate) fn restore(&mut self, epoch: u64, head: Option<u64>) -> Self {
        let restored = Self::new(self.bounds, head, self.epoch.restored(epoch));
        std::mem::replace(self, restored)
    }

    pub(crate) fn len(&self) -> usize {
        self.emits.len()
    }

    pub(crate) const fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Whether an emit may have `value`.
    pub(crate) fn check(&self, value: u64) -> Result<(), EmitError> {
        check_rise(self.head, value)
    }

    /// The value after the head.
    pub(crate) fn next_value(&self) -> Result<u64, EmitError> {
        let next = self.head.map_or(1, |head| head.saturating_add(1));
        check_rise(self.head, next).map(|()| next)
    }

    /// Adds an emit whose value was checked. Evicted emits go to `evicted`, to be freed outside of
    /// locks.
    pub(crate) fn push(&mut self, emit: Record<P>, evicted: &mut impl Extend<Record<P>>) {
        let value = emit.value();
        self.head = Some(value);
        let n_bytes = emit.n_bytes();
        let fits = n_bytes <= self.bounds.max_bytes;
        while let Some((oldest, _)) = self.emits.front() {
            let has_room = self.emits.len() < self.bounds.max_events
                && n_bytes <= self.bounds.max_bytes.saturating_sub(self.n_bytes);
            if fits && has_room {
                break;
            }
            self.floor = oldest.saturating_add(1);
            evicted.extend(self.pop());
        }
        if fits {
            self.n_bytes += n_bytes;
            self.emits.push_back((value, emit));
        } else {
            self.floor = value.saturating_add(1);
            evicted.extend([emit]);
        }
    }

    /// Raises the head to `value`, which was checked.
    pub(crate) const fn advance(&mut self, value: u64) {
        self.head = Some(value);
    }

    /// Removes the emits below `value`. Returns the floor.
    pub(crate) fn compact(
        &mut self,
        value: u64,
        evicted: &mut impl Extend<Record<P>>,
    ) -> Result<u64, CompactError> {
        let greatest = self.head.map_or(0, |head| head.saturating_add(1));
        if value > greatest {
            return Err(CompactError::AboveHead {
                value,
                head: self.head,
            });
        }
        while self
            .emits
            .front()
            .is_some_and(|(oldest, _)| *oldest < value)
        {
            evicted.extend(self.pop());
        }
        self.floor = self.floor.max(value);
        if self.emits.len() < self.emits.capacity() / 4 {
            self.emits.shrink_to(2 * self.emits.len());
        }
        Ok(self.floor)
    }

    /// The number of emits with a value of `next` or more.
    pub(crate) fn n_since(&self, next: u64) -> usize {
        self.len() - self.index_of(next)
    }

    /// The emits from the value `next` on.
    pub(crate) fn since(&self, next: u64) -> impl DoubleEndedIterator<Item = &Record<P>> {
        let start = self.index_of(next);
        self.emits.range(start..).map(|(_, emit)| {
            #[cfg(test)]
            self.n_read.set(self.n_read.get() + 1);
            emit
        })
    }

    /// The positions of the first and the last emit from the value `next` on.
    pub(crate) fn ends_since(&self, next: u64) -> Option<(Seq, Seq)> {
        let mut emits = self.since(next).map(Record::seq);
        let first = emits.next()?;
        Some((first, emits.next_back().unwrap_or(first)))
    }

    /// The emits from the value `next` on, unless they or their keys exceed the bounds.
    pub(crate) fn tail(
        &self,
        next: u64,
        max_events: usize,
        max_keys: usize,
    ) -> Option<impl Iterator<Item = &Record<P>>> {
        if self.n_since(next) > max_events {
            return None;
        }
        let n_keys: usize = self.since(next).map(|emit| emit.n_keys()).sum();
        (n_keys <= max_keys).then(|| self.since(next))
    }

    fn pop(&mut self) -> Option<Record<P>> {
        let (_, oldest) = self.emits.pop_front()?;
        self.n_bytes -= oldest.n_bytes();
        Some(oldest)
    }

    /// The number of emits with a value below `value`.
    fn index_of(&self, value: u64) -> usize {
        self.emits.partition_point(|(emitted, _)| *emitted < value)
    }
}

/// Whether there is a value above `head` left to emit.
pub(crate) fn check_head<E>(head: Option<u64>, error: E) -> Result<(), E> {
    if head.is_some_and(|head| head >= u64::MAX - 1) {
        return Err(error);
    }
    Ok(())
}

/// Whether `value` may follow `head` in a history.
pub(crate) const fn check_rise(head: Option<u64>, value: u64) -> Result<(), EmitError> {
    match head {
        Some(head) if value <= head => Err(EmitError::NotIncreasing { value, head }),
        _ if value == u64::MAX => Err(EmitError::LastValue),
        _ => Ok(()),
    }
}
