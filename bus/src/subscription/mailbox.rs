//! The buffer between an emit and a consumer, and the consumer's waker.

use std::mem;
use std::ops::Deref;
use std::task::{Context, Poll};

use smallvec::SmallVec;

use crate::ControlError;
use crate::emit::{Record, RoomWakers, Waiter, WakeList, WakeWaiter};
use crate::order::Host;
use crate::queue::EventQueue;
use crate::subscription::{Span, WakeBuffer};
use crate::sync::Mutex;

/// A buffer that an emitter fills and one consumer empties.
pub(crate) trait Buffer: Sized {
    /// What the consumer receives.
    type Item;

    /// The consumer to notify.
    type Waiter: Waiter;

    /// The bus as the subscription sees it.
    type Host: Deref<Target: Host<Self>>;

    /// Takes the next item; `None` if there is none for now.
    fn take(&mut self) -> Option<Self::Item>;

    /// Whether the subscription has ended, so that it delivers what it holds even if it is held.
    fn has_ended(&self) -> bool {
        false
    }

    /// The emitters to wake for the room that a take has made.
    fn notify_room(&mut self) -> RoomWakers {
        RoomWakers::new()
    }

    /// Takes out all emitters that wait for room, to be woken.
    fn release_emitters(&mut self) -> RoomWakers {
        RoomWakers::new()
    }
}

/// Whether a subscription delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has not been opened.
    Reserved,
    /// It holds what matches.
    Held,
    Started,
}

/// A buffer and the registered waiter of its one consumer.
///
/// Lock order: the lock of the bus, then that of a mailbox. No user code runs under either, so
/// wakers are cloned, woken and dropped outside.
///
/// No wake-up is lost: the consumer registers its waiter under the same lock under which it
/// last saw the buffer empty, and an emitter takes the waiter under the same lock under which it
/// fills the buffer.
pub(crate) struct Mailbox<B: Buffer> {
    state: Mutex<State<B>>,
}

/// A shared mailbox. Nothing refers to one weakly, so there is no counter for that.
pub(crate) type MailboxArc<B> = triomphe::Arc<Mailbox<B>>;

struct State<B: Buffer> {
    buffer: B,
    waiter: Option<B::Waiter>,
    phase: Phase,
    closed: bool,
    /// The place of the subscriber in the table of its bus, which changes under the lock of the
    /// bus.
    place: u32,
}

impl<B: Buffer> Mailbox<B> {
    pub(crate) fn new(buffer: B, phase: Phase) -> Self {
        Self {
            state: Mutex::new(State {
                buffer,
                waiter: None,
                phase,
                closed: false,
                place: 0,
            }),
        }
    }

    /// Fills the buffer. Collects the waiter, if there is one and the consumer may receive now.
    #[inline]
    pub(crate) fn fill<R>(&self, wakers: &mut WakeList, fill: impl FnOnce(&mut B) -> R) -> R {
        let mut state = self.state.lock();
        let filled = fill(&mut state.buffer);
        // Mostly nobody waits: moving the waiter out would cost every delivery.
        if state.waiter.is_some() && state.may_receive() {
            if let Some(waiter) = state.waiter.take() {
                waiter.collect(wakers);
            }
        }
        filled
    }

    /// Changes the buffer without adding anything to receive.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut B) -> R) -> R {
        change(&mut self.state.lock().buffer)
    }

    /// The place of the subscriber in the table of its bus, as long as the lock of the bus is held.
    pub(crate) fn place(&self) -> usize {
        self.state.lock().place as usize
    }

    pub(crate) fn set_place(&self, place: usize) {
        self.state.lock().place =
            u32::try_from(place).expect("four billion subscribers take more memory than there is");
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// Moves from reserved to held.
    pub(crate) fn open(&self) {
        self.state.lock().phase = Phase::Held;
    }

    /// Moves to started. Returns the waiter, to be notified once the caller has discarded what is
    /// not to be received.
    pub(crate) fn start(&self) -> Result<Option<B::Waiter>, ControlError> {
        let mut state = self.state.lock();
        state.move_to(Phase::Started)?;
        Ok(state.waiter.take())
    }

    /// Moves to held.
    pub(crate) fn pause(&self) -> Result<(), ControlError> {
        self.state.lock().move_to(Phase::Held)
    }

    /// Fails if the subscription is reserved.
    pub(crate) fn require_open(&self) -> Result<(), ControlError> {
        self.state.lock().require_open()
    }

    /// Closes the mailbox: what is buffered can still be taken, also if it was held. Returns the
    /// waiter of the consumer and the emitters that wait for room, to be notified once the caller
    /// holds no lock.
    pub(crate) fn close(&self) -> (Option<B::Waiter>, RoomWakers) {
        let mut state = self.state.lock();
        state.closed = true;
        (state.waiter.take(), state.buffer.release_emitters())
    }

    /// Takes the next item without waiting. `Ready(None)` is the end, `Pending` an empty buffer.
    pub(crate) fn try_take(&self) -> Poll<Option<B::Item>> {
        let (taken, waiters) = self.state.lock().try_take();
        waiters.wake_all();
        taken
    }

    /// Takes the next item or registers the task. `Ready(None)` is the end.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<B::Item>> {
        {
            let mut state = self.state.lock();
            let (taken, waiters) = state.try_take();
            if taken.is_ready() {
                drop(state);
                waiters.wake_all();
                return taken;
            }
            if state
                .waiter
                .as_ref()
                .is_some_and(|waiter| waiter.will_wake(cx.waker()))
            {
                return taken;
            }
        }
        // The buffer may be filled while the waker is cloned outside the lock, hence the second
        // take.
        let mut waiter = Some(B::Waiter::from_waker(cx.waker().clone()));
        let mut state = self.state.lock();
        let (taken, waiters) = state.try_take();
        if taken.is_pending() {
            mem::swap(&mut state.waiter, &mut waiter);
        }
        drop(state);
        drop(waiter);
        waiters.wake_all();
        taken
    }

    /// Whether the bus is closed and the buffer is drained.
    pub(crate) fn has_closed(&self, is_drained: impl FnOnce(&B) -> bool) -> bool {
        let state = self.state.lock();
        state.closed && is_drained(&state.buffer)
    }

    /// Reads the buffer.
    pub(crate) fn peek<R>(&self, peek: impl FnOnce(&B) -> R) -> R {
        peek(&self.state.lock().buffer)
    }
}

