//! Why a subscription refused to be changed.

use thiserror::Error;

use crate::EmptyRangeError;
use crate::keys::EmptyRangeMessage;

/// Why the life cycle or the selectors of a subscription were not changed. Nothing has happened then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The subscription is reserved: it watches nothing yet.
    #[error("the subscription is only reserved: open it with selectors first")]
    NotOpen,
    /// The subscription has been opened before.
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
    /// The subscription has ended by overflow, as its receives say.
    #[error("the subscription has ended: make another one")]
    Ended,
    /// The bus is closed, for good: no emit will be matched any more.
    #[error("the bus is closed: nothing will be emitted any more")]
    Closed,
}

impl From<EmptyRangeError> for ControlError {
    fn from(EmptyRangeError { from, to }: EmptyRangeError) -> Self {
        Self::EmptyRange { from, to }
    }
}
