//! How a subscription begins in the past, and how it catches up.

use std::sync::Arc;
use std::task::Waker;

use crate::event_queue::{EventQueue, Taken};
use crate::key_ranges::KeyRanges;
use crate::mailbox::{Mailbox, Phase};
use crate::record::Record;
use crate::ring::Ring;
use crate::shared::Shared;
use crate::span::{Span, SpanBuffer};
use crate::state::{Slot, State};
use crate::subscriber::Subscriber;
use crate::wake_buffer::WakeBuffer;
use crate::watched::Watched;
use crate::{Seq, SubscribeError};

/// How many emits are copied out of the history at once, to be matched outside of the lock.
const CHUNK_EVENTS: usize = 256;
/// How many keys those have, a little more or less.
const CHUNK_KEYS: usize = 4096;
/// How many emits are matched under the lock, to become live with nothing in between.
const TAIL_EVENTS: usize = 32;
/// How many keys those have at most.
const TAIL_KEYS: usize = 512;
/// What reading from the history came to.
pub(crate) enum CaughtUp {
    /// The next event, which took no place in the queue.
    Event(Taken),
    /// Nothing of what was read matched, or the subscription is live, or at its end: look again.
    Again,
}

impl Shared {
    /// Subscribes for spans, from the value `since` on if there is one.
    pub(crate) fn subscribe_wake(
        &self,
        ranges: &KeyRanges,
        since: Option<u64>,
        phase: Phase,
    ) -> Result<(usize, Arc<Mailbox<WakeBuffer>>), SubscribeError> {
        let (id, mailbox, begin, end) = {
            let state = &mut *self.state.lock();
            let mut span = SpanBuffer::new();
            let is_long = {
                let ring = state.check_subscribe(since)?;
                let unread = since.and_then(|since| Some((ring?, since)));
                match unread.map(|(ring, since)| ring.tail(since, TAIL_EVENTS, TAIL_KEYS)) {
                    Some(Some(tail)) => {
                        summarize(&mut span, ranges, tail);
                        false
                    }
                    Some(None) => true,
                    None => false,
                }
            };
            let end = state.last_seq;
            let (id, mailbox) = state.enter_wake(ranges, since, span, phase);
            match since {
                Some(since) if is_long => (id, mailbox, since, end),
                _ => return Ok((id, mailbox)),
            }
        };
        // It is live, and nobody receives from it yet: what came before is read in pieces, and put in front.
        let mut span = SpanBuffer::new();
        let mut next = begin;
        loop {
            let chunk = {
                let state = &mut *self.state.lock();
                let checked = state
                    .check_subscribe(Some(next))
                    .map(|ring| ring.map_or_else(Vec::new, |ring| copy_chunk(ring, next)));
                match checked {
                    Ok(chunk) => chunk,
                    Err(error) => {
                        state.depart(id);
                        return Err(error);
                    }
                }
            };
            let before = chunk.iter().take_while(|emit| Some(emit.seq()) <= end);
            summarize(&mut span, ranges, before);
            match chunk.last() {
                Some(last) if Some(last.seq()) < end => next = last.value().saturating_add(1),
                _ => break,
            }
        }
        let state = &mut *self.state.lock();
        if let Some(slot) = &mut state.slots[id] {
            slot.n_matched += span.count();
        }
        mailbox.with(|buffer| buffer.span.put_in_front(span.take()));
        Ok((id, mailbox))
    }

    /// Subscribes for events, by the queue that `queue` makes, from the value `since` on if there is one. The
    /// queue is made of the last emit before it, of the value to read the history from and of the value that counts as received.
    pub(crate) fn subscribe_events(
        &self,
        ranges: &KeyRanges,
        since: Option<u64>,
        backpressure: bool,
        phase: Phase,
        queue: impl FnOnce(Option<Seq>, Option<u64>, Option<u64>) -> EventQueue,
    ) -> Result<(usize, Arc<Mailbox<EventQueue>>), SubscribeError> {
        let state = &mut *self.state.lock();
        let ring = state.check_subscribe(since)?;
        if since.is_some() && ring.is_none() {
            return Err(SubscribeError::NoHistory);
        }
        let replay = since.filter(|&next| ring.is_some_and(|ring| ring.n_since(next) > 0));
        let after = since.and_then(|since| since.checked_sub(1));
        let position = match since {
            Some(_) => after,
            None => ring.and_then(Ring::head),
        };
        let mailbox = Arc::new(Mailbox::new(queue(state.last_seq, replay, position), phase));
        let mut slot = Slot::new(Subscriber::Events(Arc::clone(&mailbox)), after);
        slot.parked = replay.is_some();
        slot.backpressure = backpressure;
        Ok((state.enter(slot, ranges), mailbox))
    }

