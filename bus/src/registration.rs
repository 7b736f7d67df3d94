//! The tie between a subscription and its bus.

use std::sync::Arc;
use std::task::Waker;

use crate::event_queue::EventQueue;
use crate::key_ranges::KeyRanges;
use crate::mailbox::Mailbox;
use crate::shared::Shared;
use crate::span::SpanBuffer;
use crate::{Selectors, SubscribeError};

/// The bus's end of a subscription.
pub(crate) enum Subscriber {
    Wake(Arc<Mailbox<SpanBuffer>>),
    Events(Arc<Mailbox<EventQueue>>),
}

impl Subscriber {
    /// Ends the subscription. The caller wakes the waker once it holds no lock.
    pub(crate) fn close(&self) -> Option<Waker> {
        match self {
            Self::Wake(mailbox) => mailbox.close(),
            Self::Events(mailbox) => mailbox.close(),
        }
    }
}

/// A place among the subscribers of a bus, given up when this is dropped.
pub(crate) struct Registration {
    shared: Arc<Shared>,
    id: usize,
}

impl Registration {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        ranges: &KeyRanges,
        subscriber: Subscriber,
    ) -> Result<Self, SubscribeError> {
        let id = shared.subscribe(ranges, subscriber)?;
        Ok(Self {
            shared: Arc::clone(shared),
            id,
        })
    }

    pub(crate) fn selectors(&self) -> Selectors {
        self.shared.selectors(self.id)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.id);
    }
}
