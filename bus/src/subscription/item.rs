//! What a subscription for events can receive.

use thiserror::Error;

use crate::{Event, Span};

/// One item of a subscription for events, from
/// [`EventSubscription::recv_item`](crate::EventSubscription::recv_item).
///
/// [`recv`](crate::EventSubscription::recv) gives events only, for those who need no marks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// An emit that matched.
    Event(Event),
    /// Emits that matched while the queue was full, of a subscription that
    /// [coalesces](crate::Overflow::Coalesce): rescan the store from its first value to its last.
    Gap(Span),
    /// A progress mark: every matching emit up to this value was received or reported as missed, and every later event
    /// and gap is of a greater value. Marks at an interval repeat while nothing is emitted.
    ///
    /// Asked for with [`request_progress`](crate::EventSubscription::request_progress) or
    /// [`progress_every`](crate::SubscribeBuilder::progress_every). Keep it as the checkpoint to resume
    /// after.
    Progress(u64),
}

/// Why a progress mark was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProgressError {
    /// The bus has no history, so that its values need not rise and a mark would promise nothing.
    #[error("this bus has no history: build it with `RangeWatchBus::builder().history(..)`")]
    NoHistory,
}
