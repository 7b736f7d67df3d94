//! Epochs: the parts of a trace between its restores.

use rangewatch_bus::Seq;

use crate::trace::{Bounds, Emit, Restore, Trace};

/// What was recorded of an epoch.
pub(crate) struct Epoch<'a> {
    /// The position of its first emit.
    pub(crate) first: Seq,
    /// The position of the first emit of the next epoch.
    pub(crate) end: Option<Seq>,
    /// As the bus has it, if that is known.
    number: Option<u64>,
    /// The head with which it has begun.
    pub(crate) restored: Option<u64>,
    bounds: Bounds,
    last: Option<&'a Emit>,
}

impl<'a> Epoch<'a> {
    /// The epochs of a trace. `last_between` is the last emit from a position on and before
    /// another.
    pub(crate) fn all(
        trace: &Trace,
        last_between: impl Fn(Seq, Option<Seq>) -> Option<&'a Emit>,
    ) -> Vec<Self> {
        let restores = &trace.restores;
        let firsts = restores.iter().map(|restore| restore.first);
        let first = Seq::new(1).expect("it is not 0");
        let firsts = std::iter::once(first).chain(firsts).enumerate();
        let epoch = |(i, first): (usize, Seq)| {
            let restore: Option<&Restore> = i.checked_sub(1).map(|i| &restores[i]);
            let end = restores.get(i).map(|next| next.first);
            Self {
                first,
                end,
                number: restore.map_or(trace.first_epoch, |restore| Some(restore.epoch)),
                restored: restore.and_then(|restore| restore.head),
                bounds: trace.bounds.get(i).copied().unwrap_or_default(),
                last: last_between(first, end),
            }
        };
        firsts.map(epoch).collect()
    }

    pub(crate) fn contains(&self, seq: Seq) -> bool {
        self.first <= seq && self.end.is_none_or(|end| seq < end)
    }

    /// The greatest head that is known.
    pub(crate) fn head(&self) -> Option<u64> {
        let emitted = self.last.map(|emit| emit.value);
        self.bounds.head.max(emitted).max(self.restored)
    }

    /// The floor with which it has begun.
    pub(crate) fn floor(&self) -> u64 {
        self.restored.map_or(0, |head| head.saturating_add(1))
    }

    /// The greatest floor that is possible: the one observed, if no emit came after the
    /// observation and the epoch has not ended, or else the value after the head.
    pub(crate) fn greatest_floor(&self) -> u64 {
        let last = self.last.map(|emit| emit.seq);
        match self.bounds.floor {
            Some(floor) if self.end.is_none() && self.bounds.through >= last => floor,
            _ => self.head().map_or(0, |head| head.saturating_add(1)),
        }
    }

    /// Whether `number` may be its number.
    pub(crate) fn is_called(&self, number: u64) -> bool {
        self.number.is_none_or(|known| known == number)
    }
}
