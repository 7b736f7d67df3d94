//! What a subscription registers to be notified: the waker of a task, or a place in a watch set.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::task::Waker;

use super::WakeList;

/// The registered consumer of a subscription. It is taken out when the consumer has something to
/// receive, and notified after all locks are released.
pub(crate) trait Waiter {
    /// Registers a task.
    fn from_waker(waker: Waker) -> Self;

    /// Whether this is the task that `waker` wakes.
    fn will_wake(&self, waker: &Waker) -> bool;

    /// Collects it, to be notified after all locks are released.
    fn collect(self, wakers: &mut WakeList);
}

impl Waiter for Waker {
    fn from_waker(waker: Waker) -> Self {
        waker
    }

    fn will_wake(&self, waker: &Waker) -> bool {
        self.will_wake(waker)
    }

    #[inline]
    fn collect(self, wakers: &mut WakeList) {
        wakers.push(self);
    }
}

/// The consumer of a wake subscription.
pub(crate) enum WakeWaiter {
    Task(Waker),
    /// The subscription is in a watch set: notifying it enqueues its member.
    Member(Member),
}

/// A member of a watch set. A member that was removed, or whose set was dropped, is ignored.
pub(crate) struct Member {
    pub(crate) set: Weak<dyn ReadyQueue>,
    pub(crate) id: u64,
}

/// The ready list of a watch set, whatever its keys are.
pub(crate) trait ReadyQueue: Send + Sync {
    /// Appends a member to the ready list, unless it is there. Notifies no receiver.
    fn enqueue(&self, member: u64);

    /// The waker of the next receiver to notify, if there is something to receive and one waits.
    fn next_receiver(&self) -> Option<Waker>;
}

impl Waiter for WakeWaiter {
    fn from_waker(waker: Waker) -> Self {
        Self::Task(waker)
    }

    fn will_wake(&self, waker: &Waker) -> bool {
        matches!(self, Self::Task(task) if task.will_wake(waker))
    }

    #[inline]
    fn collect(self, wakers: &mut WakeList) {
        match self {
            Self::Task(waker) => wakers.push(waker),
            Self::Member(member) => wakers.push_member(member),
        }
    }
}

/// Wakes a task from inside a receive of another or a drop, which must not fail by a panic of the
/// waker.
pub(crate) fn wake_contained(waker: Option<Waker>) {
    if let Some(waker) = waker {
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}
