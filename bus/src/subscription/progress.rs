//! Progress marks: at an interval, and on request.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::emit::WakeList;
use crate::history::HistoryBuffer;
use crate::order::Shared;
use crate::queue::EventQueue;
use crate::subscription::Mailbox;
use crate::sync::Mutex;
use crate::timer::{Sleep, Timer};

/// The interval of progress marks of a subscription.
pub(crate) struct Interval {
    timer: Arc<dyn Timer>,
    duration: Duration,
    /// Draws the jitter.
    random: RandomState,
    n_sleeps: u64,
    /// The lock makes the field `Sync`. It is never contended, because it is only reached through a
    /// mutable reference.
    sleep: Mutex<Option<Sleep>>,
}

impl Interval {
    pub(crate) fn new(timer: &Arc<dyn Timer>, duration: Duration) -> Self {
        Self {
            timer: Arc::clone(timer),
            duration,
            random: RandomState::new(),
            n_sleeps: 0,
            sleep: Mutex::new(None),
        }
    }

    /// Ready when a mark is due; the next interval begins then.
    pub(crate) fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.sleep.lock();
        let mut is_due = false;
        loop {
            let sleep = slot.get_or_insert_with(|| {
                self.n_sleeps += 1;
                let jittered = jitter(self.duration, self.random.hash_one(self.n_sleeps));
                self.timer.sleep(jittered)
            });
            match sleep.as_mut().poll(cx) {
                Poll::Ready(()) if !is_due => {
                    is_due = true;
                    *slot = None;
                }
                // A timer that is always ready must not block the consumer.
                Poll::Ready(()) => {
                    *slot = None;
                    cx.waker().wake_by_ref();
                    return Poll::Ready(());
                }
                Poll::Pending if is_due => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<P> Shared<P> {
    /// Requests a progress mark behind everything that a subscriber has yet to receive. Collects
    /// the waker of a waiting consumer; returns the least value that the mark will have.
    pub(crate) fn mark(
        &self,
        mailbox: &Mailbox<EventQueue<P>>,
        wakers: &mut WakeList,
    ) -> Option<u64> {
        let state = self.state.lock();
        let head = state.history.as_ref().and_then(HistoryBuffer::head)?;
        let slot = state.slots[mailbox.place()].as_ref()?;
        if state.closed || slot.excludes(head) {
            return None;
        }
        let is_accepted = mailbox.fill(wakers, |queue| queue.mark(head));
        is_accepted.then_some(head)
    }
}

/// Between nine and eleven tenths of `duration`, so that subscriptions that were made together do
/// not request their marks together.
fn jitter(duration: Duration, random: u64) -> Duration {
    let tenth = duration / 10;
    let share = (random % 2001) as f64 / 1000.0;
    let latest = duration.saturating_add(tenth);
    (duration - tenth)
        .saturating_add(tenth.mul_f64(share))
        .min(latest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth_and_spreads() {
        for seconds in [0, 1, 600, u64::MAX / 4, u64::MAX] {
            let duration = Duration::from_secs(seconds);
            for random in [0, 1, 1000, 2000, 2001, u64::MAX] {
                let jittered = jitter(duration, random);
                assert!(jittered >= duration - duration / 10, "{jittered:?}");
                assert!(
                    jittered <= duration.saturating_add(duration / 10),
                    "{jittered:?}"
                );
            }
        }
        let minute = Duration::from_secs(60);
        assert_eq!(jitter(minute, 0), Duration::from_secs(54));
        assert_eq!(jitter(minute, 2000), Duration::from_secs(66));
    }
}
