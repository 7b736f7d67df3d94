//! What all handles of a bus share: the order, the subscribers and the index of what they watch.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::event::KeyList;
use crate::event_queue::Queued;
use crate::index::{Handle, IntervalIndex, N_KEYS_INLINE};
use crate::key_ranges::KeyRanges;
use crate::registration::Subscriber;
use crate::wake_list::WakeList;
use crate::{EmitError, Emitted, Selectors, Seq, SubscribeError};

/// The state of a bus behind its one lock.
///
/// Everything that has a place in the order happens in one critical section: an emit, the start of
/// a subscription, its end, the close. Lock order: this lock, then that of a mailbox. No code that
/// is not ours runs under it: keys are read before it is taken, wakers are woken and dropped after
/// it is released.
pub(crate) struct Shared {
    state: Mutex<State>,
}

struct State {
    last_seq: Option<Seq>,
    closed: bool,
    /// The disjoint ranges of every subscriber, each with the subscriber's place in `slots`.
    index: IntervalIndex<usize>,
    /// The subscribers. A place is reused after its subscriber has left; its `Registration` is the
    /// only holder of its number.
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
}

/// A subscriber and what the bus knows of it.
struct Slot {
    subscriber: Subscriber,
    /// The entries in the index.
    entries: SmallVec<[Handle; 1]>,
    /// The last emit that matched, by which an emit that matches several entries is delivered once.
    last_match: Option<Seq>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                last_seq: None,
                closed: false,
                index: IntervalIndex::new(),
                slots: Vec::new(),
                free: Vec::new(),
            }),
        }
    }

    pub(crate) fn emit(&self, value: u64, keys: &[&[u8]]) -> Result<Emitted, EmitError> {
        // One lookup of sorted keys passes each range once, so that many keys in the ranges of many
        // subscriptions do not hold the lock for their product. Sorting needs no lock.
        let mut sorted = SmallVec::<[&[u8]; N_KEYS_INLINE]>::new();
        let lookup = if keys.is_sorted() {
            keys
        } else {
            sorted.extend_from_slice(keys);
            sorted.sort_unstable();
            &sorted
        };

        // Both outlive the lock: what they hold is woken and freed after it is released.
        let mut wakers = WakeList::new();
        let mut evicted = SmallVec::<[Queued; 4]>::new();

        let emitted = {
            let state = &mut *self.state.lock();
            if state.closed {
                return Err(EmitError::Closed);
            }
            let seq = Seq::after(state.last_seq);
            state.last_seq = Some(seq);

            let mut matched = 0;
            let mut shared_keys = None;
            state.index.visit_any_sorted(lookup, |&id| {
                let Some(slot) = &mut state.slots[id] else {
                    return;
                };
                if slot.last_match == Some(seq) {
                    return;
                }
                slot.last_match = Some(seq);
                matched += 1;
                let waker = match &slot.subscriber {
                    Subscriber::Wake(mailbox) => mailbox.fill(|span| span.push(seq, value)).1,
                    Subscriber::Events(mailbox) => {
                        let keys = shared_keys.get_or_insert_with(|| Arc::new(KeyList::new(keys)));
                        let queued = Queued {
                            seq,
                            value,
                            keys: Arc::clone(keys),
                        };
                        let (oldest, waker) = mailbox.fill(|queue| queue.push(queued));
                        evicted.extend(oldest);
                        waker
                    }
                };
                wakers.push(waker);
            });
            Emitted { seq, matched }
        };

        wakers.wake_all();
        Ok(emitted)
    }

    pub(crate) fn subscribe(
        &self,
        ranges: &KeyRanges,
        subscriber: Subscriber,
    ) -> Result<usize, SubscribeError> {
        let state = &mut *self.state.lock();
        if state.closed {
            return Err(SubscribeError::Closed);
        }
        let id = state.free.pop().unwrap_or_else(|| {
            state.slots.push(None);
            state.slots.len() - 1
        });
        let entries = ranges
            .iter()
            .map(|range| state.index.insert(range.clone(), id))
            .collect();
        state.slots[id] = Some(Slot {
            subscriber,
            entries,
            last_match: None,
        });
        Ok(id)
    }

    /// Forgets the subscriber `id`, whose `Registration` calls this once.
    pub(crate) fn unsubscribe(&self, id: usize) {
        // Freed after the lock is released: a mailbox may hold a waker.
        let _slot = {
            let state = &mut *self.state.lock();
            let slot = state.slots[id].take();
            if let Some(slot) = &slot {
                state.free.push(id);
                for &entry in &slot.entries {
                    state.index.remove(entry);
                }
            }
            slot
        };
    }

    pub(crate) fn close(&self) {
        let mut wakers = WakeList::new();
        {
            let state = &mut *self.state.lock();
            state.closed = true;
            for slot in state.slots.iter().flatten() {
                wakers.push(slot.subscriber.close());
            }
        }
        wakers.wake_all();
    }

    /// What the subscriber `id` watches.
    pub(crate) fn selectors(&self, id: usize) -> Selectors {
        let state = &*self.state.lock();
        let entries = state.slots[id].iter().flat_map(|slot| &slot.entries);
        entries
            .filter_map(|&entry| state.index.get(entry))
            .map(|(range, _)| range)
            .collect()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(crate) fn last_seq(&self) -> Option<Seq> {
        self.state.lock().last_seq
    }

    pub(crate) fn n_subscriptions(&self) -> usize {
        let state = self.state.lock();
        state.slots.len() - state.free.len()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The formatter may be the caller's own, so nothing is written under the lock.
        let (last_seq, n_subscriptions, closed) =
            (self.last_seq(), self.n_subscriptions(), self.is_closed());
        f.debug_struct("Shared")
            .field("last_seq", &last_seq)
            .field("n_subscriptions", &n_subscriptions)
            .field("closed", &closed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SubscribeBuilder;

    #[test]
    fn an_emit_of_many_keys_to_many_subscriptions_costs_no_product_of_the_two() {
        let shared = Arc::new(Shared::new());
        let _subs: Vec<_> = (0..300)
            .map(|_| {
                SubscribeBuilder::new(&shared, ("k".."l").into())
                    .wake()
                    .unwrap()
            })
            .collect();
        let keys: Vec<_> = (0..300).map(|i| format!("k{}", i * 7 % 300)).collect();
        let keys: Vec<_> = keys.iter().map(String::as_bytes).collect();
        assert_eq!(shared.emit(1, &keys).unwrap().matched(), 300);
        let n_comparisons = shared.state.lock().index.n_comparisons.get();
        // Of each range: the greatest end below it, its start among 300 keys, its own end.
        assert!(n_comparisons <= 300 * (1 + 10 + 1), "{n_comparisons}");
    }
}
