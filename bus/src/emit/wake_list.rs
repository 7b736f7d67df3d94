//! The consumers that a critical section collects and that are notified after it.

use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::vec;

use super::waiter::{Member, ReadyQueue};
use crate::scratch;

thread_local! {
    static WAKERS: Cell<Vec<Waker>> = const { Cell::new(Vec::new()) };
    static MEMBERS: Cell<Vec<Member>> = const { Cell::new(Vec::new()) };
}

/// Consumers collected under a lock, to be notified after the lock is released: tasks in the order
/// in which they were collected, and members of watch sets, which are enqueued before any task is
/// woken. Each watch set wakes one receiver, however many of its members were collected.
pub(crate) struct WakeList {
    wakers: Vec<Waker>,
    members: Vec<Member>,
}

impl WakeList {
    pub(crate) const fn new() -> Self {
        Self {
            wakers: Vec::new(),
            members: Vec::new(),
        }
    }

    /// The number of tasks and members.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.wakers.len() + self.members.len()
    }

    #[inline]
    pub(crate) fn push(&mut self, waker: Waker) {
        if self.wakers.len() == self.wakers.capacity() {
            self.grow_and_push(waker);
        } else {
            self.wakers.push(waker);
        }
    }

    pub(crate) fn push_member(&mut self, member: Member) {
        if self.members.capacity() == 0 {
            self.members = scratch::take(&MEMBERS);
        }
        self.members.push(member);
    }

    /// Notifies all. If a waker panics, the others are still woken while the panic unwinds: a
    /// subscription must not lose its wake-up to another's faulty waker. Of several panics the
    /// first is propagated, unless another one unwinds already.
    #[inline]
    pub(crate) fn wake_all(self) {
        // Mostly there are none.
        if !self.wakers.is_empty() || !self.members.is_empty() {
            self.wake_each();
        }
    }

    fn wake_each(mut self) {
        if !self.members.is_empty() {
            self.enqueue();
        }
        let mut remaining = Remaining(self.wakers.drain(..));
        // A panic in a drop that runs during another would abort.
        if !thread::panicking() {
            remaining.wake();
        }
        drop(remaining);
        scratch::put_back(&WAKERS, self.wakers);
    }

    /// Pushes to a full list, which takes the scratch buffer of the thread first. Kept out of line,
    /// with the push in it: if the waker were needed after a call, the hot path, which is inlined
    /// into every delivery, would keep it in memory.
    #[cold]
    #[inline(never)]
    fn grow_and_push(&mut self, waker: Waker) {
        if self.wakers.capacity() == 0 {
            self.wakers = scratch::take(&WAKERS);
        }
        self.wakers.push(waker);
    }

    /// Enqueues the members and collects one receiver for each of their sets. Kept out of line:
    /// most subscriptions are in no set.
    #[cold]
    #[inline(never)]
    fn enqueue(&mut self) {
        let mut members = mem::take(&mut self.members);
        let mut sets: Vec<Arc<dyn ReadyQueue>> = Vec::new();
        for Member { set, id } in members.drain(..) {
            // Mostly the members of one set come one after the other.
            match sets.last() {
                Some(last) if std::ptr::addr_eq(Arc::as_ptr(last), set.as_ptr()) => {
                    last.enqueue(id);
                }
                _ => {
                    if let Some(set) = set.upgrade() {
                        set.enqueue(id);
                        sets.push(set);
                    }
                }
            }
        }
        scratch::put_back(&MEMBERS, members);
        sets.sort_unstable_by_key(|set| Arc::as_ptr(set).cast::<()>());
        sets.dedup_by(|a, b| Arc::ptr_eq(a, b));
        self.extend(sets.iter().filter_map(|set| set.next_receiver()));
    }
}

impl Extend<Waker> for WakeList {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        wakers.into_iter().for_each(|waker| self.push(waker));
    }
}

impl FromIterator<Waker> for WakeList {
    fn from_iter<I: IntoIterator<Item = Waker>>(wakers: I) -> Self {
        let mut list = Self::new();
        list.extend(wakers);
        list
    }
}

struct Remaining<'a>(vec::Drain<'a, Waker>);

impl Remaining<'_> {
    fn wake(&mut self) {
        self.0.by_ref().for_each(Waker::wake);
    }
}

impl Drop for Remaining<'_> {
    fn drop(&mut self) {
        // Wakers are left only while a panic unwinds; a second panic would abort.
        for waker in self.0.by_ref() {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}
