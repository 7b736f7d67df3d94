//! Byte budgets of streams.

use crate::{Errno, Exit, Interrupt};

/// What happens when a guest exceeds the byte budget of a stream.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{Errno, OverBudget, SharedBuffer, Stdout, Wasi};
///
/// let log = Stdout::from(SharedBuffer::new()).budget(1 << 20, OverBudget::Fail(Errno::Dquot));
/// let ctx = Wasi::builder().stdout(log).build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverBudget {
    /// The call fails with this errno, for example [`Errno::Dquot`] or [`Errno::Nospc`].
    Fail(Errno),
    /// An output stream accepts the excess and drops it; an input stream reports its end.
    Truncate,
    /// The guest exits with this code.
    Exit(u32),
}

/// The rest of a budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) left_bytes: u64,
    over: OverBudget,
}

impl Budget {
    pub(crate) const fn new(bytes: u64, over: OverBudget) -> Self {
        Self {
            left_bytes: bytes,
            over,
        }
    }

    pub(crate) const fn is_used_up(&self) -> bool {
        self.left_bytes == 0
    }

    /// How many of `n_bytes` are within the budget.
    pub(crate) fn within(&self, n_bytes: u32) -> u32 {
        u32::try_from(self.left_bytes).map_or(n_bytes, |left| left.min(n_bytes))
    }

    pub(crate) fn spend(&mut self, n_bytes: u32) {
        self.left_bytes = self.left_bytes.saturating_sub(n_bytes.into());
    }

    pub(crate) fn truncates(&self) -> bool {
        self.over == OverBudget::Truncate
    }

    /// The result of a call when the budget is used up. `truncated` is the byte count to report
    /// with [`OverBudget::Truncate`].
    pub(crate) fn refuse(&self, truncated: u32) -> Result<u32, Interrupt> {
        match self.over {
            OverBudget::Fail(errno) => Err(errno.into()),
            OverBudget::Truncate => Ok(truncated),
            OverBudget::Exit(code) => Err(Exit::new(code).into()),
        }
    }
}
