//! The members of a watch set and its ready list.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::mem;
use std::ops::DerefMut;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use foldhash::{fast, quality};

use super::NextReceiver;
use super::receiver::Receivers;
use crate::emit::{Member, ReadyQueue, WakeWaiter, wake_contained};
use crate::shrink::{MIN_SHRUNK, shrunk};
use crate::subscription::{MailboxArc, Registered, WakeBuffer};
use crate::sync::Mutex;
use crate::{Closed, Span, WakeSubscription};

/// What a set shares with the emits that enqueue its members.
///
/// Lock order: the subscription of a member (held while [`with`](Self::with) runs), the state of
/// the set, a mailbox. No code of the user's runs under the last two, except `Hash`, `Eq` and
/// `Clone` of the keys. An emit enqueues after it has released the lock of its bus.
pub(super) struct WatchSetCore<K> {
    state: Mutex<WatchSetState<K>>,
}

pub(super) struct WatchSetState<K> {
    by_key: HashMap<K, u64, quality::RandomState>,
    /// By a number that is never reused, so that a notification of a removed member means nothing.
    members: HashMap<u64, Entry<K>, fast::RandomState>,
    last_member: u64,
    /// Members in the order in which they became ready, and numbers of removed ones.
    ready: VecDeque<u64>,
    /// The members in `ready`.
    n_queued: usize,
    /// How many of those were announced to a receiver that has not taken one yet.
    n_claims: usize,
    pub(super) receivers: Receivers,
    /// For the members, to be registered with their subscriptions.
    set: Weak<dyn ReadyQueue>,
}

struct Entry<K> {
    key: K,
    subscription: Arc<Mutex<Option<WakeSubscription>>>,
    /// That of the subscription.
    mailbox: MailboxArc<WakeBuffer>,
    /// Whether it is in the ready list.
    is_queued: bool,
    /// The `with` calls and deliveries that keep it from being taken. Its subscription has no
    /// waiter meanwhile.
    n_holds: usize,
    /// Whether the close was taken, after which nothing is.
    has_closed: bool,
}

/// Whether what is taken pauses its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    No,
    Yes,
}

/// A key and what it delivered.
pub(super) struct Taken<K> {
    pub(super) member: u64,
    pub(super) key: K,
    pub(super) result: Result<Span, Closed>,
}

