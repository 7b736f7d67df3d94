//! The exit of a guest.

/// The outcome of `proc_exit`: the guest has ended and must not run again.
///
/// Backends return it to their engine as the error of the host call, and the embedder recovers it
/// by downcasting. Code 0 is success and still an `Exit`: a guest that has exited never gets
/// control back.
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
#[must_use = "the guest has exited: end its call"]
#[error("the guest exited with code {code}")]
pub struct Exit {
    code: u32,
}

impl Exit {
    /// Makes an exit with `code`, for hosts that end a guest in the same way.
    pub const fn new(code: u32) -> Self {
        Self { code }
    }

    /// The code that the guest passed to `proc_exit`, all 32 bits unchanged.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.code
    }
}
