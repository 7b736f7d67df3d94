//! How a subscription that reads from the history catches up.

use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::emit::Record;
use crate::history::HistoryBuffer;
use crate::order::{Shared, State};
use crate::queue::{EventQueue, Taken};
use crate::subscription::{Mailbox, RangeVersions};

/// The greatest number of emits that are copied out of the history at once, to be matched outside
/// of the lock: bounds the time for which emitters wait.
pub(crate) const CHUNK_EVENTS: usize = 256;
/// No emit is added to a chunk that has so many keys: bounds the memory and the time of a chunk of
/// large emits.
const CHUNK_KEYS: usize = 4096;
/// The greatest number of emits that are matched under the lock, so that the subscription is live
/// when the lock is released.
pub(crate) const TAIL_EVENTS: usize = 32;
/// The greatest number of keys that those have.
pub(crate) const TAIL_KEYS: usize = 512;

/// What reading from the history returned.
pub(crate) enum CatchUp<P> {
    /// The next event, which took no place in the queue.
    Event(Taken<P>),
    /// None of the emits read matched, or the subscription is live or at its end: retry.
    Again,
}

/// How many emits the next chunk has. It follows what the queue took of the last one: a queue of
/// one event has no use for 256 emits that match, and would copy them again for each receive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkSize(usize);

impl ChunkSize {
    /// For a queue of `capacity` events, which takes one more, because the first is received.
    pub(crate) fn new(capacity: usize) -> Self {
        Self(capacity.saturating_add(1).min(CHUNK_EVENTS))
    }

    /// The last chunk was taken whole: the next one may be larger.
    fn grow(&mut self) {
        self.0 = self.0.saturating_mul(2).min(CHUNK_EVENTS);
    }

    /// The queue took `n_taken` emits of the last chunk.
    fn shrink_to(&mut self, n_taken: usize) {
        self.0 = n_taken.saturating_add(1).min(CHUNK_EVENTS);
    }
}

impl<P> Shared<P> {
    /// Reads a piece of the history for a subscriber whose queue is empty, from the value `next`
    /// on.
    ///
    /// The last piece is matched under the lock, and the subscriber is live when the lock is
    /// released.
    pub(crate) fn catch_up(
        &self,
        mailbox: &Mailbox<EventQueue<P>>,
        watched: &RangeVersions,
        next: u64,
        size: &mut ChunkSize,
    ) -> CatchUp<P> {
        let chunk = {
            let state = &mut *self.state.lock();
            let id = mailbox.place();
            let State {
                history,
                slots,
                n_parked,
                ..
            } = state;
            let (Some(history), Some(slot)) = (&*history, &mut slots[id]) else {
                // Not reached: only a bus with history parks a subscriber.
                mailbox.with(|queue| queue.go_live(None, 0));
                return CatchUp::Again;
            };
            if !slot.parked {
                // `close_now` or `restore` was called in between.
                return CatchUp::Again;
            }
            if next < history.floor() {
                slot.parked = false;
                *n_parked -= 1;
                let end = history.compacted();
                mailbox.with(|queue| queue.end_before_bus(end, slot.n_left_in_history));
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
                        let head = history.head().filter(|head| !slot.excludes(*head));
                        queue.go_live(head, slot.n_left_in_history);
                    }
                    event
                });
            }
            copy_chunk(history, next, size.0)
        };
        let end = chunk.last().map(|emit| emit.value().saturating_add(1));
        let matches: Vec<_> = chunk.iter().filter(|emit| watched.matched(emit)).collect();
        mailbox.with(|queue| {
            if queue.replay().is_none() {
                // `close_now` or `restore` was called in between.
                return CatchUp::Again;
            }
            let (event, complete) = absorb(queue, matches.into_iter());
            match (complete, end, queue.replay()) {
                (true, Some(end), _) => {
                    queue.replay_from(end);
                    size.grow();
                }
                (_, _, next) => {
                    let is_taken = |emit: &&Record<P>| next.is_none_or(|next| emit.value() < next);
                    size.shrink_to(chunk.iter().take_while(is_taken).count());
                }
            }
            event
        })
    }

    /// The number of emits that a subscriber is behind: 0 if it is live and its queue is empty.
    pub(crate) fn lag(&self, mailbox: &Mailbox<EventQueue<P>>) -> u64 {
        let state = &*self.state.lock();
        let slot = state.slots[mailbox.place()].as_ref();
        let n_left = slot.map_or(0, |slot| slot.n_left_in_history);
        mailbox.peek(|queue| queue.lag(state.history.as_ref(), n_left))
    }
}

/// A piece of the history. Drop it without locks: the history may have removed emits meanwhile, so
/// that their payloads are dropped with it.
///
/// Ignores panics of these: it is dropped inside a receive, which would lose its item, and inside
/// the start of a subscription, which would never end.
pub(crate) struct Chunk<P>(Vec<Record<P>>);

impl<P> Deref for Chunk<P> {
    type Target = [Record<P>];

    fn deref(&self) -> &[Record<P>] {
        &self.0
    }
}

