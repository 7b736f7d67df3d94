//! What went wrong in a callback.

use std::fmt;

use crate::abi::AbiError;
use crate::engine::shown::Shown;
use crate::guest::call_error::CallError;
use crate::guest::ids::OwnerId;

/// What went wrong in a callback. The watch stays open, unless the guest reported the error.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{CallbackErrorCause, GuestBuilder};
///
/// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
/// builder.on_callback_error(|error| match &error.cause {
///     CallbackErrorCause::Reported(text) => eprintln!("{:?} is closed: {text}", error.id),
///     cause => eprintln!("{error}: {cause}"),
/// })
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{}", Failed(self))]
#[non_exhaustive]
pub struct CallbackError {
    /// The owner of the watch.
    pub owner: OwnerId,
    /// The id of the watch. Empty in generation 2 of the ABI, where a recv may be of several
    /// watches, unless the error is of one id.
    pub id: Vec<u8>,
    /// The value that was delivered; in generation 2, that of the first notice, or the one to
    /// resume from after an [overflow](CallbackErrorCause::Overflow).
    pub value: u64,
    /// The number of notices that the recv was entered with, in generation 2 of the ABI; 0 if none
    /// was entered, and in generation 1.
    pub n_notices: usize,
    /// What went wrong.
    #[source]
    pub cause: CallbackErrorCause,
}

/// How a callback failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackErrorCause {
    /// The guest reported an error; the watch, or in generation 2 each watch of the batch, is
    /// closed, its id is free, and what the callback had staged is dropped. The text has at most 4
    /// KiB. It is displayed with control characters escaped, so that a guest cannot forge lines of
    /// a log, and cut after 256 characters.
    #[error("the guest reported `{}`, and every watch of this recv was closed", Shown(.0))]
    Reported(String),
    /// The callback did not return; its instance is gone.
    #[error(transparent)]
    Call(CallError),
    /// The owner had more notices pending than it may, or would have exceeded what all owners of
    /// its guest may have pending, and has ended: its ids are free, and calls under it fail.
    /// Everything before [`resume`](Self::Overflow::resume) was delivered. Only in generation 2 of
    /// the ABI, where every value counts.
    #[error(
        "its pending notices exceed `Limits::notices`, which is {max_notices}, or \
         `Limits::notice_bytes`, which is {max_bytes}, or those of its guest exceed \
         `Limits::guest_notice_bytes`, which is {max_guest_bytes}: watch again under another owner, \
         and resume from value {resume}"
    )]
    Overflow {
        /// A value that is not greater than those that were not delivered to the watches of the
        /// owner, nor to those of its groups, which end with it.
        resume: u64,
        /// The limit.
        max_notices: usize,
        /// The limit, in bytes.
        max_bytes: usize,
        /// The limit of all owners of the guest together, in bytes.
        max_guest_bytes: usize,
    },
    /// The arguments of the callback do not fit the guest's memory, or its error text is outside of
    /// it.
    #[error(transparent)]
    Abi(AbiError),
}

/// Says what failed.
struct Failed<'e>(&'e CallbackError);

impl fmt::Display for Failed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CallbackError {
            owner,
            id,
            value,
            n_notices,
            cause,
        } = self.0;
        match cause {
            CallbackErrorCause::Overflow { .. } => write!(f, "{owner} has ended"),
            _ if *n_notices > 0 => {
                let s = if *n_notices == 1 { "" } else { "s" };
                write!(
                    f,
                    "recv of {n_notices} notice{s} of {owner} from value {value} on failed"
                )
            }
            _ => {
                let id = String::from_utf8_lossy(id);
                let id = Shown(&id);
                write!(f, "recv of watch \"{id}\" with value {value} failed")
            }
        }
    }
}
