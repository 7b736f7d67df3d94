//! What went wrong in a callback.

use crate::abi::AbiError;
use crate::engine::shown::Shown;
use crate::guest::call_error::CallError;

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
#[error(
    "recv of watch \"{}\" with value {value} failed",
    Shown(&String::from_utf8_lossy(id))
)]
#[non_exhaustive]
pub struct CallbackError {
    /// The id of the watch.
    pub id: Vec<u8>,
    /// The value that was delivered.
    pub value: u64,
    /// What went wrong.
    #[source]
    pub cause: CallbackErrorCause,
}

/// How a callback failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackErrorCause {
    /// The guest reported an error; its watch is closed, the id is free, and what the callback had
    /// staged is dropped. The text has at most 4 KiB. It is displayed with control characters
    /// escaped, so that a guest cannot forge lines of a log, and cut after 256 characters.
    #[error("the guest reported `{}`, and its watch was closed", Shown(.0))]
    Reported(String),
    /// The callback did not return; its instance is gone.
    #[error(transparent)]
    Call(CallError),
    /// The arguments of the callback do not fit the guest's memory, or its error text is outside of
    /// it.
    #[error(transparent)]
    Abi(AbiError),
}
