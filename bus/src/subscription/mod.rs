//! Subscriptions: how they are made, the two kinds, and what they deliver.

mod begin;
mod control_error;
mod event;
mod event_stream;
mod event_subscription;
mod event_template;
mod item;
mod mailbox;
mod progress;
mod range_versions;
mod recv_error;
mod registration;
mod since;
#[cfg(feature = "tracing")]
mod slow;
mod span;
mod subscribe;
mod wake_buffer;
mod wake_subscription;

pub use control_error::ControlError;
pub use event::{Entries, Event, Keys};
pub use event_stream::{IntoItems, Items};
pub use event_subscription::EventSubscription;
#[cfg(test)]
pub(crate) use event_subscription::MAX_PIECES_PER_POLL;
pub(crate) use event_template::EventTemplate;
pub use item::{Item, ProgressError};
pub(crate) use mailbox::{Buffer, Mailbox, MailboxArc, Phase, Registered};
pub(crate) use range_versions::{RangeVersions, Unread};
pub use recv_error::{Closed, RecvError, TryRecvError, TryWakeError};
pub(crate) use since::Since;
#[cfg(feature = "tracing")]
pub(crate) use slow::SlowConsumer;
pub use span::Span;
pub(crate) use span::SpanBuffer;
pub use subscribe::{SubscribeBuilder, SubscribeError};
pub(crate) use wake_buffer::WakeBuffer;
pub use wake_subscription::WakeSubscription;
