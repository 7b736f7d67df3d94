//! One watch of a guest, and its running callback.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::channel::oneshot;
use parking_lot::Mutex;
use rangewatch_bus::{Delivery, Selectors, WakeSubscription};
use triomphe::ThinArc;

use super::guest_watches::WatchError;
use super::namespace::Namespace;
use super::notices::{Batch, Notices, encode_empty};
use crate::abi::AbiError;
use crate::guest::callback_error::{CallbackError, CallbackErrorCause};

/// A watch, from `reserve` or `open` to `stop`. Two watches are different even if they have the
/// same id: a stopped watch may still run its last callback when the id is reserved again.
///
/// One allocation: the head, followed by the bytes of the id.
#[derive(Clone)]
pub(crate) struct Watch(ThinArc<Head, u8>);

struct Head {
    namespace: Arc<Namespace>,
    state: Mutex<State>,
}

struct State {
    /// The subscription of a reserved or open watch; that of a started one is in
    /// [`Started`](super::started::Started). `None` in generation 2.
    subscription: Option<WakeSubscription>,
    range_bytes: u32,
    /// Whether it has a range.
    is_open: bool,
    is_running: bool,
    /// After a stop no callback is entered.
    is_stopped: bool,
    /// Whether a `stop` waits for the end of the running callback.
    is_waited_for: bool,
}

impl PartialEq for Watch {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.head(), other.head())
    }
}

impl Eq for Watch {}

impl Hash for Watch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self.head()).hash(state);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = format_args!("{}", self.id().escape_ascii());
        f.debug_tuple("Watch").field(&id).finish()
    }
}

impl Watch {
    /// A reserved watch, or one that is open with a range of `range_bytes`. One of generation 2 has
    /// no subscription.
    pub(crate) fn new(
        namespace: Arc<Namespace>,
        id: &[u8],
        subscription: impl Into<Option<WakeSubscription>>,
        range_bytes: Option<u32>,
    ) -> Self {
        let state = State {
            subscription: subscription.into(),
            range_bytes: range_bytes.unwrap_or(0),
            is_open: range_bytes.is_some(),
            is_running: false,
            is_stopped: false,
            is_waited_for: false,
        };
        let head = Head {
            namespace,
            state: Mutex::new(state),
        };
        Self(ThinArc::from_header_and_slice(head, id))
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    pub(crate) fn id(&self) -> &[u8] {
        &self.0.slice
    }

    pub(crate) fn namespace(&self) -> &Arc<Namespace> {
        &self.head().namespace
    }

    /// The notices of its owner, if it is their bell.
    pub(super) fn bell_of(&self) -> Option<&Notices> {
        let notices = self.namespace().notices()?;
        notices.has_bell(self).then_some(notices)
    }

    #[cfg(test)]
    pub(crate) fn n_handles(&self) -> usize {
        ThinArc::strong_count(&self.0)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.head().state.lock().is_open
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.head().state.lock().is_stopped
    }

    /// The bytes of its id and range.
    pub(crate) fn n_bytes(&self) -> usize {
        self.id().len() + self.head().state.lock().range_bytes as usize
    }

    /// Opens a reserved watch.
    pub(crate) fn open(&self, selectors: Selectors, range_bytes: u32) -> Result<(), WatchError> {
        let mut state = self.head().state.lock();
        if let Some(subscription) = &mut state.subscription {
            let opened = subscription.open(selectors);
            opened.map_err(|_| WatchError::Closed)?;
        }
        state.is_open = true;
        state.range_bytes = range_bytes;
        Ok(())
    }

    /// Opens a reserved watch in generation 2, where it has no subscription.
    pub(super) fn open_for_notices(&self, range_bytes: u32) {
        let _reserved = {
            let mut state = self.head().state.lock();
            state.is_open = true;
            state.range_bytes = range_bytes;
            state.subscription.take()
        };
    }

    /// No callback is entered from now on.
    pub(super) fn mark_stopped(&self) {
        self.head().state.lock().is_stopped = true;
    }

    /// Starts an open watch and returns its subscription; `None` if it was started before.
    pub(crate) fn start(&self) -> Result<Option<WakeSubscription>, WatchError> {
        let mut state = self.head().state.lock();
        if !state.is_open || state.is_stopped {
            return Err(WatchError::NotFound);
        }
        let Some(mut subscription) = state.subscription.take() else {
            return Ok(None);
        };
        // Only a reserved subscription refuses.
        subscription.start().map_err(|_| WatchError::NotFound)?;
        Ok(Some(subscription))
    }

    /// No callback is entered from now on, and the subscription is freed. The receiver resolves at
    /// the end of the running callback, if there is one and `wait` is set.
    pub(crate) fn stop(&self, wait: bool) -> Option<oneshot::Receiver<()>> {
        let (held, running) = {
            let mut state = self.head().state.lock();
            state.is_stopped = true;
            let running = (state.is_running && wait).then(|| {
                state.is_waited_for = true;
                self.namespace().wait_for(self)
            });
            (state.subscription.take(), running)
        };
        // A start that runs at the same time sees that it is stopped.
        if held.is_none() {
            self.namespace().guest().started().remove(self);
            if let Some(notices) = self.namespace().notices() {
                notices.stop(self);
            }
        }
        running
    }

    /// Ends this watch only; a newer one may have the same id.
    pub(crate) fn forget(&self) {
        self.namespace().forget(self);
    }

    /// Enters a callback, unless the watch was stopped. One that has been entered may be again.
    pub(super) fn enter(&self) -> bool {
        let mut state = self.head().state.lock();
        state.is_running = !state.is_stopped;
        state.is_running
    }

    pub(super) fn leave(&self) {
        let is_waited_for = {
            let mut state = self.head().state.lock();
            state.is_running = false;
            std::mem::take(&mut state.is_waited_for)
        };
        if is_waited_for {
            self.namespace().resolve_waits(self);
        }
    }
}

/// A callback that is due or running. It ends when this is dropped, so that a callback that traps,
/// or whose future is dropped, ends too. The watch delivers nothing else until then.
#[derive(Debug)]
pub(crate) struct Running {
    delivery: Delivery<Watch>,
    value: u64,
    /// What a callback of generation 2 delivers, for which the watch is the bell of its owner.
    batch: Option<Box<Batch>>,
}

impl Running {
    /// Enters the callback with the first value of the span that was delivered. `None` if the watch
    /// was stopped.
    pub(crate) fn enter(delivery: Delivery<Watch>, value: u64) -> Option<Self> {
        delivery.key().enter().then_some(())?;
        let batch = None;
        Some(Self {
            delivery,
            value,
            batch,
        })
    }

