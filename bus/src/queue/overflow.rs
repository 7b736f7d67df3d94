//! Overflow policies.

/// What an event subscription does when its queue is full, set with
/// [`SubscribeBuilder::overflow`](crate::SubscribeBuilder::overflow).
///
/// The default is [`Park`](Self::Park) on a bus with history and [`Lagged`](Self::Lagged) on one
/// without.
///
/// | | a full queue | needs history | the consumer receives |
/// |---|---|---|---|
/// | [`Lagged`](Self::Lagged) | drops its oldest events | no | [`RecvError::Lagged`] with the exact number, then the oldest event retained |
/// | [`Coalesce`](Self::Coalesce) | coalesces the newest events into one gap | no | the queue, then [`RecvError::Coalesced`] with the span of the gap, then later events |
/// | [`Disconnect`](Self::Disconnect) | ends the subscription | no | the queue, then [`RecvError::Disconnected`] with the value to resume from |
/// | [`Park`](Self::Park) | leaves the rest in the history | yes | every event; [`RecvError::Compacted`] if unread events were removed from the history |
/// | [`Backpressure`](Self::Backpressure) | [`emit_async`] waits; a synchronous emit applies `Park` with history, else `Coalesce` | no | as there |
///
/// Only [`emit_async`] waits for a consumer, and not for a parked one. A subscription with
/// [`since`](crate::SubscribeBuilder::since) is parked until it has caught up, with every policy;
/// the policy applies afterwards.
///
/// An event that is larger than the bound in bytes never fits: the policy applies to it as if the
/// queue were full, and [`emit_async`] does not wait for it. Replay delivers it nevertheless,
/// without queueing it.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{Overflow, RangeWatchBus, TryRecvError};
///
/// let bus = RangeWatchBus::new();
/// let mut sub = bus.subscribe(..).overflow(Overflow::Disconnect).events(1)?;
/// bus.emit(1, ["k"])?;
/// bus.emit(2, ["k"])?;
/// assert_eq!(sub.try_recv()?.value(), 1);
/// assert_eq!(sub.try_recv(), Err(TryRecvError::Disconnected { resume: 2 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`RecvError::Lagged`]: crate::RecvError::Lagged
/// [`RecvError::Coalesced`]: crate::RecvError::Coalesced
/// [`RecvError::Disconnected`]: crate::RecvError::Disconnected
/// [`RecvError::Compacted`]: crate::RecvError::Compacted
/// [`emit_async`]: crate::RangeWatchBus::emit_async
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// Drops the oldest events and reports their number.
    Lagged,
    /// Coalesces the newest events into one gap, a [`Span`](crate::Span) at the tail of the queue.
    /// A receive closes the gap: later events are queued behind it.
    Coalesce,
    /// Ends the subscription. The error has the value from which a new one resumes without loss, as
    /// long as the history reaches back to it.
    Disconnect,
    /// Parks the subscription: it is replayed from the history once its queue is empty. Needs
    /// history.
    Park,
    /// Makes [`emit_async`](crate::RangeWatchBus::emit_async) wait for room, also while the
    /// subscription is held or paused. A synchronous emit applies [`Park`](Self::Park) with history
    /// and [`Coalesce`](Self::Coalesce) without.
    Backpressure,
}

impl Overflow {
    /// The policy that a synchronous emit applies, which does not wait.
    pub(crate) const fn without_waiting(self, has_history: bool) -> Self {
        match (self, has_history) {
            (Self::Backpressure, true) => Self::Park,
            (Self::Backpressure, false) => Self::Coalesce,
            (overflow, _) => overflow,
        }
    }

    /// The policy of a subscription that has chosen none.
    pub(crate) const fn default_of(has_history: bool) -> Self {
        if has_history {
            Self::Park
        } else {
            Self::Lagged
        }
    }
}
