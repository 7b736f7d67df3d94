//! The outcome of a function of the ABI, which it returns to a backend.

use std::task::Poll;

use crate::abi::guest_abi::MAX_BATCH_BYTES;
use crate::abi::io::MAX_READ_BYTES;
use crate::guest::limits::Limits;
use crate::watches::notices::MAX_WORK;

/// The outcome of a function of the ABI: how much work it was, and whether it has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a function that is pending has to be called again"]
pub struct Outcome {
    work: u64,
    state: Poll<()>,
    value: i32,
}

impl Outcome {
    pub(crate) const fn done(work: u64) -> Self {
        Self::value(work, 0)
    }

    pub(crate) const fn value(work: u64, value: i32) -> Self {
        Self {
            work,
            state: Poll::Ready(()),
            value,
        }
    }

    pub(crate) const fn pending(work: u64) -> Self {
        Self {
            work,
            state: Poll::Pending,
            value: 0,
        }
    }

    /// The work that the host did for this call, in units of fuel: those of the constants of this
    /// type. A backend deducts it from the guest's fuel.
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

    /// The result of a function that has one.
    #[must_use]
    pub const fn result(&self) -> i32 {
        self.value
    }

    /// The outcome of a function that was attempted before, at the cost of `work`.
    pub(crate) const fn after(mut self, work: u64) -> Self {
        self.work = self.work.saturating_add(work);
        self
    }

    /// Units of a flush, beside its keys and bytes.
    pub const UNITS_PER_FLUSH: u64 = 100;
    /// Units of a `reserve`, `open`, `start` or `stop`, beside its bytes.
    pub const UNITS_PER_VERB: u64 = 200;
    /// Units of a function of [`io`](super::io), beside its bytes.
    pub const UNITS_PER_BYTES_CALL: u64 = 100;
    /// Units of a key that is flushed: to parse it and to look it up.
    pub const UNITS_PER_KEY: u64 = 4;
    /// Units of a range of a subscription that an emit matches.
    pub const UNITS_PER_MATCH: u64 = 1;
    /// Units of a watch that ends with its group.
    pub const UNITS_PER_ENDED_WATCH: u64 = 4;
    /// Units of a notice of [generation 2](super::gen2) that is delivered, beside the keys of its
    /// emit, the watches that it matches, and its bytes.
    pub const UNITS_PER_NOTICE: u64 = 25;
    /// Bytes of the guest's buffer that are one unit.
    pub const BYTES_PER_UNIT: u64 = 16;

    /// The work of a flush of `n_keys` in `n_bytes` that matched `n_ranges` of subscriptions.
    pub(crate) const fn flush_work(n_bytes: usize, n_keys: usize, n_ranges: usize) -> u64 {
        Self::UNITS_PER_FLUSH
            + n_bytes as u64 / Self::BYTES_PER_UNIT
            + n_keys as u64 * Self::UNITS_PER_KEY
            + n_ranges as u64 * Self::UNITS_PER_MATCH
    }

    /// The work of a notice of an emit of `n_keys` that matches `n_watches`, beside its bytes.
    pub(crate) const fn notice_work(n_keys: usize, n_watches: usize) -> u64 {
        Self::UNITS_PER_NOTICE
            + n_keys as u64 * Self::UNITS_PER_KEY
            + n_watches as u64 * Self::UNITS_PER_MATCH
    }

    /// The work of a function of `io` that copies `n_bytes`.
    pub(crate) const fn bytes_work(n_bytes: usize) -> u64 {
        Self::UNITS_PER_BYTES_CALL + n_bytes as u64 / Self::BYTES_PER_UNIT
    }

    /// The work of the end of a group, beside that of the verb.
    pub(crate) const fn end_work(n_watches: usize) -> u64 {
        n_watches as u64 * Self::UNITS_PER_ENDED_WATCH
    }

    /// The work of a verb, whose arguments have `n_bytes`.
    pub(crate) const fn verb_work(n_bytes: usize) -> u64 {
        Self::UNITS_PER_VERB + n_bytes as u64 / Self::BYTES_PER_UNIT
    }
}

/// With the default limits no function and no delivery costs more than one slice.
const _: () = {
    let flush = Outcome::flush_work(
        Limits::DEFAULT_FLUSH_BYTES,
        Limits::DEFAULT_FLUSH_KEYS,
        Limits::DEFAULT_WATCHES,
    );
    assert!(flush <= Limits::DEFAULT_FUEL_SLICE);
    let bytes = if MAX_READ_BYTES > Limits::DEFAULT_OUTPUT_BYTES {
        MAX_READ_BYTES
    } else {
        Limits::DEFAULT_OUTPUT_BYTES
    };
    assert!(Outcome::bytes_work(bytes) <= Limits::DEFAULT_FUEL_SLICE);
    let notice = Outcome::notice_work(Limits::DEFAULT_FLUSH_KEYS, Limits::DEFAULT_WATCHES);
    let batch = MAX_WORK + notice + MAX_BATCH_BYTES as u64 / Outcome::BYTES_PER_UNIT;
    assert!(batch <= Limits::DEFAULT_FUEL_SLICE);
    let verb = Outcome::verb_work(3 * (u16::MAX as usize + 2));
    assert!(verb + Outcome::end_work(Limits::DEFAULT_WATCHES) <= Limits::DEFAULT_FUEL_SLICE);
};