    /// The callback of an owner that has a notice, the first one of `value`.
    pub(super) fn of_batch(delivery: Delivery<Watch>, value: u64) -> Self {
        Self {
            delivery,
            value,
            batch: Some(Box::default()),
        }
    }

    /// The id of the watch; empty for a batch.
    pub(crate) fn id(&self) -> &[u8] {
        self.watch().id()
    }

    pub(crate) fn value(&self) -> u64 {
        self.value
    }

    /// The number of notices of a batch.
    pub(crate) fn n_notices(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.n_notices)
    }

    /// The units of fuel that the delivery of a batch costs.
    pub(crate) fn work(&self) -> u64 {
        self.batch.as_ref().map_or(0, |batch| batch.work)
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.batch.is_some()
    }

    pub(crate) fn watch(&self) -> &Watch {
        self.delivery.key()
    }

    /// Writes as many notices as fit into `buf`, and returns their bytes. What does not fit stays.
    #[expect(
        clippy::result_large_err,
        reason = "errors are rare, and the embedder reads their fields"
    )]
    pub(crate) fn encode(&mut self, buf: &mut [u8]) -> Result<usize, CallbackError> {
        let watch = self.delivery.key();
        let (Some(batch), Some(notices)) = (&mut self.batch, watch.bell_of()) else {
            // The owner has ended. What is entered here is an empty batch.
            return Ok(encode_empty(buf));
        };
        let encoded = notices.encode(watch.namespace().guest(), buf, batch);
        encoded.map_err(|unfit| unfit.into_error(watch.namespace().id()))
    }

    /// Removes the notice that is next: it cannot be delivered because of `error`.
    pub(crate) fn skip_notice(&self, error: AbiError) -> CallbackError {
        let watch = self.delivery.key();
        if let Some(notices) = watch.bell_of() {
            notices.skip(watch.namespace().guest());
        }
        self.error(CallbackErrorCause::Abi(error))
    }

    /// Ends the watch that the callback is of, or those of the batch.
    pub(crate) fn forget(&self) {
        match &self.batch {
            None => self.watch().forget(),
            Some(batch) => batch.watches.iter().for_each(Watch::forget),
        }
    }

    pub(crate) fn error(&self, cause: CallbackErrorCause) -> CallbackError {
        CallbackError {
            owner: self.watch().namespace().id(),
            id: self.id().to_owned(),
            value: self.value,
            n_notices: self.n_notices(),
            cause,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(batch) = &self.batch else {
            return self.watch().leave();
        };
        batch.watches.iter().for_each(Watch::leave);
        if let Some(notices) = self.watch().bell_of() {
            notices.ring_unless_drained();
        }
    }
}
