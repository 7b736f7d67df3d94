//! What event subscriptions are made from.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::progress::Interval;
use super::registration::Registration;
use crate::keys::KeyRanges;
use crate::order::Shared;
use crate::queue::{EventQueue, QueueBudget};
use crate::subscription::{Phase, RangeVersions, Since};
use crate::{EventSubscription, Overflow, Selectors, SubscribeBuilder, SubscribeError};

/// The selectors and settings of an event subscription. A follower subscribes with them again.
pub(crate) struct EventTemplate<P> {
    pub(crate) shared: Arc<Shared<P>>,
    pub(crate) selectors: Selectors,
    pub(crate) capacity: usize,
    pub(crate) overflow: Option<Overflow>,
    pub(crate) max_bytes: Option<usize>,
    pub(crate) budget: Option<QueueBudget>,
    pub(crate) progress_every: Option<Duration>,
}

impl<P: Send + Sync + 'static> EventTemplate<P> {
    pub(crate) fn subscribe(
        &self,
        since: Option<Since>,
        phase: Phase,
    ) -> Result<EventSubscription<P>, SubscribeError> {
        let ranges = KeyRanges::normalize(&self.selectors)?;
        let max_bytes = self
            .max_bytes
            .unwrap_or(SubscribeBuilder::<()>::DEFAULT_QUEUE_BYTES);
        let capacity = NonZeroUsize::new(self.capacity)
            .filter(|_| max_bytes > 0)
            .ok_or(SubscribeError::ZeroCapacity)?;
        if self.progress_every == Some(Duration::ZERO) {
            return Err(SubscribeError::ZeroInterval);
        }
        let has_history = self.shared.bounds().is_some();
        let overflow = self
            .overflow
            .unwrap_or_else(|| Overflow::default_of(has_history));
        if overflow == Overflow::Park && !has_history {
            return Err(SubscribeError::NoHistory);
        }
        if self.progress_every.is_some() && !has_history {
            return Err(SubscribeError::NoHistory);
        }
        let (mailbox, epoch) = self.shared.subscribe_events(
            &ranges,
            since,
            overflow == Overflow::Backpressure,
            phase,
            |start, replay, position| {
                let overflow = overflow.without_waiting(has_history);
                let budget = self.budget.clone();
                EventQueue::new(
                    capacity, max_bytes, budget, overflow, start, replay, position,
                )
            },
        )?;
        let interval = self
            .progress_every
            .map(|every| Box::new(Interval::new(&self.shared.timer, every)));
        Ok(EventSubscription::new(
            Registration::new(Arc::clone(&self.shared), mailbox),
            RangeVersions::new(ranges),
            interval,
            epoch,
        ))
    }
}
