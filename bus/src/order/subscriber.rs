//! The subscriber: the bus's reference to a subscription.

use crate::emit::{Effects, Waiter};
use crate::queue::{Counts, EventQueue};
use crate::subscription::{Buffer, MailboxArc, Phase, WakeBuffer};

/// The mailbox of a subscription of either kind.
pub(crate) enum Subscriber<P> {
    Wake(MailboxArc<WakeBuffer>),
    Events(MailboxArc<EventQueue<P>>),
}

impl<P> Subscriber<P> {
    /// Opens the mailbox after `head`.
    pub(crate) fn open(&self, head: Option<u64>) {
        match self {
            Self::Wake(mailbox) => {
                mailbox.with(|buffer| buffer.advance(head));
                mailbox.open();
            }
            Self::Events(mailbox) => {
                mailbox.with(|queue| queue.begin_after(head));
                mailbox.open();
            }
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Wake(mailbox) => mailbox.phase(),
            Self::Events(mailbox) => mailbox.phase(),
        }
    }

    /// Whether it has yet to receive the span of a restore.
    pub(crate) fn holds_restored(&self) -> bool {
        match self {
            Self::Wake(mailbox) => mailbox.peek(|buffer| buffer.span.is_restored()),
            Self::Events(_) => false,
        }
    }

    /// Closes the mailbox, which can still be drained.
    pub(crate) fn close(&self, effects: &mut Effects<'_, P>) {
        match self {
            Self::Wake(mailbox) => {
                let (consumer, _) = mailbox.close();
                if let Some(consumer) = consumer {
                    consumer.collect(&mut effects.wakers);
                }
            }
            Self::Events(mailbox) => {
                let (consumer, emitters) = mailbox.close();
                effects.wakers.extend(consumer);
                effects.wakers.extend(emitters.into_wakers());
            }
        }
    }

    /// Stores the place of the subscriber in the table of its bus.
    pub(crate) fn set_place(&self, place: usize) {
        match self {
            Self::Wake(mailbox) => mailbox.set_place(place),
            Self::Events(mailbox) => mailbox.set_place(place),
        }
    }

    /// Wakes all emitters that wait for room of this subscriber, to retry.
    pub(crate) fn release_emitters(&self, effects: &mut Effects<'_, P>) {
        if let Self::Events(mailbox) = self {
            let emitters = mailbox.with(Buffer::release_emitters);
            effects.wakers.extend(emitters.into_wakers());
        }
    }

    /// Discards what is buffered and what was left in the history. Drop the result outside of
    /// locks.
    pub(crate) fn clear(&self, n_left_in_history: u64) -> impl Sized + use<P> {
        match self {
            Self::Wake(mailbox) => {
                mailbox.with(WakeBuffer::clear);
                None
            }
            Self::Events(mailbox) => Some(mailbox.with(|queue| queue.clear(n_left_in_history))),
        }
    }

    /// The counts of the matches, and the number that are pending.
    pub(crate) fn counts(&self, n_left_in_history: u64) -> (Counts, u64) {
        match self {
            Self::Wake(mailbox) => mailbox.peek(|buffer| (buffer.counts(), buffer.span.count())),
            Self::Events(mailbox) => {
                mailbox.peek(|queue| (*queue.counts(), queue.n_pending(n_left_in_history)))
            }
        }
    }
}
