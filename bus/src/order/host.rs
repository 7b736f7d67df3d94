//! A bus as its subscriptions see it.

use std::ops::Deref;
use std::sync::Arc;

use crate::emit::Waiter;
use crate::history::{Epoch, HistoryBuffer};
use crate::keys::KeyRanges;
use crate::order::{Shared, Slot, Subscriber};
use crate::subscription::{Buffer, Mailbox, Phase, Unread, WakeBuffer};
use crate::{ControlError, Seq, Stats};

/// The operations of a bus on the subscriber of a mailbox, whatever payloads the bus carries: wake
/// subscriptions have no payloads, so neither has their type.
pub(crate) trait Host<B: Buffer> {
    /// Removes the subscriber. Its `Registration` calls this once.
    fn unsubscribe(&self, mailbox: &Mailbox<B>);

    /// The ranges of the subscriber.
    fn ranges(&self, mailbox: &Mailbox<B>) -> KeyRanges;

    /// Replaces the ranges of the subscriber. Opens it if it is reserved.
    fn replace_ranges(
        &self,
        mailbox: &Mailbox<B>,
        ranges: &KeyRanges,
    ) -> Result<Edited, ControlError>;

    /// Discards the emits with a value up to `value` that the subscriber holds, and excludes later
    /// ones. Then notifies `waiter`, also if the drop of a payload panics.
    fn discard_through(&self, mailbox: &Mailbox<B>, value: u64, waiter: Option<B::Waiter>);

    fn stats(&self, mailbox: &Mailbox<B>) -> Stats;

    /// The reason of the close of the bus.
    fn close_reason(&self) -> Option<Arc<str>>;
}

/// A bus as its wake subscriptions see it: one word, because there may be very many of them.
#[derive(Clone)]
pub(crate) struct WakeHost(Arc<Arc<dyn Host<WakeBuffer> + Send + Sync>>);

impl WakeHost {
    pub(crate) fn new<P: Send + Sync + 'static>(shared: &Arc<Shared<P>>) -> Self {
        Self(Arc::new(Arc::clone(shared) as _))
    }
}

impl Deref for WakeHost {
    type Target = dyn Host<WakeBuffer> + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &**self.0
    }
}

/// The position of an edit.
#[derive(Clone, Copy)]
pub(crate) struct Edited {
    /// The first emit that is matched against the new ranges.
    pub(crate) seq: Seq,
    /// That of the history, if there is one.
    pub(crate) epoch: Option<Epoch>,
    /// The earlier emits that are yet to be received as events.
    pub(crate) unread: Unread,
}

impl<P, B: Buffer> Host<B> for Shared<P> {
    fn unsubscribe(&self, mailbox: &Mailbox<B>) {
        let mut effects = self.effects();
        // Freed after the lock is released: a mailbox may hold a waker. The entries are freed also
        // if an emitter that waits for room holds the mailbox.
        let (_slot, _cleared) = {
            let state = &mut *self.state.lock();
            let slot = state.remove(mailbox.place());
            if let Some(slot) = &slot {
                state.add_removed(slot);
                slot.subscriber.release_emitters(&mut effects);
            }
            let cleared = slot
                .as_ref()
                .map(|slot| slot.subscriber.clear(slot.n_left_in_history));
            (slot, cleared)
        };
        effects.apply();
    }

    fn ranges(&self, mailbox: &Mailbox<B>) -> KeyRanges {
        let state = &*self.state.lock();
        let index = self.index.read();
        let entries = state.slots[mailbox.place()]
            .iter()
            .flat_map(|slot| slot.entries.iter());
        entries
            .filter_map(|&entry| index.range_of(entry).cloned())
            .collect()
    }

    fn replace_ranges(
        &self,
        mailbox: &Mailbox<B>,
        ranges: &KeyRanges,
    ) -> Result<Edited, ControlError> {
        let mut effects = self.effects();
        let edited = {
            let state = &mut *self.state.lock();
            if state.closed {
                return Err(ControlError::Closed);
            }
            let history = state.history.as_ref();
            let mut edited = Edited {
                seq: Seq::after(state.last_seq),
                epoch: history.map(HistoryBuffer::epoch),
                unread: Unread::default(),
            };
            let id = mailbox.place();
            if let Some(slot) = &state.slots[id] {
                if slot.ended {
                    return Err(ControlError::Ended);
                }
                edited.unread = slot.unread(history);
                // Waiting emitters may no longer match it.
                slot.subscriber.release_emitters(&mut effects);
                // In this critical section: a restore ends what is open.
                if mailbox.phase() == Phase::Reserved {
                    slot.subscriber.open(history.and_then(HistoryBuffer::head));
                }
            }
            state.replace_ranges(id, ranges);
            edited
        };
        effects.apply();
        Ok(edited)
    }

    fn discard_through(&self, mailbox: &Mailbox<B>, value: u64, waiter: Option<B::Waiter>) {
        let mut effects = self.effects();
        if let Some(waiter) = waiter {
            waiter.collect(&mut effects.wakers);
        }
        let _discarded = {
            let state = &mut *self.state.lock();
            state.slots[mailbox.place()].as_mut().and_then(|slot| {
                // The value may be of the epoch before that of the span.
                if slot.subscriber.holds_restored() {
                    return None;
                }
                slot.start_after(value);
                // There may be room now.
                slot.subscriber.release_emitters(&mut effects);
                match &slot.subscriber {
                    Subscriber::Wake(mailbox) => {
                        mailbox.with(|buffer| buffer.discard_through(value));
                        None
                    }
                    Subscriber::Events(mailbox) => {
                        Some(mailbox.with(|queue| queue.discard_through(value)))
                    }
                }
            })
        };
        effects.apply();
    }

    fn stats(&self, mailbox: &Mailbox<B>) -> Stats {
        let state = self.state.lock();
        state.slots[mailbox.place()]
            .as_ref()
            .map_or_else(Stats::default, Slot::stats)
    }

    fn close_reason(&self) -> Option<Arc<str>> {
        Self::close_reason(self)
    }
}
