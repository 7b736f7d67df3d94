//! Tasks that wait until a value is reached.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::emit::WakeList;

/// The wakers of tasks that wait for a value, in the order of the values.
#[derive(Debug, Default)]
pub(crate) struct ValueWaiters {
    wakers: BTreeMap<WaiterId, Waker>,
    last_number: u64,
}

/// A registration: the value that is waited for, and a number that tells it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WaiterId {
    value: u64,
    number: u64,
}

impl ValueWaiters {
    /// The lowest value that a task waits for.
    #[inline]
    pub(crate) fn first_value(&self) -> Option<u64> {
        self.wakers.keys().next().map(|id| id.value)
    }

    /// Registers `waker` until `value` is reached, in place of the earlier registration `id`.
    /// Returns the waker of that, to be dropped after all locks are released.
    pub(crate) fn register(
        &mut self,
        value: u64,
        id: &mut Option<WaiterId>,
        waker: Waker,
    ) -> Option<Waker> {
        let old = id.take().and_then(|id| self.wakers.remove(&id));
        self.last_number += 1;
        let number = self.last_number;
        self.wakers
            .insert(*id.insert(WaiterId { value, number }), waker);
        old
    }

    /// Removes a registration. Returns its waker, to be dropped after all locks are released.
    pub(crate) fn remove(&mut self, id: WaiterId) -> Option<Waker> {
        self.wakers.remove(&id)
    }

    /// Collects the tasks that wait for a value up to `value`.
    pub(crate) fn reached(&mut self, value: u64, wakers: &mut WakeList) {
        while let Some(first) = self.wakers.first_entry() {
            if first.key().value > value {
                break;
            }
            wakers.push(first.remove());
        }
    }
}
