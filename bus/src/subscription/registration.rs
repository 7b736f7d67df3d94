//! The registration of a subscription with its bus.

use std::sync::Arc;

use crate::emit::{Waiter, WakeList};
use crate::keys::KeyRanges;
use crate::order::{Edited, Host};
use crate::subscription::{Buffer, MailboxArc};
use crate::{ControlError, Selectors, Stats};

/// A subscriber of a bus, removed when this is dropped.
pub(crate) struct Registration<B: Buffer> {
    host: B::Host,
    mailbox: MailboxArc<B>,
}

/// A change of the selectors of a subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    Add,
    Remove,
    Replace,
}

impl<B: Buffer> Registration<B> {
    /// Takes ownership of a subscriber.
    pub(crate) const fn new(host: B::Host, mailbox: MailboxArc<B>) -> Self {
        Self { host, mailbox }
    }

    pub(crate) const fn host(&self) -> &B::Host {
        &self.host
    }

    pub(crate) const fn mailbox(&self) -> &MailboxArc<B> {
        &self.mailbox
    }

    pub(crate) fn selectors(&self) -> Selectors {
        self.host.ranges(&self.mailbox).iter().collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.host.stats(&self.mailbox)
    }

    pub(crate) fn close_reason(&self) -> Option<Arc<str>> {
        self.host.close_reason()
    }

    /// Starts the subscription, without the values up to `after`, and notifies a waiting consumer.
    pub(crate) fn start(&self, after: Option<u64>) -> Result<(), ControlError> {
        let waiter = self.mailbox.start()?;
        if let Some(value) = after {
            self.host.discard_through(&self.mailbox, value, waiter);
        } else if let Some(waiter) = waiter {
            let mut wakers = WakeList::new();
            waiter.collect(&mut wakers);
            wakers.wake_all();
        }
        Ok(())
    }

    /// Changes the selectors. Returns the new ranges, and the position of the change.
    pub(crate) fn edit(
        &self,
        edit: Edit,
        selectors: &Selectors,
    ) -> Result<(KeyRanges, Edited), ControlError> {
        let given = KeyRanges::normalize(selectors)?;
        // No other edit is possible in between: it needs the subscription itself.
        let ranges = match edit {
            Edit::Add => self.host.ranges(&self.mailbox).with(&given),
            Edit::Remove => self.host.ranges(&self.mailbox).without(&given),
            Edit::Replace => given,
        };
        let edited = self.host.replace_ranges(&self.mailbox, &ranges)?;
        Ok((ranges, edited))
    }
}

impl<B: Buffer> Drop for Registration<B> {
    fn drop(&mut self) {
        self.host.unsubscribe(&self.mailbox);
    }
}
