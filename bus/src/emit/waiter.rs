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
    /// The subscription is in a watch set: notifying it enqueues its member. The fields of a
    /// [`Member`], which beside a byte that tells the variants apart take three words.
    Member {
        set: Weak<dyn ReadyQueue>,
        id: [u8; ID_BYTES],
    },
}

/// Bytes of the number of a member. That many are not used up.
const ID_BYTES: usize = 7;

/// A member of a watch set. A member that was removed, or whose set was dropped, is ignored.
pub(crate) struct Member {
    pub(crate) set: Weak<dyn ReadyQueue>,
    pub(crate) id: u64,
}

impl From<Member> for WakeWaiter {
    fn from(Member { set, id }: Member) -> Self {
        let [a, b, c, d, e, f, g, _] = id.to_le_bytes();
        let id = [a, b, c, d, e, f, g];
        Self::Member { set, id }
    }
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
            Self::Member { set, id } => {
                let mut bytes = [0; size_of::<u64>()];
                bytes[..ID_BYTES].copy_from_slice(&id);
                let id = u64::from_le_bytes(bytes);
                wakers.push_member(Member { set, id });
            }
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
