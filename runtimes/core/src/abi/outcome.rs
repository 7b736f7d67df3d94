//! The outcome of a function of the ABI, which it returns to a backend.

use std::task::Poll;

/// The outcome of a function of the ABI: how much work it was, and whether it has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a function that is pending has to be called again"]
pub struct Outcome {
    work: u64,
    state: Poll<()>,
}

impl Outcome {
    pub(crate) const fn done(work: u64) -> Self {
        Self {
            work,
            state: Poll::Ready(()),
        }
    }

    pub(crate) const fn pending(work: u64) -> Self {
        Self {
            work,
            state: Poll::Pending,
        }
    }

    /// The work that the host did for this call, in units: one for each byte that it read from the
    /// guest's buffer, and [`UNITS_PER_ITEM`](Self::UNITS_PER_ITEM) for the call, for each key and
    /// for each subscription that matched. No engine charges it as fuel yet.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.work
    }

    /// Ready: the function returns to the guest. Pending: await
    /// [`GuestAbi::poll_ready`](super::GuestAbi::poll_ready), then call the function again with the
    /// same arguments; the calls so far had no further effect.
    pub const fn state(&self) -> Poll<()> {
        self.state
    }

    /// The work units of a call, of a key and of a matching subscription, beside their bytes: each
    /// costs the host about as much as this number of wasm instructions.
    pub const UNITS_PER_ITEM: u64 = 100;
}
