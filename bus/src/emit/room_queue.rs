//! The order in which emitters wait for the room of one queue.

use std::collections::BTreeMap;
use std::task::Waker;

use super::room::RoomWakers;

/// The place of an emitter in the order of its bus: the lower of two tickets waits longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// The free room of an event queue.
#[derive(Clone, Copy, Default)]
pub(crate) struct Room {
    pub(crate) n_places: usize,
    pub(crate) n_bytes: usize,
}

/// The emitters that wait for the room of one event queue, in the order of their tickets.
///
/// An emitter *waits* until there is room for it and for all earlier ones. It is then *notified*,
/// and its room is reserved until it retries or its future is dropped. An emitter yields only to
/// earlier ones that wait for room of the same queue, and to notified ones, which are about to
/// retry, so no cycle exists. An emitter that retries and must wait for another queue gives its
/// reservation back, so a stalled consumer delays only the emitters that match it. A synchronous
/// emit ignores reservations; the emitters that it leaves without room wait again.
///
/// Each operation visits one emitter in each map, and one more for each emitter that it notifies.
#[derive(Default)]
pub(crate) struct RoomQueue {
    waiting: BTreeMap<Ticket, Waiting>,
    /// The bytes that are reserved for each notified emitter. Each has one place, too.
    notified: BTreeMap<Ticket, usize>,
    n_reserved_bytes: usize,
}

struct Waiting {
    n_bytes: usize,
    waker: Waker,
}

impl Ticket {
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl RoomQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.notified.is_empty()
    }

    /// Whether an emit of `n_bytes`, for which the queue has room, may take it.
    pub(crate) fn admits(&self, ticket: Ticket, n_bytes: usize, free: Room) -> bool {
        visit();
        if self.notified.contains_key(&ticket) {
            // A synchronous emit may have taken room that was reserved.
            let is_covered =
                self.notified.len() <= free.n_places && self.n_reserved_bytes <= free.n_bytes;
            let first = self.notified.first_key_value();
            return is_covered || first.is_some_and(|(first, _)| *first == ticket);
        }
        let first = self.waiting.first_key_value();
        first.is_none_or(|(first, _)| *first >= ticket) && self.is_unreserved(n_bytes, free)
    }

    fn is_unreserved(&self, n_bytes: usize, free: Room) -> bool {
        self.notified.len() < free.n_places
            && n_bytes <= free.n_bytes.saturating_sub(self.n_reserved_bytes)
    }

    /// Adds an emitter that must wait, which may have been notified before. Returns the waker that
    /// was registered for it.
    pub(crate) fn insert(&mut self, ticket: Ticket, n_bytes: usize, waker: Waker) -> Option<Waker> {
        self.cancel_reservation(ticket);
        let waiting = Waiting { n_bytes, waker };
        let replaced = self.waiting.insert(ticket, waiting);
        replaced.map(|replaced| replaced.waker)
    }

    /// Removes an emitter. Returns the waker that was registered for it.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waker> {
        self.cancel_reservation(ticket);
        self.waiting.remove(&ticket).map(|removed| removed.waker)
    }

    fn cancel_reservation(&mut self, ticket: Ticket) {
        visit();
        if let Some(n_bytes) = self.notified.remove(&ticket) {
            self.n_reserved_bytes -= n_bytes;
        }
    }

    /// Notifies the first emitters that wait, as far as there is room for them that is not
    /// reserved. To be called whenever room became free or a reservation ended.
    pub(crate) fn notify(&mut self, free: Room, wakers: &mut RoomWakers) {
        while let Some((_, first)) = self.waiting.first_key_value() {
            visit();
            if !self.is_unreserved(first.n_bytes, free) {
                break;
            }
            if let Some((ticket, Waiting { n_bytes, waker })) = self.waiting.pop_first() {
                self.notified.insert(ticket, n_bytes);
                self.n_reserved_bytes += n_bytes;
                wakers.push(waker);
            }
        }
    }

    /// Takes out all emitters, to retry: what they wait for may be of no concern to them any more.
    pub(crate) fn release(self) -> RoomWakers {
        let mut wakers = RoomWakers::new();
        for waiting in self.waiting.into_values() {
            wakers.push(waiting.waker);
        }
        wakers
    }
}

#[cfg(test)]
thread_local! {
    static N_VISITS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many emitters this thread has visited in any queue.
#[cfg(test)]
pub(crate) fn n_visits() -> usize {
    N_VISITS.get()
}

/// Counts one emitter that is visited, for the tests.
#[inline]
fn visit() {
    #[cfg(test)]
    N_VISITS.set(N_VISITS.get() + 1);
}
