//! Events of the `tracing` crate: one when a queue overflows first, one when its consumer has
//! caught up.

use crate::Seq;
use crate::queue::{EventQueue, Pushed};
use crate::subscription::Mailbox;

/// The first overflow of a queue since its consumer last had caught up.
pub(crate) struct SlowConsumer {
    subscription: usize,
    seq: Seq,
    outcome: &'static str,
}

impl SlowConsumer {
    /// The report of a push, if it is the first overflow.
    pub(crate) const fn began(subscription: usize, seq: Seq, pushed: Pushed) -> Option<Self> {
        let outcome = match pushed {
            Pushed::Lost { first: true } => "events are dropped or coalesced",
            Pushed::Parked { first: true } => "events are left in the history",
            Pushed::Disconnected => "the subscription ends",
            Pushed::Queued | Pushed::Lost { .. } | Pushed::Parked { .. } => return None,
        };
        Some(Self {
            subscription,
            seq,
            outcome,
        })
    }

    /// Must be called without locks, because a subscriber of `tracing` is user code.
    pub(crate) fn report(&self, bus: Option<&str>) {
        tracing::warn!(
            target: "rangewatch_bus",
            bus,
            subscription = self.subscription,
            seq = self.seq.get(),
            outcome = self.outcome,
            "a subscription is slow: its queue is full"
        );
    }
}

/// Reports that a subscription with nothing to receive has caught up, if its queue had overflowed.
pub(crate) fn report_recovery<P>(mailbox: &Mailbox<EventQueue<P>>, bus: Option<&str>) {
    let Some(counts) = mailbox.with(EventQueue::recover) else {
        return;
    };
    tracing::info!(
        target: "rangewatch_bus",
        bus,
        subscription = mailbox.place(),
        delivered = counts.delivered,
        coalesced = counts.coalesced,
        dropped = counts.dropped,
        replayed = counts.replayed,
        "a subscription that was slow has caught up"
    );
}
