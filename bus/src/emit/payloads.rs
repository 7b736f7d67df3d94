//! The payloads of an emit.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

/// The payloads of the keys of an emit, in the order of the keys.
///
/// They are user values, so they are dropped outside of locks. If drops panic, the others are still
/// dropped, and the first panic is propagated: unless another one unwinds already, as that of a
/// waker, because a second one would abort the process.
pub(crate) struct Payloads<P>(Box<[P]>);

impl<P> Payloads<P> {
    pub(crate) fn as_slice(&self) -> &[P] {
        &self.0
    }

    /// Takes the payloads out.
    pub(crate) fn into_vec(mut self) -> Vec<P> {
        mem::take(&mut self.0).into_vec()
    }
}

/// Payloads that are being collected. They are dropped as [`Payloads`], also when a key, an
/// iterator or the weigher panics.
pub(crate) struct PayloadList<P>(Vec<P>);

impl<P> PayloadList<P> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Adds a payload, and returns it for the weigher.
    pub(crate) fn push(&mut self, payload: P) -> &[P] {
        let i = self.0.len();
        self.0.push(payload);
        &self.0[i..]
    }

    /// Drops all but the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.0.len() {
            drop(Payloads::from(self.0.split_off(len)));
        }
    }

    /// Takes the payloads out.
    pub(crate) fn take(&mut self) -> Vec<P> {
        mem::take(&mut self.0)
    }
}

impl<P> From<Vec<P>> for PayloadList<P> {
    fn from(payloads: Vec<P>) -> Self {
        Self(payloads)
    }
}

impl<P> Drop for PayloadList<P> {
    fn drop(&mut self) {
        self.truncate(0);
    }
}

impl Payloads<()> {
    /// Those of `n` keys without payloads, which take no memory.
    #[inline]
    pub(crate) fn none(n: usize) -> Self {
        Self(vec![(); n].into_boxed_slice())
    }
}

impl<P> Default for Payloads<P> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<P> From<Vec<P>> for Payloads<P> {
    fn from(payloads: Vec<P>) -> Self {
        Self(payloads.into_boxed_slice())
    }
}

impl<P> Drop for Payloads<P> {
    #[inline]
    fn drop(&mut self) {
        if mem::needs_drop::<P>() && !self.0.is_empty() {
            drop_each(mem::take(&mut self.0));
        }
    }
}

fn drop_each<P>(payloads: Box<[P]>) {
    let mut first = Ok(());
    for payload in payloads.into_vec() {
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        first = first.and(dropped);
    }
    if let Err(panic) = first {
        if !thread::panicking() {
            resume_unwind(panic);
        }
    }
}
