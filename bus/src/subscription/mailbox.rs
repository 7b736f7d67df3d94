//! What an emit fills and a subscription empties, and the waiting in between.

use std::mem;
use std::task::{Context, Poll, Waker};

use crate::ControlError;
use crate::emit::RoomWaiters;
use crate::sync::Mutex;

/// A buffer that an emitter fills and one consumer empties.
pub(crate) trait Buffer {
    /// What the consumer receives.
    type Item;

    /// Takes the next item; `None` if there is none for now.
    fn take(&mut self) -> Option<Self::Item>;

    /// Whether the subscription has ended by itself, so that nothing is gained by holding back what it has.
    fn has_ended(&self) -> bool {
        false
    }

    /// Whether emitters wait for what a take has made room for.
    fn has_room_waiters(&self) -> bool {
        false
    }

    /// Hands out the emitters that wait for room.
    fn take_room_waiters(&mut self) -> RoomWaiters {
        RoomWaiters::new()
    }
}

/// Whether a mailbox gives out what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It watches nothing yet.
    Reserved,
    /// It gathers and does not deliver.
    Held,
    Started,
}

/// A buffer, its end and the waker of its one consumer.
///
/// Lock order: the lock of the bus, then that of a mailbox; a consumer takes only the latter. No
/// code that is not ours runs under either, so wakers are cloned, woken and dropped outside.
///
/// A wake-up cannot be lost: the consumer registers its waker under the same lock under which it
/// last saw the buffer empty, and an emitter takes the waker under the same lock under which it
/// fills the buffer.
pub(crate) struct Mailbox<B> {
    state: Mutex<State<B>>,
}

struct State<B> {
    buffer: B,
    waker: Option<Waker>,
    phase: Phase,
    closed: bool,
}

impl<B: Buffer> Mailbox<B> {
    pub(crate) fn new(buffer: B, phase: Phase) -> Self {
        Self {
            state: Mutex::new(State {
                buffer,
                waker: None,
                phase,
                closed: false,
            }),
        }
    }

    /// Fills the buffer. The caller wakes the waker, that of a consumer which may receive now, once it
    /// holds no lock.
    #[inline]
    pub(crate) fn fill<R>(&self, fill: impl FnOnce(&mut B) -> R) -> (R, Option<Waker>) {
        let mut state = self.state.lock();
        let filled = fill(&mut state.buffer);
        let may_receive = state.phase == Phase::Started || state.buffer.has_ended();
        let waker = if may_receive {
            state.waker.take()
        } else {
            None
        };
        (filled, waker)
    }

    /// Changes the buffer in a way that gives a waiting consumer nothing to receive.
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut B) -> R) -> R {
        change(&mut self.state.lock().buffer)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// Gathers from now on, what was reserved.
    pub(crate) fn open(&self) {
        self.state.lock().phase = Phase::Held;
    }

    /// Gives out what it holds from now on. The caller wakes the waker, of a consumer that waited for this, once what
    /// it may receive is settled.
    pub(crate) fn start(&self) -> Result<Option<Waker>, ControlError> {
        let mut state = self.state.lock();
        state.move_to(Phase::Started)?;
        Ok(state.waker.take())
    }

    /// Gathers and does not give out, from now on.
    pub(crate) fn pause(&self) -> Result<(), ControlError> {
        self.state.lock().move_to(Phase::Held)
    }

    /// Refuses what is only reserved.
    pub(crate) fn require_open(&self) -> Result<(), ControlError> {
        self.state.lock().require_open()
    }

    /// Ends the mailbox: what is buffered can still be taken, also if it was held. The caller wakes the
    /// wakers, those of the consumer and of emitters that wait for room, once it holds no lock.
    pub(crate) fn close(&self) -> (Option<Waker>, RoomWaiters) {
        let mut state = self.state.lock();
        state.closed = true;
        (state.waker.take(), state.buffer.take_room_waiters())
    }

    /// Takes the next item without waiting. `Ready(None)` is the end, `Pending` an empty buffer.
    pub(crate) fn try_take(&self) -> Poll<Option<B::Item>> {
        let (taken, waiters) = self.state.lock().try_take();
        waiters.wake_all();
        taken
    }

    /// Takes the next item or registers the waker. `Ready(None)` is the end.
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
                .waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                return taken;
            }
        }
        // The buffer may be filled while the waker is cloned outside the lock, hence the second
        // look.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.state.lock();
        let (taken, waiters) = state.try_take();
        if taken.is_pending() {
            mem::swap(&mut state.waker, &mut waker);
        }
        drop(state);
        drop(waker);
        waiters.wake_all();
        taken
    }

    /// Whether the bus is closed and nothing more can be taken, as far as `is_drained` says of the buffer.
    pub(crate) fn has_closed(&self, is_drained: impl FnOnce(&B) -> bool) -> bool {
        let state = self.state.lock();
        state.closed && is_drained(&state.buffer)
    }

    /// Looks at the buffer.
    pub(crate) fn peek<R>(&self, peek: impl FnOnce(&B) -> R) -> R {
        peek(&self.state.lock().buffer)
    }
}

impl<B: Buffer> State<B> {
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

    /// The second half are the emitters that a take has made room for.
    fn try_take(&mut self) -> (Poll<Option<B::Item>>, RoomWaiters) {
        if self.phase != Phase::Started && !self.closed && !self.buffer.has_ended() {
            return (Poll::Pending, RoomWaiters::new());
        }
        match self.buffer.take() {
            Some(item) => {
                let waiters = if self.buffer.has_room_waiters() {
                    self.buffer.take_room_waiters()
                } else {
                    RoomWaiters::new()
                };
                (Poll::Ready(Some(item)), waiters)
            }
            None if self.closed => (Poll::Ready(None), RoomWaiters::new()),
            None => (Poll::Pending, RoomWaiters::new()),
        }
    }
}
