//! Errors of appending.

use thiserror::Error;

use crate::{LogError, MAX_VALUE};

/// Why emits were not appended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The log failed. After [`LogError::Unavailable`] the emits may have been appended: append
    /// them again.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The values of one call do not strictly increase.
    #[error("the value {value} does not lie above the one before it, {before}: sort the emits")]
    NotIncreasing {
        /// The value.
        value: u64,
        /// The value before it.
        before: u64,
    },
    /// The value is above [`MAX_VALUE`].
    #[error("the value {value} is above the greatest that a log takes, {MAX_VALUE}")]
    LastValue {
        /// The value.
        value: u64,
    },
    /// The log has lost emits that it had acknowledged: its server was restarted or failed over
    /// without having stored them.
    #[error(
        "the log has lost what it had acknowledged above {head:?}: append that again, then go on"
    )]
    Rewound {
        /// The head of the log; `None` if it is empty.
        head: Option<u64>,
    },
    /// The history of the bus no longer has the emits that are to be appended next.
    #[error(
        "the history of the bus begins with {floor}, and the log ends with {head:?}: another writer \
         has to append what is between, or begin a new epoch of the log"
    )]
    Overtaken {
        /// The head of the log; `None` if it is empty.
        head: Option<u64>,
        /// The floor of the bus.
        floor: u64,
    },
    /// The bus was closed before the log had all of it, and has nothing more to read.
    #[error(
        "the bus was closed with the head {bus:?}, and the log ends with {head:?}: append the rest \
         from the store"
    )]
    ClosedBehind {
        /// The head of the log; `None` if it is empty.
        head: Option<u64>,
        /// The head of the bus.
        bus: Option<u64>,
    },
    /// The bus has no history to append from.
    #[error("the bus has no history to append from: build it with `history`")]
    NoHistory,
}
