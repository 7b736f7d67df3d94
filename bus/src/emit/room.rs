//! Emitters that wait for room in a queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::emit::{Effects, EmitKeys, Record};
use crate::order::{Shared, State, Subscriber, Value};
use crate::queue::EventQueue;
use crate::subscription::Mailbox;
use crate::{EmitError, Emitted};

/// Emitters that wait for room, each by a number of its own.
#[derive(Default)]
pub(crate) struct RoomWaiters(Vec<(u64, Waker)>);

/// An emitter that waits for room with at most one subscriber, until this is dropped.
pub(crate) struct WaitForRoom {
    /// The number by which a queue knows the emitter, once it has waited.
    waiter: Option<u64>,
    full: Option<Arc<Mailbox<EventQueue>>>,
}

impl WaitForRoom {
    pub(crate) const fn new() -> Self {
        Self {
            waiter: None,
            full: None,
        }
    }

    /// Waits with `full` and no longer with another.
    fn move_to(&mut self, full: Option<Arc<Mailbox<EventQueue>>>) {
        let before = std::mem::replace(&mut self.full, full);
        if let (Some(before), Some(waiter)) = (before, self.waiter) {
            let stays = self
                .full
                .as_ref()
                .is_some_and(|full| Arc::ptr_eq(full, &before));
            if !stays {
                let waker = before.with(|queue| queue.room_waiters_mut().remove(waiter));
                drop(waker);
            }
        }
    }
}

impl Drop for WaitForRoom {
    fn drop(&mut self) {
        self.move_to(None);
    }
}

impl Shared {
    /// Emits if every subscriber that slows emitters down has room; otherwise waits for one that has none.
    pub(crate) fn poll_emit(
        &self,
        cx: &Context<'_>,
        value: Value,
        keys: &EmitKeys<'_>,
        waiting: &mut WaitForRoom,
    ) -> Poll<Result<Emitted, EmitError>> {
        let n_bytes = Record::n_bytes_of(keys.keys);
        // Cloned before the lock is taken; what is not needed is dropped after it is released.
        let mut waker = Some(cx.waker().clone());
        let mut effects = Effects::new();
        let (polled, full) = {
            let state = &mut *self.state.lock();
            match state.accept(value) {
                Err(error) => (Poll::Ready(Err(error)), None),
                Ok(value) => {
                    let waiter = state.waiter(waiting);
                    match state.wait_for_room(value, keys.lookup(), n_bytes, waiter, &mut waker) {
                        Some(full) => (Poll::Pending, Some(full)),
                        None => {
                            let (keys, lookup) = (keys.keys, keys.lookup());
                            let emitted = state.commit(value, keys, lookup, &mut effects);
                            (Poll::Ready(Ok(emitted)), None)
                        }
                    }
                }
            }
        };
        waiting.move_to(full);
        effects.apply();
        polled
    }
}

impl State {
    fn waiter(&mut self, waiting: &mut WaitForRoom) -> u64 {
        *waiting.waiter.get_or_insert_with(|| {
            self.last_waiter += 1;
            self.last_waiter
        })
    }

    /// Registers `waker` with a matching subscriber that has no room for the emit, if there is one. What
    /// was registered for the same waiter before takes the place of `waker`.
    fn wait_for_room(
        &self,
        value: u64,
        lookup: &[&[u8]],
        n_bytes: usize,
        waiter: u64,
        waker: &mut Option<Waker>,
    ) -> Option<Arc<Mailbox<EventQueue>>> {
        if self.n_backpressure == 0 {
            return None;
        }
        let mut full = None;
        self.index.visit_any_sorted(lookup, |&id| {
            let Some(slot) = &self.slots[id as usize] else {
                return;
            };
            if full.is_some() || !slot.backpressure || slot.parked || slot.excludes(value) {
                return;
            }
            if let Subscriber::Events(mailbox) = &slot.subscriber {
                // One lock for the look and the registration: a receive in between would not wake.
                let must_wait = mailbox.with(|queue| {
                    let must_wait = !queue.has_room(n_bytes);
                    if must_wait {
                        let new = waker.take();
                        *waker = new.and_then(|new| queue.room_waiters_mut().insert(waiter, new));
                    }
                    must_wait
                });
                if must_wait {
                    full = Some(Arc::clone(mailbox));
                }
            }
        });
        full
    }
}

impl RoomWaiters {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets an emitter wait for room.
    fn insert(&mut self, waiter: u64, waker: Waker) -> Option<Waker> {
        match self.0.iter_mut().find(|(id, _)| *id == waiter) {
            Some((_, old)) => Some(std::mem::replace(old, waker)),
            None => {
                self.0.push((waiter, waker));
                None
            }
        }
    }

    /// Lets an emitter wait no more.
    fn remove(&mut self, waiter: u64) -> Option<Waker> {
        let i = self.0.iter().position(|(id, _)| *id == waiter)?;
        Some(self.0.swap_remove(i).1)
    }

    pub(crate) fn into_wakers(self) -> impl Iterator<Item = Waker> {
        self.0.into_iter().map(|(_, waker)| waker)
    }

    /// Lets emitters look again.
    #[inline]
    pub(crate) fn wake_all(self) {
        // Mostly there are none.
        if !self.is_empty() {
            self.wake_each();
        }
    }

    /// A panic of one of the wakers is theirs: the consumer, in whose receive this runs, would lose what it took.
    #[cold]
    fn wake_each(self) {
        for waker in self.into_wakers() {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}
