//! The watches of one guest, in the namespaces of its owners.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rangewatch_bus::{Delivery, QueueBudget, Ready, SubscribeError};

use crate::guest::callback_error::{CallbackError, CallbackErrorCause};
use crate::guest::emits::Emits;
use crate::guest::guest_bus::{Batched, Bus, Emitter, GuestBus};
use crate::guest::ids::{GuestId, OwnerId};
use crate::guest::limits::Limits;
use crate::watches::namespace::Namespace;
use crate::watches::notices::Next;
use crate::watches::owner::Owner;
use crate::watches::shrink::shrunk;
use crate::watches::started::Started;
use crate::watches::watch::{Running, Watch};

/// What the owners and the instances of one guest share: its bus, its limits and what counts
/// against them, its started watches, and the namespace of each owner.
///
/// Lock order: the ids of a namespace, a watch, then the locks below: `used`, the watch set, those
/// of the bus. `namespaces` is held while none of them is taken. None is held while a guest runs.
pub(crate) struct GuestWatches {
    id: GuestId,
    bus: GuestBus,
    limits: Limits,
    emits: Emits,
    started: Arc<Started>,
    used: Mutex<Used>,
    /// Of the pending notices of all owners.
    notice_budget: QueueBudget,
    /// Those that have not ended.
    namespaces: Mutex<HashMap<OwnerId, Arc<Namespace>>>,
}

/// What counts against the limits: of all owners, or of one watch or group.
#[derive(Clone, Copy, Default)]
pub(super) struct Used {
    n_watches: usize,
    n_groups: usize,
    /// The bytes of ids and ranges.
    n_bytes: usize,
}

impl Used {
    pub(super) fn watches(n_watches: usize, n_bytes: usize) -> Self {
        Self {
            n_watches,
            n_bytes,
            ..Self::default()
        }
    }

    pub(super) fn group(n_bytes: usize) -> Self {
        Self {
            n_groups: 1,
            n_bytes,
            ..Self::default()
        }
    }
}

/// An error that a guest can handle. The texts are the ABI's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchError {
    Exists,
    NotFound,
    AlreadyOpen,
    Closed,
    Limit,
    IdTooLong,
    GroupNotFound,
}

impl From<SubscribeError> for WatchError {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::TooManySubscriptions { .. } => Self::Limit,
            // Every selector that gets here is well formed: else only a closed bus refuses.
            _ => Self::Closed,
        }
    }
}

impl GuestWatches {
    /// The watches of a new guest. Returns its first owner.
    pub(crate) fn with_owner(bus: GuestBus, limits: Limits, emits: Emits) -> Owner {
        let watches = Arc::new(Self {
            id: GuestId::new(),
            bus,
            notice_budget: QueueBudget::new(limits.max_guest_notice_bytes()),
            limits,
            emits,
            started: Arc::default(),
            used: Mutex::default(),
            namespaces: Mutex::default(),
        });
        Owner::first(&watches)
    }

    /// A namespace of a new owner; one that has ended if the guest has.
    pub(crate) fn add_namespace(self: &Arc<Self>) -> Arc<Namespace> {
        self.add(Namespace::new(self.clone(), Weak::new()))
    }

    /// The namespace of a new group inside an owner.
    pub(super) fn add_group(self: &Arc<Self>, owner: &Arc<Namespace>) -> Arc<Namespace> {
        self.add(Namespace::new(self.clone(), Arc::downgrade(owner)))
    }

    fn add(&self, namespace: Arc<Namespace>) -> Arc<Namespace> {
        let mut namespaces = self.namespaces.lock();
        // Under the lock: `end` sets it before it takes the namespaces.
        if self.started.is_ended() {
            drop(namespaces);
            namespace.end();
        } else {
            namespaces.insert(namespace.id(), namespace.clone());
        }
        namespace
    }

    /// Removes a namespace that has ended.
    pub(crate) fn remove_namespace(&self, id: OwnerId) {
        let mut namespaces = self.namespaces.lock();
        namespaces.remove(&id);
        if let Some(capacity) = shrunk(namespaces.len(), namespaces.capacity()) {
            namespaces.shrink_to(capacity);
        }
    }

