//! The tie between a subscription and its bus.

use std::sync::Arc;

use crate::emit::{WakeList, WakeWaiter};
use crate::keys::KeyRanges;
use crate::order::{Edited, Shared};
use crate::subscription::{Buffer, Mailbox};
use crate::{ControlError, Selectors, Stats};

/// A place among the subscribers of a bus, given up when this is dropped.
pub(crate) struct Registration {
    shared: Arc<Shared>,
    id: usize,
}

/// How the selectors of a live subscription are changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    Add,
    Remove,
    Replace,
}

impl Registration {
    /// Takes over the place `id`.
    pub(crate) fn new(shared: &Arc<Shared>, id: usize) -> Self {
        Self {
            shared: Arc::clone(shared),
            id,
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) const fn id(&self) -> usize {
        self.id
    }

    pub(crate) fn selectors(&self) -> Selectors {
        self.shared.ranges(self.id).iter().collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shared.subscription_stats(self.id)
    }

    /// Lets the subscription deliver, without what has a value up to `after`, and wakes a consumer that waited for
    /// that.
    pub(crate) fn start<B: Buffer<Waiter: Into<WakeWaiter>>>(
        &self,
        mailbox: &Mailbox<B>,
        after: Option<u64>,
    ) -> Result<(), ControlError> {
        let waiter = mailbox.start()?;
        if let Some(value) = after {
            self.shared.discard_through(self.id, value);
        }
        if let Some(waiter) = waiter {
            let mut wakers = WakeList::new();
            wakers.push_waiter(waiter.into());
            wakers.wake_all();
        }
        Ok(())
    }

    /// Changes what is watched. Returns the ranges from now on, and when that is.
    pub(crate) fn edit(
        &self,
        edit: Edit,
        selectors: &Selectors,
    ) -> Result<(KeyRanges, Edited), ControlError> {
        let given = KeyRanges::normalize(selectors)?;
        // Nobody else edits in between: it takes the subscription itself.
        let ranges = match edit {
            Edit::Add => self.shared.ranges(self.id).with(&given),
            Edit::Remove => self.shared.ranges(self.id).without(&given),
            Edit::Replace => given,
        };
        let edited = self.shared.replace_ranges(self.id, &ranges)?;
        Ok((ranges, edited))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.unsubscribe(self.id);
    }
}