impl<K: Hash + Eq + Clone + Send + 'static> WatchSetCore<K> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new_cyclic(|weak: &Weak<Self>| Self {
            state: Mutex::new(WatchSetState {
                by_key: HashMap::default(),
                members: HashMap::default(),
                last_member: 0,
                ready: VecDeque::new(),
                n_queued: 0,
                n_claims: 0,
                receivers: Receivers::new(),
                set: weak.clone(),
            }),
        })
    }

    pub(super) fn lock(&self) -> impl DerefMut<Target = WatchSetState<K>> {
        self.state.lock()
    }

    pub(super) fn insert(
        &self,
        key: K,
        subscription: WakeSubscription,
    ) -> Option<WakeSubscription> {
        let mailbox = MailboxArc::clone(subscription.mailbox());
        // A waker of the user's, dropped without a lock.
        drop(mailbox.unregister());
        let entry = Entry {
            key: key.clone(),
            subscription: Arc::new(Mutex::new(Some(subscription))),
            mailbox,
            is_queued: false,
            n_holds: 0,
            has_closed: false,
        };
        let (replaced, next) = {
            let mut state = self.lock();
            state.last_member += 1;
            let id = state.last_member;
            let replaced = state.by_key.insert(key, id);
            let replaced = replaced.and_then(|old| state.forget(old));
            state.members.insert(id, entry);
            state.rearm(id);
            (replaced, state.next_receiver())
        };
        wake_contained(next);
        replaced.and_then(Entry::into_subscription)
    }

    pub(super) fn remove(&self, key: &K) -> Option<WakeSubscription> {
        let removed = {
            let mut state = self.lock();
            let id = state.by_key.remove(key)?;
            let removed = state.forget(id);
            if let Some(capacity) = shrunk(state.by_key.len(), state.by_key.capacity()) {
                state.by_key.shrink_to(capacity);
            }
            removed
        };
        removed.and_then(Entry::into_subscription)
    }

    pub(super) fn clear(&self) {
        let cleared = {
            let mut state = self.lock();
            state.n_queued = 0;
            state.ready = VecDeque::new();
            (mem::take(&mut state.by_key), mem::take(&mut state.members))
        };
        // Dropped in the order of their insertion: a loom model needs the same order in every run.
        let mut cleared: Vec<_> = cleared.1.into_iter().collect();
        cleared.sort_unstable_by_key(|(id, _)| *id);
        for (_, entry) in cleared {
            drop(entry.mailbox.unregister());
            drop(entry.into_subscription());
        }
    }

    /// Takes the next key. The second half is to be woken once no lock is held.
    pub(super) fn take(&self, hold: Hold) -> (Option<Taken<K>>, NextReceiver) {
        let mut state = self.lock();
        let taken = state.take(hold);
        (taken, state.next_receiver())
    }

    pub(super) fn poll_recv(&self, cx: &Context<'_>) -> Poll<(K, Result<Span, Closed>)> {
        let waker = cx.waker().clone();
        let (polled, wakers) = {
            let mut state = self.lock();
            match state.take(Hold::No) {
                Some(taken) => (
                    Poll::Ready((taken.key, taken.result)),
                    [state.next_receiver(), Some(waker)],
                ),
                None => {
                    let old = state.receivers.register_polling(waker);
                    (Poll::Pending, [None, old])
                }
            }
        };
        let [next, _dropped] = wakers;
        wake_contained(next);
        polled
    }

    pub(super) fn with<R>(&self, key: &K, f: impl FnOnce(&mut WakeSubscription) -> R) -> Option<R> {
        let (member, subscription) = {
            let mut state = self.lock();
            let id = *state.by_key.get(key)?;
            let entry = state.members.get_mut(&id)?;
            entry.n_holds += 1;
            // Members only: the mailbox of a subscription in a set has no task.
            drop(entry.mailbox.unregister());
            (id, Arc::clone(&entry.subscription))
        };
        let using = Using {
            core: self,
            member,
            subscription,
        };
        using.subscription.lock().as_mut().map(f)
    }

    /// Takes the next key for a receiver that it was announced to.
    pub(super) fn take_claimed(&self) -> (Option<Taken<K>>, NextReceiver) {
        let mut state = self.lock();
        state.give_back_claim();
        let taken = state.take(Hold::Yes);
        (taken, state.next_receiver())
    }

    /// Ends a hold of a member.
    pub(super) fn release(&self, member: u64) {
        let next = {
            let mut state = self.lock();
            state.release(member);
            state.next_receiver()
        };
        wake_contained(next);
    }
}

/// A `with` call, which ends when this is dropped, also by a panic.
struct Using<'a, K: Hash + Eq + Clone + Send + 'static> {
    core: &'a WatchSetCore<K>,
    member: u64,
    subscription: Arc<Mutex<Option<WakeSubscription>>>,
}

impl<K: Hash + Eq + Clone + Send + 'static> Using<'_, K> {
    /// The mailbox of the subscription, which the user may have replaced and polled; `None` if it
    /// is in use by another call, whose end looks after it.
    fn idle_mailbox(&self) -> Option<MailboxArc<WakeBuffer>> {
        let subscription = self.subscription.try_lock()?;
        let mailbox = MailboxArc::clone(subscription.as_ref()?.mailbox());
        drop(subscription);
        // A waker of the user's, dropped without a lock.
        drop(mailbox.unregister());
        Some(mailbox)
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> Drop for Using<'_, K> {
    fn drop(&mut self) {
        let mailbox = self.idle_mailbox();
        let is_member = {
            let mut state = self.core.lock();
            let entry = state.members.get_mut(&self.member);
            let is_member = entry.is_some();
            if let (Some(entry), Some(mailbox)) = (entry, mailbox)
                && !MailboxArc::ptr_eq(&entry.mailbox, &mailbox)
            {
                entry.mailbox = mailbox;
                entry.has_closed = false;
            }
            is_member
        };
        if is_member {
            self.core.release(self.member);
        } else {
            // It was removed meanwhile, and left to the last use.
            let removed = self
                .subscription
                .try_lock()
                .and_then(|mut subscription| subscription.take());
            drop(removed);
        }
    }
}

impl<K> Entry<K> {
    /// The subscription, unless a `with` call uses it, which drops it.
    fn into_subscription(self) -> Option<WakeSubscription> {
        self.subscription.try_lock()?.take()
    }
}

impl<K> WatchSetState<K> {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) const fn n_ready(&self) -> usize {
        self.n_queued
    }

