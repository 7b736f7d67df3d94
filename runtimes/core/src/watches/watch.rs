//! One watch of a guest: its state, and the running callback.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::channel::oneshot;
use parking_lot::Mutex;
use rangewatch_bus::WakeSubscription;

use crate::watches::ready::Ready;

/// A watch, from `reserve` or `open` to `stop`.
///
/// It is the waker of its own subscription: woken, it enters the ready list of its group.
#[derive(Debug)]
pub(crate) struct Watch {
    id: Box<[u8]>,
    ready: Arc<Ready>,
    /// Whether it is in the ready list.
    queued: AtomicBool,
    slot: Mutex<Slot>,
}

#[derive(Debug)]
struct Slot {
    state: State,
    /// Whether a callback runs; while one does, no other is entered.
    running: bool,
    /// Who waits for the running callback to end: a `stop` on another instance.
    stopping: Vec<oneshot::Sender<()>>,
}

/// none -reserve-> Reserved -open-> Open -start-> Started -stop-> Gone
#[derive(Debug)]
enum State {
    Reserved,
    /// Holds what it sees.
    Open(WakeSubscription),
    /// Delivers.
    Started(WakeSubscription),
    Gone,
}

/// What polling a watch gave.
pub(crate) enum Polled {
    Callback(Running),
    Nothing,
    /// The bus is closed and everything was delivered.
    Closed,
}

impl Watch {
    pub(crate) fn reserved(id: &[u8], ready: Arc<Ready>) -> Arc<Self> {
        Arc::new(Self {
            id: id.into(),
            ready,
            queued: AtomicBool::new(false),
            slot: Mutex::new(Slot {
                state: State::Reserved,
                running: false,
                stopping: Vec::new(),
            }),
        })
    }

    pub(crate) fn id(&self) -> &[u8] {
        &self.id
    }

    pub(crate) fn is_reserved(&self) -> bool {
        matches!(self.slot.lock().state, State::Reserved)
    }

    pub(crate) fn open(&self, subscription: WakeSubscription) {
        self.slot.lock().state = State::Open(subscription);
    }

    /// Starts an open watch; `false` for a reserved one. Starting twice has no effect.
    pub(crate) fn start(self: &Arc<Self>) -> bool {
        {
            let mut slot = self.slot.lock();
            slot.state = match std::mem::replace(&mut slot.state, State::Gone) {
                State::Open(subscription) => State::Started(subscription),
                started @ State::Started(_) => {
                    slot.state = started;
                    return true;
                }
                other => {
                    slot.state = other;
                    return false;
                }
            };
        }
        self.enqueue();
        true
    }

    /// Ends the watch: no callback of it is entered from now on. When one is running and `wait` is
    /// set, the receiver resolves at its end.
    pub(crate) fn stop(&self, wait: bool) -> Option<oneshot::Receiver<()>> {
        let mut slot = self.slot.lock();
        let state = std::mem::replace(&mut slot.state, State::Gone);
        let waiting = (slot.running && wait).then(|| {
            let (sender, receiver) = oneshot::channel();
            slot.stopping.push(sender);
            receiver
        });
        drop(slot);
        // Outside of our lock: ending a subscription takes the lock of the bus.
        drop(state);
        waiting
    }

    /// Takes what a started watch has to deliver, or registers it to be woken.
    pub(crate) fn poll(self: Arc<Self>) -> Polled {
        self.queued.store(false, Ordering::Release);
        let waker = Waker::from(self.clone());
        let value = {
            let mut slot = self.slot.lock();
            if slot.running {
                // The end of the running callback polls again.
                return Polled::Nothing;
            }
            let State::Started(subscription) = &mut slot.state else {
                return Polled::Nothing;
            };
            match subscription.poll_recv(&mut Context::from_waker(&waker)) {
                Poll::Ready(Ok(span)) => {
                    slot.running = true;
                    span.first()
                }
                Poll::Ready(Err(_)) => return Polled::Closed,
                Poll::Pending => return Polled::Nothing,
            }
        };
        Polled::Callback(Running { watch: self, value })
    }

    fn enqueue(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self.clone());
        }
    }
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.enqueue();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.enqueue();
    }
}

/// A callback that is due or running. Its end is its drop, so that a callback that traps, or whose
/// future is dropped, ends too.
#[derive(Debug)]
pub(crate) struct Running {
    watch: Arc<Watch>,
    value: u64,
}

impl Running {
    pub(crate) fn id(&self) -> &[u8] {
        &self.watch.id
    }

    pub(crate) fn value(&self) -> u64 {
        self.value
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stopping = {
            let mut slot = self.watch.slot.lock();
            slot.running = false;
            std::mem::take(&mut slot.stopping)
        };
        self.watch.enqueue();
        // Dropping a sender resolves its receiver.
        drop(stopping);
    }
}
