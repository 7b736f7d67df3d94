//! The events of an owner's watches, whatever the payloads of the bus are.

use std::task::{Context, Poll, ready};

use rangewatch_bus::{ControlError, EventSet, KeyRange, RecvError};

use super::watch::Watch;

/// The watches of one owner of generation 2 on the bus, in one queue.
pub(crate) trait Feed: Send {
    /// Adds a watch. Emits count for it from now on.
    fn insert(&mut self, watch: &Watch, range: KeyRange) -> Result<(), ControlError>;

    /// Removes a watch. No emit counts for it any more.
    fn remove(&mut self, watch: &Watch);

    /// The next emit. `matched` are the watches that it counts for, none if they were removed.
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        matched: &mut Vec<Watch>,
    ) -> Poll<Result<Emit, RecvError>>;
}

/// An emit that has matched a watch.
pub(crate) struct Emit {
    pub(super) value: u64,
    pub(super) n_keys: usize,
    /// To be dropped without a lock: the last event of an emit drops its payloads, which may run
    /// code of the embedder.
    pub(super) payloads: Option<Box<dyn Send>>,
}

impl<P: Send + Sync + 'static> Feed for EventSet<Watch, P> {
    fn insert(&mut self, watch: &Watch, range: KeyRange) -> Result<(), ControlError> {
        Self::insert(self, watch.clone(), range).map(drop)
    }

    fn remove(&mut self, watch: &Watch) {
        Self::remove(self, watch);
    }

    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        matched: &mut Vec<Watch>,
    ) -> Poll<Result<Emit, RecvError>> {
        let event = ready!(self.poll_recv_any(cx, matched))?;
        Poll::Ready(Ok(Emit {
            value: event.value(),
            n_keys: event.keys().count(),
            payloads: std::mem::needs_drop::<P>().then(|| Box::new(event) as _),
        }))
    }
}