    /// Announces a key to a receiver.
    pub(super) const fn claim(&mut self) -> Option<()> {
        if self.n_queued <= self.n_claims {
            return None;
        }
        self.n_claims += 1;
        Some(())
    }

    pub(super) const fn give_back_claim(&mut self) {
        self.n_claims -= 1;
    }

    /// The next receiver, if there is a key that is not announced.
    pub(super) fn next_receiver(&mut self) -> NextReceiver {
        if self.n_queued > self.n_claims {
            self.receivers.pop()
        } else {
            None
        }
    }

    fn enqueue(&mut self, member: u64) {
        if let Some(entry) = self.members.get_mut(&member) {
            let waits = entry.n_holds == 0 && !entry.has_closed;
            if waits && !mem::replace(&mut entry.is_queued, true) {
                self.n_queued += 1;
                self.ready.push_back(member);
            }
        }
    }

    /// Registers a member with its subscription, or enqueues it if there is something to receive.
    fn rearm(&mut self, member: u64) {
        let Some(entry) = self.members.get(&member) else {
            return;
        };
        match entry.mailbox.register(self.waiter(member)) {
            Registered::Waits => {}
            Registered::Ready => self.enqueue(member),
        }
    }

    fn waiter(&self, member: u64) -> WakeWaiter {
        WakeWaiter::from(Member {
            set: Weak::clone(&self.set),
            id: member,
        })
    }

    fn release(&mut self, member: u64) {
        if let Some(entry) = self.members.get_mut(&member) {
            entry.n_holds -= 1;
            if entry.n_holds == 0 && !entry.has_closed {
                self.rearm(member);
            }
        }
    }

    /// Takes a member out, with its place in the ready list.
    fn forget(&mut self, member: u64) -> Option<Entry<K>> {
        let entry = self.members.remove(&member)?;
        drop(entry.mailbox.unregister());
        if let Some(capacity) = shrunk(self.members.len(), self.members.capacity()) {
            self.members.shrink_to(capacity);
        }
        if entry.is_queued {
            self.n_queued -= 1;
        }
        // Each number of a removed member is skipped here or in `take`, once.
        if self.ready.len() > 2 * self.n_queued + MIN_SHRUNK {
            self.ready
                .retain(|member| self.members.contains_key(member));
            self.ready.shrink_to(2 * self.ready.len());
        }
        Some(entry)
    }
}

impl<K: Clone> WatchSetState<K> {
    /// Takes the key that has been ready longest.
    pub(super) fn take(&mut self, hold: Hold) -> Option<Taken<K>> {
        loop {
            let id = self.ready.pop_front()?;
            if let Some(capacity) = shrunk(self.ready.len(), self.ready.capacity()) {
                self.ready.shrink_to(capacity);
            }
            let waiter = (hold == Hold::No).then(|| self.waiter(id));
            let Some(entry) = self.members.get_mut(&id) else {
                continue;
            };
            entry.is_queued = false;
            self.n_queued -= 1;
            if entry.n_holds > 0 {
                // Enqueued again by the end of the hold, if there is something to receive.
                continue;
            }
            let result = match entry.mailbox.take_member(waiter) {
                (Poll::Ready(Some(span)), is_ready) => {
                    if is_ready && hold == Hold::No {
                        self.enqueue(id);
                    }
                    Ok(span)
                }
                (Poll::Ready(None), _) => {
                    entry.has_closed = true;
                    Err(Closed)
                }
                (Poll::Pending, _) => {
                    // What it was ready for was taken by a `with`.
                    if hold == Hold::Yes {
                        self.rearm(id);
                    }
                    continue;
                }
            };
            let entry = self.members.get_mut(&id)?;
            entry.n_holds += usize::from(hold == Hold::Yes);
            return Some(Taken {
                member: id,
                key: entry.key.clone(),
                result,
            });
        }
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> ReadyQueue for WatchSetCore<K> {
    fn enqueue(&self, member: u64) {
        self.lock().enqueue(member);
    }

    fn next_receiver(&self) -> Option<Waker> {
        self.lock().next_receiver()
    }
}
