//! Output that could not be flushed.

use std::io;

/// What a guest wrote could not be flushed to a writer of the host.
///
/// The call that wrote it is not affected: it returns what it would return otherwise, and its emits
/// and its instance stay.
///
/// # Examples
///
/// ```
/// # use rangewatch_runtime::GuestBuilder;
/// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
/// builder.on_flush_error(|error| eprintln!("{error}: {}", error.source))
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("what `{export}` wrote could not be flushed")]
#[non_exhaustive]
pub struct FlushError {
    /// The export that was called.
    pub export: String,
    /// The error of the writer.
    #[source]
    pub source: io::Error,
}
