//! One watch of a guest, and its running callback.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::channel::oneshot;
use parking_lot::Mutex;
use rangewatch_bus::Delivery;

/// A watch, from `reserve` or `open` to `stop`. Two watches are different even if they have the
/// same id: a stopped watch may still run its last callback when the id is reserved again.
#[derive(Clone, Debug)]
pub(crate) struct Watch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: Box<[u8]>,
    callback: Mutex<CallbackState>,
}

#[derive(Debug, Default)]
struct CallbackState {
    is_running: bool,
    /// After a stop no callback is entered.
    is_stopped: bool,
    /// Dropped at the end of the running callback, which resolves their receivers: a `stop` on
    /// another instance.
    stopping: Vec<oneshot::Sender<()>>,
}

impl PartialEq for Watch {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Watch {}

impl Hash for Watch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Watch {
    pub(crate) fn new(id: &[u8]) -> Self {
        Self(Arc::new(Inner {
            id: id.into(),
            callback: Mutex::default(),
        }))
    }

    pub(crate) fn id(&self) -> &[u8] {
        &self.0.id
    }

    #[cfg(test)]
    pub(crate) fn n_handles(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.callback.lock().is_stopped
    }

    /// No callback is entered from now on. The receiver resolves at the end of the running
    /// callback, if there is one and `wait` is set.
    pub(crate) fn stop(&self, wait: bool) -> Option<oneshot::Receiver<()>> {
        let mut callback = self.0.callback.lock();
        callback.is_stopped = true;
        (callback.is_running && wait).then(|| {
            let (sender, receiver) = oneshot::channel();
            callback.stopping.push(sender);
            receiver
        })
    }

    /// Enters a callback, unless the watch was stopped.
    fn enter(&self) -> bool {
        let mut callback = self.0.callback.lock();
        callback.is_running = !callback.is_stopped;
        callback.is_running
    }

    fn leave(&self) {
        let stopping = {
            let mut callback = self.0.callback.lock();
            callback.is_running = false;
            std::mem::take(&mut callback.stopping)
        };
        drop(stopping);
    }
}

/// A callback that is due or running. It ends when this is dropped, so that a callback that traps,
/// or whose future is dropped, ends too. The watch delivers nothing else until then.
#[derive(Debug)]
pub(crate) struct Running {
    delivery: Delivery<Watch>,
    value: u64,
}

impl Running {
    /// Enters the callback with the first value of the span that was delivered. `None` if the watch
    /// was stopped.
    pub(crate) fn enter(delivery: Delivery<Watch>, value: u64) -> Option<Self> {
        delivery
            .key()
            .enter()
            .then_some(())
            .map(|()| Self { delivery, value })
    }

    pub(crate) fn id(&self) -> &[u8] {
        self.watch().id()
    }

    pub(crate) fn value(&self) -> u64 {
        self.value
    }

    pub(crate) fn watch(&self) -> &Watch {
        self.delivery.key()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watch().leave();
    }
}
