//! How much a guest may move through one stream.

use crate::{Errno, Exit, Interrupt};

/// What happens to a guest that reads or writes more bytes than a stream has a budget for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OverBudget {
    /// The call fails with this errno; [`Errno::Dquot`] and [`Errno::Nospc`] say what it is about.
    Fail(Errno),
    /// An output stream takes the rest and drops it; an input stream is at its end.
    Truncate,
    /// The guest exits with this code.
    Exit(u32),
}

/// What is left of a budget.
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

    /// What a call is told that has nothing left; `truncated` is what it is told when it is not to notice.
    pub(crate) fn refuse(&self, truncated: u32) -> Result<u32, Interrupt> {
        match self.over {
            OverBudget::Fail(errno) => Err(errno.into()),
            OverBudget::Truncate => Ok(truncated),
            OverBudget::Exit(code) => Err(Exit::new(code).into()),
        }
    }
}
