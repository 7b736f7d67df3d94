//! Asynchronous emits, which wait for room in queues.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};

use crate::emit::{Draft, Ticket};
use crate::order::{Found, Shared, State, Subscriber, Value};
use crate::queue::EventQueue;
use crate::subscription::MailboxArc;
use crate::{EmitError, Emitted};

/// Wakers of emitters that must retry, to be woken after all locks are released.
#[derive(Default)]
pub(crate) struct RoomWakers(Vec<Waker>);

/// An emitter that waits for room in at most one queue, until this is dropped.
pub(crate) struct WaitForRoom<P> {
    /// The place in the order of waiting emitters, from the first attempt on.
    ticket: Option<Ticket>,
    full: Option<MailboxArc<EventQueue<P>>>,
}

/// What registering and unregistering an emitter leaves to be done after the locks are released.
#[derive(Default)]
struct Moved {
    notified: RoomWakers,
    /// Wakers that were replaced or removed, to be dropped.
    stale: Vec<Waker>,
}

impl<P> WaitForRoom<P> {
    pub(crate) const fn new() -> Self {
        Self {
            ticket: None,
            full: None,
        }
    }

    /// Waits for room in `full` and in no other queue. The next emitter in the order of the queue
    /// that this leaves is notified of the room that was reserved for this one.
    fn move_to(&mut self, full: Option<MailboxArc<EventQueue<P>>>, moved: &mut Moved) {
        let before = std::mem::replace(&mut self.full, full);
        let (Some(before), Some(ticket)) = (before, self.ticket) else {
            return;
        };
        let stays = self
            .full
            .as_ref()
            .is_some_and(|full| MailboxArc::ptr_eq(full, &before));
        if !stays {
            let Moved { notified, stale } = moved;
            before.with(|queue| stale.extend(queue.stop_waiting(ticket, notified)));
        }
    }
}

impl<P> Drop for WaitForRoom<P> {
    fn drop(&mut self) {
        let mut moved = Moved::default();
        self.move_to(None, &mut moved);
        moved.notified.wake_all();
    }
}

impl<P> Shared<P> {
    /// Emits if every matching subscription with backpressure has room for the emit and for all
    /// emits that wait longer for its room. Otherwise waits at the first one that has not.
    pub(crate) fn poll_emit(
        &self,
        cx: &Context<'_>,
        value: Value,
        draft: &mut Draft<'_, P>,
        waiting: &mut WaitForRoom<P>,
    ) -> Poll<Result<Emitted, EmitError>> {
        let n_bytes = draft.n_bytes();
        // Cloned before the lock is taken; what is not needed is dropped after it is released.
        let mut waker = Some(cx.waker().clone());
        let mut effects = self.effects();
        let mut moved = Moved::default();
        if waiting.ticket.is_none() {
            self.prepare(draft);
        }
        let mut found = self.index.find(draft.keys);
        let polled = {
            let state = &mut *self.state.lock();
            match state.accept(value) {
                Err(error) => {
                    waiting.move_to(None, &mut moved);
                    Poll::Ready(Err(error))
                }
                Ok(value) => {
                    let ticket = *waiting.ticket.get_or_insert_with(|| state.next_ticket());
                    let wait = Wait {
                        ticket,
                        n_bytes,
                        waker: &mut waker,
                        moved: &mut moved,
                    };
                    self.index.find_again(draft.keys, &mut found);
                    let full = state.wait_for_room(value, &found, wait);
                    let emitted = full
                        .is_none()
                        .then(|| state.commit(value, draft, &found, &mut effects));
                    // After the commit: what was reserved for it is now used.
                    waiting.move_to(full, &mut moved);
                    emitted.map_or(Poll::Pending, |emitted| Poll::Ready(Ok(emitted)))
                }
            }
        };
        drop(found);
        effects.wakers.extend(moved.notified.into_wakers());
        effects.apply();
        polled
    }
}

/// An attempt to emit, and what to register if it must wait.
struct Wait<'a> {
    ticket: Ticket,
    n_bytes: usize,
    waker: &'a mut Option<Waker>,
    moved: &'a mut Moved,
}

impl<P> State<P> {
    fn next_ticket(&mut self) -> Ticket {
        self.last_ticket = self.last_ticket.next();
        self.last_ticket
    }