impl<P> Default for Chunk<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P> Drop for Chunk<P> {
    fn drop(&mut self) {
        if mem::needs_drop::<P>() {
            let emits = mem::take(&mut self.0);
            let _ = catch_unwind(AssertUnwindSafe(|| drop(emits)));
        }
    }
}

/// Copies at most `max_events` emits from the value `next` on, at least one if there is one.
pub(crate) fn copy_chunk<P>(history: &HistoryBuffer<P>, next: u64, max_events: usize) -> Chunk<P> {
    let mut n_keys = 0;
    let begins = |emit: &&Record<P>| {
        let begins = n_keys < CHUNK_KEYS;
        n_keys += 1 + emit.n_keys();
        begins
    };
    let emits = history
        .since(next)
        .take(max_events)
        .take_while(begins)
        .cloned()
        .collect();
    Chunk(emits)
}

/// Delivers the first of the matching emits and queues the others as far as there is room, in a
/// queue that is empty. The second half of the result is whether there was room for all.
fn absorb<'a, P: 'a>(
    queue: &mut EventQueue<P>,
    matches: impl Iterator<Item = &'a Record<P>>,
) -> (CatchUp<P>, bool) {
    let mut first = CatchUp::Again;
    for emit in matches {
        if matches!(first, CatchUp::Again) {
            first = CatchUp::Event(queue.deliver_replayed(emit.clone()));
        } else if !queue.push_replayed(emit) {
            // Emits before it did not match and may be removed from the history.
            queue.replay_from(emit.value());
            return (first, false);
        }
    }
    (first, true)
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::copy_chunk;
    use crate::{History, RangeWatchBus};

    /// A payload whose drop panics.
    struct Panics(Arc<AtomicUsize>);

    impl Drop for Panics {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            resume_unwind(Box::new("a faulty payload"));
        }
    }

    #[test]
    fn g40_payloads_that_panic_lose_nothing_of_a_receive_that_reads_the_history() {
        let n_dropped = Arc::new(AtomicUsize::new(0));
        let builder = RangeWatchBus::builder().history(History::events(10));
        let bus = builder.payloads().build().unwrap();
        for _ in 0..3 {
            let payload = Panics(Arc::clone(&n_dropped));
            bus.emit_next_with([("k", payload)]).unwrap();
        }
        let chunk = {
            let state = bus.shared().state.lock();
            copy_chunk(state.history.as_ref().unwrap(), 0, 10)
        };
        // Another thread does this in the middle of a receive.
        bus.compact(4).unwrap();
        assert_eq!((chunk.len(), n_dropped.load(Ordering::Relaxed)), (3, 0));
        drop(chunk);
        assert_eq!(n_dropped.load(Ordering::Relaxed), 3);
    }

    /// A bus whose history has as many emits, each with as many keys, the last of which is `last`.
    fn with_emits(n_emits: usize, n_keys: usize, last: &str) -> RangeWatchBus {
        let history = History::events(n_emits);
        let bus = RangeWatchBus::builder().history(history).build().unwrap();
        for _ in 0..n_emits {
            let keys = (1..n_keys).map(|i| format!("other-{i}"));
            bus.emit_next(keys.chain([last.to_owned()])).unwrap();
        }
        bus
    }

    /// How many emits of the history were read under the lock by now.
    fn n_read(bus: &RangeWatchBus) -> usize {
        let state = bus.shared().state.lock();
        state.history.as_ref().unwrap().n_read.get()
    }

    #[test]
    fn a_replay_reads_little_more_of_the_history_than_its_queue_takes() {
        const N_EMITS: usize = 2_000;
        for capacity in [1, 4, 100] {
            let bus = with_emits(N_EMITS, 1, "k");
            let mut sub = bus.subscribe(..).since(1).events(capacity).unwrap();
            let before = n_read(&bus);
            for value in 1..=N_EMITS as u64 {
                assert_eq!(sub.try_recv().unwrap().value(), value);
            }
            let n_read = n_read(&bus) - before;
            assert!(
                n_read <= 4 * N_EMITS,
                "{n_read} emits read with a queue of {capacity}"
            );
        }
    }

    #[test]
    fn g15_a_catch_up_holds_the_lock_for_a_bounded_number_of_emits() {
        // At most 32 emits to become live, or a chunk of 256 emits or of about 4,096 keys.
        for (n_keys, max_emits) in [(1, 32 + 256), (100, 32 + 42)] {
            let bus = with_emits(5_000, n_keys, "k");
            let mut sub = bus
                .subscribe("none".."nonf")
                .since(1)
                .events(1_000)
                .unwrap();
            let before = n_read(&bus);
            // A receive takes the lock once for each piece.
            assert!(sub.try_recv().is_err());
            let n_pieces = crate::subscription::MAX_PIECES_PER_POLL;
            let n_read = n_read(&bus) - before;
            assert!(
                n_read <= n_pieces * max_emits,
                "{n_read} emits of {n_keys} keys"
            );
        }
    }
}
