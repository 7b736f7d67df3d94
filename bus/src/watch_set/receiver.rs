//! The futures of a watch set, and the receivers that wait in it.

use std::collections::VecDeque;
use std::hash::Hash;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::NextReceiver;
use super::state::{Hold, WatchSetCore, WatchSetState};
use crate::emit::wake_contained;
use crate::{Closed, Span};

/// What a receiver waits for.
pub(super) trait Wait<K> {
    type Output;

    /// Takes it, if it is there.
    fn poll(state: &mut WatchSetState<K>) -> Option<Self::Output>;
}

/// Waits for a key and its span.
pub(super) struct Recv;

impl<K: Clone + Send + 'static> Wait<K> for Recv {
    type Output = (K, Result<Span, Closed>);

    fn poll(state: &mut WatchSetState<K>) -> Option<Self::Output> {
        let taken = state.take(Hold::No)?;
        Some((taken.key, taken.result))
    }
}

/// Waits until a key is ready that is announced to no other.
pub(super) struct Claim;

impl<K> Wait<K> for Claim {
    type Output = ();

    fn poll(state: &mut WatchSetState<K>) -> Option<()> {
        state.claim()
    }
}

/// A future that waits in a set. It has its place in the order of the receivers from its first
/// pending poll on.
pub(super) struct Receiver<'a, K: Hash + Eq + Clone + Send + 'static, W> {
    core: &'a Arc<WatchSetCore<K>>,
    /// Set while it waits, and from its notification to its next poll.
    ticket: Option<u64>,
    waits_for: PhantomData<fn() -> W>,
}

impl<'a, K: Hash + Eq + Clone + Send + 'static, W: Wait<K>> Receiver<'a, K, W> {
    pub(super) const fn new(core: &'a Arc<WatchSetCore<K>>) -> Self {
        Self {
            core,
            ticket: None,
            waits_for: PhantomData,
        }
    }

    /// Takes what it waits for, and what to wake then.
    fn take(&mut self, state: &mut WatchSetState<K>) -> Option<(W::Output, [NextReceiver; 2])> {
        let output = W::poll(state)?;
        let ticket = self.ticket.take();
        let own = ticket.and_then(|ticket| state.receivers.remove(ticket));
        Some((output, [state.next_receiver(), own]))
    }
}

impl<K: Hash + Eq + Clone + Send + 'static, W: Wait<K>> Future for Receiver<'_, K, W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        let this = self.get_mut();
        let waker = cx.waker().clone();
        let mut state = this.core.lock();
        let (polled, wakers) = match this.take(&mut state) {
            Some((output, wakers)) => (Poll::Ready(output), wakers),
            None => {
                let old = state.receivers.register(&mut this.ticket, waker);
                (Poll::Pending, [None, old])
            }
        };
        drop(state);
        let [next, _dropped] = wakers;
        wake_contained(next);
        polled
    }
}

impl<K: Hash + Eq + Clone + Send + 'static, W> Drop for Receiver<'_, K, W> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else {
            return;
        };
        let mut state = self.core.lock();
        let own = state.receivers.remove(ticket);
        // Without a place it was notified: the notification is passed on.
        let next = match own {
            Some(_) => None,
            None => state.next_receiver(),
        };
        drop(state);
        drop(own);
        wake_contained(next);
    }
}

/// The receivers that wait in a set, the one that has waited longest first.
pub(super) struct Receivers {
    waiting: VecDeque<(u64, Waker)>,
    last_ticket: u64,
    /// The task that polls by hand.
    polling: Option<Waker>,
}

impl Receivers {
    pub(super) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            last_ticket: 0,
            polling: None,
        }
    }

    /// Registers a receiver, which keeps its place if it has one. Returns the waker that is not
    /// needed any more.
    fn register(&mut self, ticket: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let place = ticket.and_then(|ticket| self.place_of(ticket).ok());
        if let Some((_, old)) = place.and_then(|place| self.waiting.get_mut(place)) {
            return Some(mem::replace(old, waker));
        }
        self.last_ticket += 1;
        *ticket = Some(self.last_ticket);
        self.waiting.push_back((self.last_ticket, waker));
        None
    }

    /// Registers the task that polls by hand. Returns the waker that is not needed any more.
    pub(super) const fn register_polling(&mut self, waker: Waker) -> Option<Waker> {
        self.polling.replace(waker)
    }

    fn remove(&mut self, ticket: u64) -> Option<Waker> {
        let place = self.place_of(ticket).ok()?;
        self.waiting.remove(place).map(|(_, waker)| waker)
    }

    /// Takes out the receiver to notify.
    pub(super) fn pop(&mut self) -> Option<Waker> {
        let first = self.waiting.pop_front().map(|(_, waker)| waker);
        first.or_else(|| self.polling.take())
    }

    /// Tickets ascend.
    fn place_of(&self, ticket: u64) -> Result<usize, usize> {
        self.waiting
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket)
    }
}
