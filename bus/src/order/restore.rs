//! A restore: the history begins an epoch.

use crate::emit::Effects;
use crate::history::check_head;
use crate::order::{Shared, State, Subscriber};
use crate::subscription::Phase;
use crate::{RestoreError, Seq};

impl<P> Shared<P> {
    /// Empties the history, which continues above `head` in `epoch`. Ends the subscriptions that
    /// hold or expect events. Returns the position of the first emit after this.
    pub(crate) fn restore(&self, epoch: u64, head: Option<u64>) -> Result<Seq, RestoreError> {
        let mut effects = self.effects();
        let (old, first) = {
            let state = &mut *self.state.lock();
            let history = state.history.as_mut().ok_or(RestoreError::NoHistory)?;
            check_head(head, RestoreError::LastHead)?;
            if state.closed {
                return Err(RestoreError::Closed);
            }
            let old = history.restore(epoch, head);
            for id in 0..state.slots.n_places() {
                state.restore(id, &mut effects);
            }
            if let Some(head) = head {
                state.head_waiters.reached(head, &mut effects.wakers);
            }
            (old, Seq::after(state.last_seq))
        };
        // Consumers are notified first: a payload may panic when it is dropped.
        effects.apply();
        drop(old);
        Ok(first)
    }

    /// The epoch of the history.
    pub(crate) fn epoch(&self) -> Option<u64> {
        let state = self.state.lock();
        state.history.as_ref().map(|history| history.epoch().number)
    }
}

impl<P> State<P> {
    /// Tells a subscriber of the epoch that the history has begun.
    fn restore(&mut self, id: usize, effects: &mut Effects<'_, P>) {
        let (Some(slot), Some(history)) = (&mut self.slots[id], &self.history) else {
            return;
        };
        let head = history.head();
        let is_reserved = slot.subscriber.phase() == Phase::Reserved;
        match &slot.subscriber {
            Subscriber::Events(mailbox) if is_reserved => {
                mailbox.with(|queue| queue.restore(head));
            }
            Subscriber::Events(mailbox) => {
                let n_left = slot.n_left_in_history;
                let end = history.compacted();
                mailbox.fill(&mut effects.wakers, |queue| {
                    queue.end_before_bus(end, n_left)
                });
                slot.subscriber.release_emitters(effects);
                self.n_parked -= usize::from(std::mem::take(&mut slot.parked));
                self.end(id);
            }
            Subscriber::Wake(mailbox) => {
                let watches = !is_reserved && !slot.entries.is_empty();
                if watches || mailbox.peek(|buffer| !buffer.span.is_empty()) {
                    let last_seq = self.last_seq;
                    mailbox.fill(&mut effects.wakers, |buffer| buffer.restore(head, last_seq));
                } else {
                    mailbox.with(|buffer| buffer.begin_after(head));
                }
                slot.include_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use crate::{History, RangeWatchBus};

    /// The value that a task waits for.
    fn awaited(bus: &RangeWatchBus) -> Option<u64> {
        bus.shared().state.lock().head_waiters.first_value()
    }

    #[test]
    fn g41_a_restore_wakes_the_tasks_that_wait_for_what_is_its_head() {
        let history = History::events(10);
        let bus = RangeWatchBus::builder()
            .history(history)
            .head(5)
            .build()
            .unwrap();
        let cx = &Context::from_waker(Waker::noop());
        let mut id = None;
        assert!(bus.shared().poll_head(8, &mut id, cx).is_pending());
        bus.restore(1, Some(7)).unwrap();
        assert_eq!(awaited(&bus), Some(8));
        bus.restore(1, Some(8)).unwrap();
        assert_eq!(awaited(&bus), None);
        assert!(bus.shared().poll_head(8, &mut id, cx).is_ready());
        // A head that was reached and lost is waited for again.
        bus.restore(2, Some(2)).unwrap();
        assert!(bus.shared().poll_head(8, &mut id, cx).is_pending());
    }
}
