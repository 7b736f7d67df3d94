//! An async event bus: emitted byte keys reach subscriber channels by range lookup.
#![forbid(unsafe_code)]

mod bus;
mod emitted;
mod escape;
mod event;
mod event_queue;
mod event_subscription;
pub mod index;
mod key_range;
mod key_ranges;
mod mailbox;
mod recv_error;
mod registration;
mod selector;
mod selector_text;
mod selectors;
mod seq;
mod shared;
mod span;
mod subscribe;
mod wake_list;
mod wake_subscription;

pub use bus::RangeWatchBus;
pub use emitted::{EmitError, Emitted};
pub use event::{Event, Keys};
pub use event_subscription::EventSubscription;
pub use key_range::{EmptyRangeError, KeyRange};
pub use recv_error::{Closed, Lagged, RecvError, TryRecvError, TryWakeError};
pub use selector::Selector;
pub use selector_text::ParseSelectorError;
pub use selectors::Selectors;
pub use seq::Seq;
pub use span::Span;
pub use subscribe::{SubscribeBuilder, SubscribeError};
pub use wake_subscription::WakeSubscription;