    pub(crate) fn id(&self) -> GuestId {
        self.id
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn bus(&self) -> &dyn Bus {
        self.bus.bus()
    }

    /// The bytes of the pending notices of all owners.
    pub(super) fn notice_budget(&self) -> &QueueBudget {
        &self.notice_budget
    }

    /// What emits each flush at once; `None` if flushes are staged.
    pub(crate) fn emitter(&self) -> Option<&dyn Emitter> {
        match self.emits {
            Emits::Immediate => self.bus.emitter(),
            Emits::Staged => None,
        }
    }

    /// For what a call stages.
    pub(crate) fn batch(&self) -> Batched {
        self.bus.batch(&self.limits)
    }

    pub(crate) fn started(&self) -> &Arc<Started> {
        &self.started
    }

    /// Counts `more`, if the limits allow it.
    pub(super) fn charge(&self, more: Used) -> Result<(), WatchError> {
        let mut used = self.used.lock();
        let charged = Used {
            n_watches: used.n_watches + more.n_watches,
            n_groups: used.n_groups + more.n_groups,
            n_bytes: used.n_bytes.saturating_add(more.n_bytes),
        };
        if charged.n_watches > self.limits.max_watches()
            || charged.n_groups > self.limits.max_groups()
            || charged.n_bytes > self.limits.max_watch_bytes()
        {
            return Err(WatchError::Limit);
        }
        *used = charged;
        Ok(())
    }

    /// Takes back what was counted.
    pub(super) fn release(&self, less: Used) {
        let mut used = self.used.lock();
        used.n_watches -= less.n_watches;
        used.n_groups -= less.n_groups;
        used.n_bytes -= less.n_bytes;
    }

    /// The number of watches of all owners.
    pub(crate) fn n_watches(&self) -> usize {
        self.used.lock().n_watches
    }

    /// Enters the next callback, if one is due. `announced` is what the caller waited for. An error
    /// is an owner of generation 2 that has ended by overflow.
    #[expect(
        clippy::result_large_err,
        reason = "errors are rare, and the embedder reads their fields"
    )]
    pub(crate) fn next_callback(
        &self,
        announced: Option<Ready<'_, Watch>>,
    ) -> Result<Option<Running>, CallbackError> {
        let mut delivery = match announced {
            Some(announced) => announced.take(),
            None => self.started.take(),
        };
        while let Some(delivered) = delivery {
            if let Some(notices) = delivered.key().bell_of() {
                match notices.next(self) {
                    Next::Value(value) => {
                        return Ok(Some(Running::of_batch(delivered, value)));
                    }
                    Next::Nothing => {}
                    Next::Later => {
                        notices.ring_unless_drained();
                        return Ok(None);
                    }
                    Next::Overflow(resume) => return Err(self.overflow(&delivered, resume)),
                    Next::Closed => notices.watches().iter().for_each(Watch::forget),
                }
                delivery = self.started.take();
                continue;
            }
            match delivered.span() {
                Ok(span) => {
                    if let Some(running) = Running::enter(delivered, span.first()) {
                        return Ok(Some(running));
                    }
                }
                Err(_) => delivered.key().forget(),
            }
            delivery = self.started.take();
        }
        Ok(None)
    }

    /// Ends an owner that has exceeded its bound.
    #[cold]
    fn overflow(&self, bell: &Delivery<Watch>, resume: u64) -> CallbackError {
        let namespace = bell.key().namespace();
        let resume = namespace.end_by_overflow(resume);
        CallbackError {
            owner: namespace.id(),
            id: Vec::new(),
            value: resume,
            n_notices: 0,
            cause: CallbackErrorCause::Overflow {
                resume,
                max_notices: self.limits.max_notices(),
                max_bytes: self.limits.max_notice_bytes(),
                max_guest_bytes: self.limits.max_guest_notice_bytes(),
            },
        }
    }

    /// Ends the guest and its owners: their ids, subscriptions and pending values are freed when
    /// this returns, and no callback is entered any more.
    pub(crate) fn end(&self) {
        self.started.end();
        let namespaces = std::mem::take(&mut *self.namespaces.lock());
        for namespace in namespaces.into_values() {
            namespace.end();
        }
    }
}
