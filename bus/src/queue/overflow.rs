//! What becomes of an event for which there is no room.

/// What a subscription for events does when its queue is full, chosen with
/// [`SubscribeBuilder::overflow`](crate::SubscribeBuilder::overflow).
///
/// The default is [`Park`](Self::Park) on a bus with history and [`Lagged`](Self::Lagged) on one
/// without.
///
/// | | a full queue, with history | a full queue, without history | the consumer receives |
/// |---|---|---|---|
/// | [`Lagged`](Self::Lagged) | drops its oldest events | the same | [`RecvError::Lagged`] with the exact number, then the oldest event retained |
/// | [`Coalesce`](Self::Coalesce) | merges the newest into one gap | the same | the queue, then [`RecvError::Coalesced`] with the span of the gap, then what follows |
/// | [`Disconnect`](Self::Disconnect) | ends the subscription | the same | the queue, then [`RecvError::Disconnected`] with the value to resume from, for ever |
/// | [`Park`](Self::Park) | leaves the rest in the history | refused when subscribing | every event; [`RecvError::Compacted`] if the history lost what was not received yet |
/// | [`Backpressure`](Self::Backpressure) | as `Park`; [`emit_async`] waits instead | as `Coalesce`; [`emit_async`] waits instead | as there |
///
/// An emitter is never slowed down, except by a choice of its own to await [`emit_async`], which does not wait for a
/// subscription that reads from the history. A subscription with
/// [`since`](crate::SubscribeBuilder::since) reads from the history until it has caught up, whatever its policy, and
/// may lose the race against the history as a parked one does; from then on its policy holds.
///
/// An event that is larger than the bound in bytes never fits: it is dropped after everything older, merged, ends the
/// subscription or is left in the history like one that finds the queue full, and [`emit_async`] does not wait for it. From the history it is
/// received all the same, without a place in the queue.
///
/// [`RecvError::Lagged`]: crate::RecvError::Lagged
/// [`RecvError::Coalesced`]: crate::RecvError::Coalesced
/// [`RecvError::Disconnected`]: crate::RecvError::Disconnected
/// [`RecvError::Compacted`]: crate::RecvError::Compacted
/// [`emit_async`]: crate::RangeWatchBus::emit_async
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// Drops the oldest events and says how many they were.
    Lagged,
    /// Merges the newest events into one gap, a [`Span`](crate::Span) at the end of the queue. A receive closes the
    /// gap: what is emitted from then on is queued behind it.
    Coalesce,
    /// Ends the subscription. The error says from which value a new one can resume without a loss, as long as the
    /// history has it.
    Disconnect,
    /// Leaves the path of the emitters and reads from the history once the queue is empty. Needs history.
    Park,
    /// Lets [`emit_async`](crate::RangeWatchBus::emit_async) wait for room, also while the subscription is held or paused. For a synchronous emit it is
    /// [`Park`](Self::Park) with history and [`Coalesce`](Self::Coalesce) without.
    Backpressure,
}
