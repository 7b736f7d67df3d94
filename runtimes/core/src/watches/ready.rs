//! The watches of a group that may have something to deliver.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::watches::watch::Watch;

/// A ready list: a watch enters it when its subscription is woken, and is looked at when it leaves.
/// One list serves any number of watches, so that a quiet watch costs no task.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    list: Mutex<VecDeque<Arc<Watch>>>,
    notify: Notify,
    ended: AtomicBool,
}

impl Ready {
    pub(crate) fn push(&self, watch: Arc<Watch>) {
        {
            // The flag is read under the lock that `end` clears the list under: a watch that is
            // pushed after the end would keep the list alive, and itself in it.
            let mut list = self.list.lock();
            if self.is_ended() {
                return;
            }
            list.push_back(watch);
        }
        self.notify.notify_one();
    }

    pub(crate) fn pop(&self) -> Option<Arc<Watch>> {
        self.list.lock().pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.lock().is_empty()
    }

    /// No watch enters any more; whoever waits is told.
    pub(crate) fn end(&self) {
        let rest = {
            let mut list = self.list.lock();
            self.ended.store(true, Ordering::Release);
            std::mem::take(&mut *list)
        };
        self.notify.notify_waiters();
        self.notify.notify_one();
        drop(rest);
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Wakes somebody if there is something to pop: one permit may stand for several pushes, and who
    /// took it may pop one, or none because its future was dropped or it found no instance.
    pub(crate) fn pass_on(&self) {
        if !self.is_empty() {
            self.notify.notify_one();
        }
    }

    /// Waits until there is something to pop, or the end has come. The caller then pops, or
    /// [passes on](Self::pass_on).
    pub(crate) async fn wait(&self) {
        loop {
            let notified = self.notify.notified();
            if !self.is_empty() {
                return;
            }
            if self.is_ended() {
                // Several may wait, and `end` wakes only those who waited already.
                self.notify.notify_one();
                return;
            }
            notified.await;
        }
    }
}
