//! How a guest ends itself.

/// The guest called `proc_exit` and must not run on.
///
/// Backends hand this to their engine as the error of the host call; the embedder finds it again by downcasting. A code
/// of 0 is success and still an `Exit`: a guest that has exited never gets control back.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{Exit, Wasi, preview1};
///
/// let mut ctx = Wasi::builder().build()?;
/// let exit = preview1::proc_exit(&mut ctx, &mut [], 7);
/// assert_eq!(exit.code(), 7);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the guest exited with code {code}")]
pub struct Exit {
    code: u32,
}

impl Exit {
    /// An exit with `code`, for hosts that end a guest in the same way.
    #[must_use]
    pub const fn new(code: u32) -> Self {
        Self { code }
    }

    /// The code that the guest gave, unchanged: all 32 bits.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.code
    }
}
