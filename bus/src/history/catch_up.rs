//! How a subscription begins in the past, and how it catches up.

use crate::emit::Record;
use crate::history::HistoryBuffer;
use crate::order::{Shared, State};
use crate::queue::{EventQueue, Taken};
use crate::subscription::{Mailbox, RangeVersions};

/// How many emits are copied out of the history at once, to be matched outside of the lock.
const CHUNK_EVENTS: usize = 256;
/// How many keys those have, a little more or less.
const CHUNK_KEYS: usize = 4096;
/// How many emits are matched under the lock, to become live with nothing in between.
pub(crate) const TAIL_EVENTS: usize = 32;
/// How many keys those have at most.
pub(crate) const TAIL_KEYS: usize = 512;
/// What reading from the history came to.
pub(crate) enum CatchUp {
    /// The next event, which took no place in the queue.
    Event(Taken),
    /// Nothing of what was read matched, or the subscription is live, or at its end: look again.
    Again,
}

impl Shared {
    /// Reads a piece of the history for the subscriber `id`, whose queue is empty, from the value `next`
    /// on.
    ///
    /// The last piece is matched under the lock, and the subscriber is live when the lock is released.
    pub(crate) fn catch_up(
        &self,
        id: usize,
        mailbox: &Mailbox<EventQueue>,
        watched: &RangeVersions,
        next: u64,
    ) -> CatchUp {
        let chunk = {
            let state = &mut *self.state.lock();
            let State {
                history,
                slots,
                n_parked,
                ..
            } = state;
            let (Some(history), Some(slot)) = (&*history, &mut slots[id]) else {
                // Only a bus with history parks a subscriber, and one that receives has its place.
                mailbox.with(|queue| queue.go_live(None));
                return CatchUp::Again;
            };
            if !slot.parked {
                // The bus was closed at once, in between.
                return CatchUp::Again;
            }
            if next < history.floor() {
                slot.parked = false;
                *n_parked -= 1;
                mailbox.with(|queue| queue.overtaken(history.floor()));
                state.end(id);
                return CatchUp::Again;
            }
            if let Some(tail) = history.tail(next, TAIL_EVENTS, TAIL_KEYS) {
                let matches = tail.filter(|emit| watched.matched(emit));
                return mailbox.with(|queue| {
                    let (event, complete) = absorb(queue, matches);
                    if complete {
                        slot.parked = false;
                        *n_parked -= 1;
                        queue.go_live(history.head().filter(|head| Some(*head) > slot.after));
                    }
                    event
                });
            }
            copy_chunk(history, next)
        };
        let end = chunk.last().map(|emit| emit.value().saturating_add(1));
        let matches: Vec<_> = chunk.iter().filter(|emit| watched.matched(emit)).collect();
        mailbox.with(|queue| {
            if queue.replay().is_none() {
                // The bus was closed at once, in between.
                return CatchUp::Again;
            }
            let (event, complete) = absorb(queue, matches.into_iter());
            if let Some(end) = end.filter(|_| complete) {
                queue.examined(end);
            }
            event
        })
    }

    /// How far the subscriber `id` is behind, in emits: 0 if it is live and its queue is empty.
    pub(crate) fn lag(&self, mailbox: &Mailbox<EventQueue>) -> u64 {
        let state = &*self.state.lock();
        mailbox.peek(|queue| {
            let unread = queue.replay().map_or(0, |next| {
                let n_unread = state
                    .history
                    .as_ref()
                    .map_or(0, |history| history.n_since(next));
                let n_unread = u64::try_from(n_unread).unwrap_or(u64::MAX);
                n_unread.max(queue.n_left_in_history()).max(1)
            });
            queue.n_queued() + unread
        })
    }
}

/// Copies some emits from the value `next` on, at least one if there is one.
pub(crate) fn copy_chunk(history: &HistoryBuffer, next: u64) -> Vec<Record> {
    let mut n_keys = 0;
    let begins = |emit: &&Record| {
        let begins = n_keys < CHUNK_KEYS;
        n_keys += 1 + emit.n_keys();
        begins
    };
    history
        .since(next)
        .take(CHUNK_EVENTS)
        .take_while(begins)
        .cloned()
        .collect()
}

/// Hands matching emits of the history to a queue that is empty: the first goes to the consumer, the others
/// as far as there is room. Returns also whether there was room for all.
fn absorb<'a>(
    queue: &mut EventQueue,
    matches: impl Iterator<Item = &'a Record>,
) -> (CatchUp, bool) {
    let mut first = CatchUp::Again;
    for emit in matches {
        if matches!(first, CatchUp::Again) {
            first = CatchUp::Event(queue.deliver_replayed(emit.clone()));
        } else if !queue.push_replayed(emit) {
            // What lies before it did not match and may leave the history.
            queue.examined(emit.value());
            return (first, false);
        }
    }
    (first, true)
}
