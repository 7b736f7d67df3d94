//! Errors of changing a subscription.

use thiserror::Error;

use crate::EmptyRangeError;
use crate::keys::EmptyRangeMessage;

/// Why the state or the selectors of a subscription could not be changed. Nothing has changed then.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{ControlError, RangeWatchBus};
///
/// let bus = RangeWatchBus::new();
/// let mut reserved = bus.reserve().wake()?;
/// assert_eq!(reserved.start(), Err(ControlError::NotOpen));
/// reserved.open("a".."m")?;
/// reserved.start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The subscription is reserved: it watches nothing yet.
    #[error("the subscription is reserved: open it with selectors first")]
    NotOpen,
    /// The subscription is open already, or was never reserved.
    #[error("the subscription is already open: edit its selectors, or make another one")]
    AlreadyOpen,
    /// A range selector holds no key: its end does not lie above its start.
    #[error("{}", EmptyRangeMessage { from, to })]
    EmptyRange {
        /// The start of the range, which would be inclusive.
        from: Box<[u8]>,
        /// The end of the range, which would be exclusive.
        to: Box<[u8]>,
    },
    /// The event subscription has ended by overflow or compaction; its receives return the reason.
    #[error("the subscription has ended: make another one")]
    Ended,
    /// The bus is closed: no emit will match any more.
    #[error("the bus is closed: nothing will be emitted any more")]
    Closed,
}

impl From<EmptyRangeError> for ControlError {
    fn from(EmptyRangeError { from, to }: EmptyRangeError) -> Self {
        Self::EmptyRange { from, to }
    }
}
