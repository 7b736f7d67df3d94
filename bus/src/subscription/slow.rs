//! Events of the `tracing` crate: one when a subscription starts to be slow, one when it stops.

use crate::Seq;
use crate::queue::{EventQueue, Pushed};
use crate::subscription::Mailbox;

/// A subscription that was keeping up found its queue full.
pub(crate) struct SlowConsumer {
    subscription: usize,
    seq: Seq,
    outcome: &'static str,
}

impl SlowConsumer {
    /// What there is to report of a push, if anything: a subscription that was slow already is not.
    pub(crate) const fn began(subscription: usize, seq: Seq, pushed: Pushed) -> Option<Self> {
        let outcome = match pushed {
            Pushed::Lost { first: true } => "events are dropped or merged",
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

    /// To be called without locks: a subscriber of `tracing` is not our code.
    pub(crate) fn report(&self) {
        tracing::warn!(
            target: "rangewatch_bus",
            subscription = self.subscription,
            seq = self.seq.get(),
            outcome = self.outcome,
            "a subscription is slow: its queue is full"
        );
    }
}

/// Reports that a subscription, which has nothing to receive, keeps up again, if it was slow.
pub(crate) fn report_recovery(mailbox: &Mailbox<EventQueue>) {
    let Some(counts) = mailbox.with(EventQueue::recover) else {
        return;
    };
    tracing::info!(
        target: "rangewatch_bus",
        subscription = mailbox.place(),
        delivered = counts.delivered,
        coalesced = counts.coalesced,
        dropped = counts.dropped,
        replayed = counts.replayed,
        "a subscription that was slow keeps up again"
    );
}
