//! What an emit fills and a subscription empties, and the waiting in between.

use std::mem;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// A buffer that an emitter fills and one consumer empties.
pub(crate) trait Buffer {
    /// What the consumer receives.
    type Item;

    /// Takes the next item; `None` if there is none for now.
    fn take(&mut self) -> Option<Self::Item>;
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
    closed: bool,
}

impl<B: Buffer> Mailbox<B> {
    pub(crate) const fn new(buffer: B) -> Self {
        Self {
            state: Mutex::new(State {
                buffer,
                waker: None,
                closed: false,
            }),
        }
    }

    /// Fills the buffer. The caller wakes the waker once it holds no lock.
    pub(crate) fn fill<R>(&self, fill: impl FnOnce(&mut B) -> R) -> (R, Option<Waker>) {
        let mut state = self.state.lock();
        (fill(&mut state.buffer), state.waker.take())
    }

    /// Ends the mailbox: what is buffered can still be taken. The caller wakes the waker once it
    /// holds no lock.
    pub(crate) fn close(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        state.closed = true;
        state.waker.take()
    }

    /// Takes the next item without waiting. `Ready(None)` is the end, `Pending` an empty buffer.
    pub(crate) fn try_take(&self) -> Poll<Option<B::Item>> {
        self.state.lock().try_take()
    }

    /// Takes the next item or registers the waker. `Ready(None)` is the end.
    pub(crate) fn poll_take(&self, cx: &Context<'_>) -> Poll<Option<B::Item>> {
        {
            let mut state = self.state.lock();
            let taken = state.try_take();
            if taken.is_ready()
                || state
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
        let taken = state.try_take();
        if taken.is_pending() {
            mem::swap(&mut state.waker, &mut waker);
        }
        drop(state);
        drop(waker);
        taken
    }

    /// Looks at the buffer.
    pub(crate) fn peek<R>(&self, peek: impl FnOnce(&B) -> R) -> R {
        peek(&self.state.lock().buffer)
    }
}

impl<B: Buffer> State<B> {
    fn try_take(&mut self) -> Poll<Option<B::Item>> {
        match self.buffer.take() {
            Some(item) => Poll::Ready(Some(item)),
            None if self.closed => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}