    /// Reads a piece of the history for the subscriber `id`, whose queue is empty, from the value `next`
    /// on.
    ///
    /// The last piece is matched under the lock, and the subscriber is live when the lock is released.
    pub(crate) fn catch_up(
        &self,
        id: usize,
        mailbox: &Mailbox<EventQueue>,
        watched: &Watched,
        next: u64,
    ) -> CaughtUp {
        let chunk = {
            let state = &mut *self.state.lock();
            let State {
                history,
                slots,
                n_parked,
                ..
            } = state;
            let (Some(ring), Some(slot)) = (&*history, &mut slots[id]) else {
                // Only a bus with history parks a subscriber, and one that receives has its place.
                mailbox.with(|queue| queue.go_live(None));
                return CaughtUp::Again;
            };
            if !slot.parked {
                // The bus was closed at once, in between.
                return CaughtUp::Again;
            }
            if next < ring.floor() {
                slot.parked = false;
                *n_parked -= 1;
                mailbox.with(|queue| queue.overtaken(ring.floor()));
                state.end(id);
                return CaughtUp::Again;
            }
            if let Some(tail) = ring.tail(next, TAIL_EVENTS, TAIL_KEYS) {
                let matches = tail.filter(|emit| watched.matched(emit));
                return mailbox.with(|queue| {
                    let (event, complete) = absorb(queue, matches);
                    if complete {
                        slot.parked = false;
                        *n_parked -= 1;
                        queue.go_live(ring.head().filter(|head| Some(*head) > slot.after));
                    }
                    event
                });
            }
            copy_chunk(ring, next)
        };
        let end = chunk.last().map(|emit| emit.value().saturating_add(1));
        let matches: Vec<_> = chunk.iter().filter(|emit| watched.matched(emit)).collect();
        mailbox.with(|queue| {
            if queue.replay().is_none() {
                // The bus was closed at once, in between.
                return CaughtUp::Again;
            }
            let (event, complete) = absorb(queue, matches.into_iter());
            if let Some(end) = end.filter(|_| complete) {
                queue.examined(end);
            }
            event
        })
    }

    /// Asks for a progress mark behind everything that the subscriber `id` has yet to receive. Returns the
    /// value that it will have at least, and the waker of a consumer that waits.
    pub(crate) fn mark(
        &self,
        id: usize,
        mailbox: &Mailbox<EventQueue>,
    ) -> Option<(u64, Option<Waker>)> {
        let state = self.state.lock();
        let head = state.history.as_ref().and_then(Ring::head)?;
        let slot = state.slots[id].as_ref()?;
        if state.closed || Some(head) <= slot.after {
            return None;
        }
        let (is_accepted, waker) = mailbox.fill(|queue| queue.mark(head));
        is_accepted.then_some((head, waker))
    }

    /// How far the subscriber `id` is behind, in emits: 0 if it is live and its queue is empty.
    pub(crate) fn lag(&self, mailbox: &Mailbox<EventQueue>) -> u64 {
        let state = &*self.state.lock();
        mailbox.peek(|queue| {
            let unread = queue.replay().map_or(0, |next| {
                let n_unread = state.history.as_ref().map_or(0, |ring| ring.n_since(next));
                let n_unread = u64::try_from(n_unread).unwrap_or(u64::MAX);
                n_unread.max(queue.n_left_in_history()).max(1)
            });
            queue.n_queued() + unread
        })
    }
}

impl State {
    /// Whether a subscription may begin, at `since` if there is one. Returns the history.
    fn check_subscribe(&self, since: Option<u64>) -> Result<Option<&Ring>, SubscribeError> {
        if self.closed {
            return Err(SubscribeError::Closed);
        }
        let ring = self.history.as_ref();
        match (since, ring.map(Ring::floor)) {
            (Some(since), Some(floor)) if since < floor => Err(SubscribeError::Compacted { floor }),
            _ => Ok(ring),
        }
    }

    fn enter_wake(
        &mut self,
        ranges: &KeyRanges,
        since: Option<u64>,
        mut span: SpanBuffer,
        phase: Phase,
    ) -> (usize, Arc<Mailbox<WakeBuffer>>) {
        let after = since.and_then(|since| since.checked_sub(1));
        let position = match (since, &self.history) {
            (Some(_), _) => after,
            (None, Some(ring)) => ring.head(),
            (None, None) => None,
        };
        let span = match (since, self.last_value, self.last_seq) {
            (Some(since), Some(last), Some(last_seq))
                if self.history.is_none() && since <= last && ranges.len() > 0 =>
            {
                Some(Span::conservative(since, last, last_seq))
            }
            _ => span.take(),
        };
        let n_matched = span.as_ref().map_or(0, Span::count);
        let mailbox = Arc::new(Mailbox::new(WakeBuffer::new(span, position), phase));
        let subscriber = Subscriber::Wake(Arc::clone(&mailbox));
        let mut slot = Slot::new(subscriber, after);
        slot.n_matched = n_matched;
        (self.enter(slot, ranges), mailbox)
    }
}

/// Copies some emits from the value `next` on, at least one if there is one.
fn copy_chunk(ring: &Ring, next: u64) -> Vec<Record> {
    let mut n_keys = 0;
    let begins = |emit: &&Record| {
        let begins = n_keys < CHUNK_KEYS;
        n_keys += 1 + emit.n_keys();
        begins
    };
    ring.since(next)
        .take(CHUNK_EVENTS)
        .take_while(begins)
        .cloned()
        .collect()
}

fn summarize<'a>(
    span: &mut SpanBuffer,
    ranges: &KeyRanges,
    emits: impl Iterator<Item = &'a Record>,
) {
    for emit in emits.filter(|emit| ranges.match_any(emit)) {
        span.push(emit.seq(), emit.value());
    }
}

/// Hands matching emits of the history to a queue that is empty: the first goes to the consumer, the others
/// as far as there is room. Returns also whether there was room for all.
fn absorb<'a>(
    queue: &mut EventQueue,
    matches: impl Iterator<Item = &'a Record>,
) -> (CaughtUp, bool) {
    let mut first = CaughtUp::Again;
    for emit in matches {
        if matches!(first, CaughtUp::Again) {
            first = CaughtUp::Event(queue.deliver_replayed(emit.clone()));
        } else if !queue.push_replayed(emit) {
            // What lies before it did not match and may leave the history.
            queue.examined(emit.value());
            return (first, false);
        }
    }
    (first, true)
}