    /// Registers the emitter with the first matching queue that does not admit it, if there is one.
    fn wait_for_room(
        &self,
        value: u64,
        found: &Found,
        wait: Wait<'_>,
    ) -> Option<MailboxArc<EventQueue<P>>> {
        if self.n_backpressure == 0 {
            return None;
        }
        let Wait {
            ticket,
            n_bytes,
            waker,
            moved: Moved { notified, stale },
        } = wait;
        let places = found.places.iter();
        let mut slots = places.filter_map(|&id| self.slots[id as usize].as_ref());
        slots.find_map(|slot| {
            if !slot.backpressure || slot.parked || slot.excludes(value) {
                return None;
            }
            let Subscriber::Events(mailbox) = &slot.subscriber else {
                return None;
            };
            // One lock for the check and the registration: a receive in between would not
            // notify.
            let must_wait = mailbox.with(|queue| {
                let must_wait = !queue.admits(ticket, n_bytes);
                if let Some(waker) = waker.take_if(|_| must_wait) {
                    stale.extend(queue.wait_for_room(ticket, n_bytes, waker, notified));
                }
                must_wait
            });
            must_wait.then(|| MailboxArc::clone(mailbox))
        })
    }
}

impl RoomWakers {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn push(&mut self, waker: Waker) {
        self.0.push(waker);
    }

    pub(crate) fn into_wakers(self) -> impl Iterator<Item = Waker> {
        self.0.into_iter()
    }

    /// Wakes all of them.
    #[inline]
    pub(crate) fn wake_all(self) {
        // Mostly there are none.
        if !self.0.is_empty() {
            self.wake_each();
        }
    }

    /// Ignores panics of the wakers: this runs inside a receive, which would lose its item, or
    /// inside a drop.
    #[cold]
    fn wake_each(self) {
        for waker in self.0 {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use crate::emit::room_queue::n_visits;
    use crate::{EmitError, Emitted, Overflow, RangeWatchBus};

    /// Appends its number to a list when it is woken.
    struct Numbered {
        number: usize,
        woken: Arc<parking_lot::Mutex<Vec<usize>>>,
        n_wakes: Arc<AtomicUsize>,
    }

    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.n_wakes.fetch_add(1, Ordering::Relaxed);
            self.woken.lock().push(self.number);
        }
    }

    #[test]
    fn g21_a_receive_wakes_one_of_very_many_waiting_emitters_and_visits_no_others() {
        const N: usize = 4_000;
        type Emitting<'a> = Pin<Box<dyn Future<Output = Result<Emitted, EmitError>> + 'a>>;
        let bus = RangeWatchBus::new();
        let builder = bus.subscribe(..).overflow(Overflow::Backpressure);
        let mut sub = builder.events(1).unwrap();
        bus.emit(0, ["k"]).unwrap();
        let (woken, n_wakes) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let wakers: Vec<Waker> = (0..N)
            .map(|number| {
                let (woken, n_wakes) = (Arc::clone(&woken), Arc::clone(&n_wakes));
                let numbered = Numbered {
                    number,
                    woken,
                    n_wakes,
                };
                Waker::from(Arc::new(numbered))
            })
            .collect();
        let mut emits: Vec<Emitting<'_>> = (0..N)
            .map(|_| Box::pin(bus.emit_async(1, ["k"])) as Emitting<'_>)
            .collect();
        let mut poll = |number: usize| {
            let mut cx = Context::from_waker(&wakers[number]);
            emits[number].as_mut().poll(&mut cx)
        };
        for number in 0..N {
            assert!(poll(number).is_pending());
        }
        let before = n_visits();
        for expected in 0..N {
            sub.try_recv().unwrap();
            assert_eq!(std::mem::take(&mut *woken.lock()), [expected]);
            assert!(poll(expected).is_ready());
        }
        assert_eq!(n_wakes.load(Ordering::Relaxed), N);
        // Per receive: the emitter that is notified, that emitter when it retries and when it
        // leaves, and the next one, for which there is no room.
        let visits = n_visits() - before;
        assert!(visits <= 6 * N, "{visits} visits for {N} receives");
    }
}