/// How many events are taken at once, without an allocation under the lock: bounds the time for
/// which emitters wait.
const N_EVENTS_AT_ONCE: usize = 32;

impl<P> Mailbox<EventQueue<P>> {
    /// Takes at most `limit` and at most 32 events that are next in the queue, without waiting:
    /// none if a gap, the end or the history is next.
    pub(crate) fn take_events(&self, limit: usize) -> SmallVec<[Record<P>; N_EVENTS_AT_ONCE]> {
        let mut events = SmallVec::new();
        let mut state = self.state.lock();
        if state.may_receive() || state.closed {
            while events.len() < limit.min(N_EVENTS_AT_ONCE) {
                let Some(event) = state.buffer.pop_event() else {
                    break;
                };
                events.push(event);
            }
        }
        let waiters = state.buffer.notify_room();
        drop(state);
        waiters.wake_all();
        events
    }
}

/// Whether a member of a watch set waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    /// Its waiter is notified once there is something to receive.
    Waits,
    /// There is something to receive now.
    Ready,
}

/// The consumer side for watch sets, which call this under a lock of their own.
impl Mailbox<WakeBuffer> {
    /// Registers a waiter, unless there is something to receive, be it the close.
    pub(crate) fn register(&self, waiter: WakeWaiter) -> Registered {
        let mut state = self.state.lock();
        if state.closed || state.phase == Phase::Started && !state.buffer.span.is_empty() {
            return Registered::Ready;
        }
        state.waiter = Some(waiter);
        Registered::Waits
    }

    /// Takes the waiter out, to be dropped without a lock if it may be a task.
    pub(crate) fn unregister(&self) -> Option<WakeWaiter> {
        self.state.lock().waiter.take()
    }

    /// Takes the span, as [`try_take`](Self::try_take). Registers `waiter`, if there is one, unless
    /// there is something to receive after this, which is the second half of the result.
    pub(crate) fn take_member(&self, waiter: Option<WakeWaiter>) -> (Poll<Option<Span>>, bool) {
        let mut state = self.state.lock();
        let (taken, _) = state.try_take();
        let is_ready = state.closed && matches!(taken, Poll::Ready(Some(_)));
        if !state.closed && waiter.is_some() {
            state.waiter = waiter;
        }
        (taken, is_ready)
    }
}

impl<B: Buffer> State<B> {
    /// Whether the consumer may receive what the buffer holds.
    fn may_receive(&self) -> bool {
        self.phase == Phase::Started || self.buffer.has_ended()
    }

    fn require_open(&self) -> Result<(), ControlError> {
        match self.phase {
            Phase::Reserved => Err(ControlError::NotOpen),
            Phase::Held | Phase::Started => Ok(()),
        }
    }

    fn move_to(&mut self, phase: Phase) -> Result<(), ControlError> {
        self.require_open()?;
        self.phase = phase;
        Ok(())
    }

    /// Takes the next item. The second half are the emitters to notify, for which there may be room
    /// now.
    #[inline]
    fn try_take(&mut self) -> (Poll<Option<B::Item>>, RoomWakers) {
        if !self.may_receive() && !self.closed {
            return (Poll::Pending, RoomWakers::new());
        }
        match self.buffer.take() {
            Some(item) => {
                let waiters = self.buffer.notify_room();
                (Poll::Ready(Some(item)), waiters)
            }
            None if self.closed => (Poll::Ready(None), RoomWakers::new()),
            None => (Poll::Pending, RoomWakers::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Overflow, RangeWatchBus, TryRecvError};

    #[test]
    fn g18_events_are_not_taken_before_the_report_of_those_missed() {
        let bus = RangeWatchBus::new();
        let builder = bus.subscribe(..).overflow(Overflow::Lagged);
        let mut sub = builder.events(2).unwrap();
        for value in 1..=3 {
            bus.emit(value, ["k"]).unwrap();
        }
        // As after an overflow between the first event of a `recv_many` and the others.
        assert!(sub.mailbox().take_events(2).is_empty());
        assert_eq!(sub.try_recv(), Err(TryRecvError::Lagged(1)));
        assert_eq!(sub.mailbox().take_events(2).len(), 2);
    }
}
