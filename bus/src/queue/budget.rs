//! Bytes that several queues share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound in bytes on several [`EventSet`](crate::EventSet)s together: see
/// [`EventSet::with_budget`](crate::EventSet::with_budget).
///
/// The sets charge what is in their queues. Their user can [`charge`](Self::charge) what it keeps
/// beside them. Clones are handles of the same budget.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::QueueBudget;
///
/// let budget = QueueBudget::new(100);
/// assert!(budget.charge(60));
/// assert!(!budget.charge(60), "nothing is charged");
/// assert_eq!(budget.used_bytes(), 60);
/// budget.release(60);
/// assert_eq!(budget.used_bytes(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct QueueBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_bytes: usize,
    /// Publishes nothing but itself, so that all accesses are relaxed.
    used_bytes: AtomicUsize,
}

impl QueueBudget {
    /// A budget of `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self(Arc::new(Inner {
            max_bytes,
            used_bytes: AtomicUsize::new(0),
        }))
    }

    /// The bound in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.0.max_bytes
    }

    /// The bytes that are charged now.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    /// Charges `n_bytes`, if the bound allows it. Returns whether it does; nothing is charged
    /// otherwise.
    #[must_use = "what is charged has to be released"]
    pub fn charge(&self, n_bytes: usize) -> bool {
        let charged = |used: usize| {
            let used = used.checked_add(n_bytes)?;
            (used <= self.0.max_bytes).then_some(used)
        };
        let used_bytes = &self.0.used_bytes;
        used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, charged)
            .is_ok()
    }

    /// Releases `n_bytes` that were charged.
    pub fn release(&self, n_bytes: usize) {
        self.0.used_bytes.fetch_sub(n_bytes, Ordering::Relaxed);
    }
}
