//! The queue of an event subscription.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::event::KeyList;
use crate::mailbox::Buffer;
use crate::{Lagged, Seq};

/// A queue of at most `capacity` emits that drops the oldest for the newest, and counts what it
/// drops.
///
/// What is missed lies before everything retained, in one piece, so a single number says it all.
pub(crate) struct EventQueue {
    queue: VecDeque<Queued>,
    capacity: NonZeroUsize,
    missed: u64,
}

/// An emit in a queue.
pub(crate) struct Queued {
    pub(crate) seq: Seq,
    pub(crate) value: u64,
    pub(crate) keys: Arc<KeyList>,
}

impl EventQueue {
    /// Allocates nothing yet: a capacity is a bound, not a reservation.
    pub(crate) const fn new(capacity: NonZeroUsize) -> Self {
        Self {
            queue: VecDeque::new(),
            capacity,
            missed: 0,
        }
    }

    /// Adds an emit, which must be later than those before. Returns the one that had to go, for the
    /// caller to drop outside its locks.
    pub(crate) fn push(&mut self, queued: Queued) -> Option<Queued> {
        let evicted = if self.queue.len() < self.capacity.get() {
            None
        } else {
            self.queue.pop_front()
        };
        if evicted.is_some() {
            self.missed = self.missed.saturating_add(1);
        }
        self.queue.push_back(queued);
        evicted
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) const fn capacity(&self) -> NonZeroUsize {
        self.capacity
    }
}

impl Buffer for EventQueue {
    type Item = Result<Queued, Lagged>;

    fn take(&mut self) -> Option<Self::Item> {
        match std::mem::take(&mut self.missed) {
            0 => self.queue.pop_front().map(Ok),
            missed => Some(Err(Lagged::new(missed))),
        }
    }
}
