//! The shared part of a bus: its one lock, and the operations under it.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::emit::{Draft, Effects, SpareList};
use crate::follow::WaiterId;
use crate::history::{HistoryBuffer, check_rise};
use crate::order::{SharedIndex, State, Value};
use crate::queue::EventQueue;
use crate::subscription::Mailbox;
use crate::sync::Mutex;
use crate::timer::Timer;
use crate::{BusStats, CompactError, ControlError, EmitError, Emitted, EmittedMany, KeyRange, Seq};

/// The state of a bus behind its one lock.
///
/// Every operation with a position in the order is one critical section: an emit, the start of a
/// subscription, an edit of its selectors, its end, the close. Lock order: this lock, then that of
/// the index or of a mailbox. No user code runs under it: keys are read before it is taken, wakers
/// are woken and dropped after it is released.
pub(crate) struct Shared<P> {
    pub(crate) state: Mutex<State<P>>,
    pub(crate) timer: Arc<dyn Timer>,
    name: Option<Arc<str>>,
    weigher: Option<Weigher<P>>,
    pub(crate) spare: SpareList<P>,
    /// The index of the state, which is read without the lock, too.
    pub(crate) index: Arc<SharedIndex>,
    /// Whether there is a history, so that each emit needs a record.
    keeps_history: bool,
}

/// The bytes that a payload counts in bounds.
pub(crate) type Weigher<P> = Box<dyn Fn(&P) -> usize + Send + Sync>;

impl<P> Shared<P> {
    pub(crate) fn new(
        state: State<P>,
        timer: Arc<dyn Timer>,
        name: Option<Arc<str>>,
        weigher: Option<Weigher<P>>,
    ) -> Self {
        Self {
            index: Arc::clone(&state.index),
            keeps_history: state.history.is_some(),
            state: Mutex::new(state),
            timer,
            name,
            weigher,
            spare: SpareList::new(),
        }
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    #[cfg(feature = "metrics")]
    pub(crate) const fn shared_name(&self) -> Option<&Arc<str>> {
        self.name.as_ref()
    }

    /// The effects of a critical section, to be applied after it.
    #[inline]
    pub(crate) fn effects(&self) -> Effects<'_, P> {
        Effects::new(
            &self.spare,
            #[cfg(feature = "tracing")]
            self.name(),
        )
    }

    /// The bytes that payloads weigh. The caller holds no lock.
    pub(crate) fn weigh(&self, payloads: &[P]) -> usize {
        let Some(weigh) = self.weigher.as_ref().filter(|_| size_of::<P>() > 0) else {
            return 0;
        };
        payloads.iter().map(weigh).fold(0, usize::saturating_add)
    }

    pub(crate) fn emit(&self, value: Value, mut draft: Draft<'_, P>) -> Result<Emitted, EmitError> {
        let mut effects = self.effects();
        self.prepare(&mut draft);
        let mut found = self.index.find(draft.keys);
        let emitted = {
            let state = &mut *self.state.lock();
            let value = state.accept(value)?;
            self.index.find_again(draft.keys, &mut found);
            state.commit(value, &mut draft, &found, &mut effects)
        };
        // Returned for the emits that wakers make.
        drop(found);
        effects.apply();
        Ok(emitted)
    }

    /// Encodes an emit where it is certain that its record is needed. The caller does not hold the
    /// lock.
    #[inline]
    pub(crate) fn prepare(&self, draft: &mut Draft<'_, P>) {
        if self.keeps_history {
            draft.encode();
        }
    }

    /// Emits several values with nothing in between, or none. Several emits may match at most
    /// `max_matched` subscriptions in all.
    pub(crate) fn emit_many(
        &self,
        emits: &mut [(u64, Draft<'_, P>)],
        max_matched: usize,
    ) -> Result<EmittedMany, EmitError> {
        let mut effects = self.effects();
        let mut many = EmittedMany::default();
        for (_, draft) in &mut *emits {
            self.prepare(draft);
        }
        {
            let state = &mut *self.state.lock();
            if let Some((first, _)) = emits.first() {
                state.accept(Value::Given(*first))?;
            } else if state.closed {
                return Err(EmitError::Closed);
            }
            if state.history.is_some() {
                for pair in emits.windows(2) {
                    check_rise(Some(pair[0].0), pair[1].0)?;
                }
            }
            self.check_matched(emits, max_matched)?;
            for (value, draft) in emits {
                let found = self.index.find(draft.keys);
                let emitted = state.commit(*value, draft, &found, &mut effects);
                many.add(&emitted);
                many.woken += emitted.woken;
            }
        }
        effects.apply();
        Ok(many)
    }

    /// Checks how many subscriptions several emits match in all. The caller holds the lock of the
    /// bus.
    fn check_matched(
        &self,
        emits: &[(u64, Draft<'_, P>)],
        max_matched: usize,
    ) -> Result<(), EmitError> {
        let n_ranges = self.index.read().len();
        if emits.len() < 2 || emits.len().saturating_mul(n_ranges) <= max_matched {
            return Ok(());
        }
        let mut n_matched = 0;
        for (_, draft) in emits {
            n_matched += self.index.find(draft.keys).places.len();
            if n_matched > max_matched {
                return Err(EmitError::TooManyMatched { max_matched });
            }
        }
        Ok(())
    }

    /// Raises the head to `value`.
    pub(crate) fn advance(&self, value: u64) -> Result<(), EmitError> {
        let mut effects = self.effects();
        {
            let state = &mut *self.state.lock();
            let value = state.accept(Value::Given(value))?;
            let history = state.history.as_mut().ok_or(EmitError::NoHistory)?;
            history.advance(value);
            state.head_waiters.reached(value, &mut effects.wakers);
        }
        effects.apply();
        Ok(())
    }

    /// Waits until the head of the history reaches `value`; the close of the bus is not noticed. On
    /// `Pending` the waker is registered, in place of the earlier registration `id`.
    pub(crate) fn poll_head(
        &self,
        value: u64,
        id: &mut Option<WaiterId>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let head = state.history.as_ref().and_then(HistoryBuffer::head);
        if head >= Some(value) {
            drop(state);
            return Poll::Ready(());
        }
        let old = state.head_waiters.register(value, id, waker);
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// Removes a registration of [`poll_head`](Self::poll_head).
    pub(crate) fn forget_head(&self, id: WaiterId) {
        let old = self.state.lock().head_waiters.remove(id);
        drop(old);
    }

    pub(crate) fn compact(&self, value: u64) -> Result<u64, CompactError> {
        let mut evicted = Vec::new();
        let state = &mut *self.state.lock();
        let history = state.history.as_mut().ok_or(CompactError::NoHistory)?;
        history.compact(value, &mut evicted)
    }

    pub(crate) fn close(&self, reason: Option<Arc<str>>) {
        let mut effects = self.effects();
        {
            let state = &mut *self.state.lock();
            state.close(reason);
            for slot in state.slots.iter() {
                slot.subscriber.close(&mut effects);
            }
        }
        effects.apply();
    }

    /// Closes, and discards what the subscriptions hold.
    pub(crate) fn close_now(&self, reason: Option<Arc<str>>) {
        let mut effects = self.effects();
        let mut cleared = Vec::new();
        {
            let state = &mut *self.state.lock();
            state.close(reason);
            for slot in state.slots.iter_mut() {
                state.n_parked -= usize::from(std::mem::take(&mut slot.parked));
                cleared.push(slot.subscriber.clear(slot.n_left_in_history));
                slot.subscriber.close(&mut effects);
            }
        }
        // Consumers are notified first: a payload may panic when it is dropped.
        effects.apply();
        drop(cleared);
    }

    /// Adds a range to the subscriber of an event set, after its others. Returns the position of
    /// the first emit that is matched against it.
    pub(crate) fn push_range(
        &self,
        mailbox: &Mailbox<EventQueue<P>>,
        range: KeyRange,
    ) -> Result<Seq, ControlError> {
        let state = &mut *self.state.lock();
        if state.closed {
            return Err(ControlError::Closed);
        }
        if state.push_range(mailbox.place(), range) {
            Ok(Seq::after(state.last_seq))
        } else {
            Err(ControlError::Ended)
        }
    }

    /// Removes the range at `place` of the subscriber of an event set; its last range takes the
    /// place.
    pub(crate) fn swap_remove_range(&self, mailbox: &Mailbox<EventQueue<P>>, place: usize) {
        let state = &mut *self.state.lock();
        state.swap_remove_range(mailbox.place(), place);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(crate) fn close_reason(&self) -> Option<Arc<str>> {
        self.state.lock().close_reason.clone()
    }

    pub(crate) fn last_seq(&self) -> Option<Seq> {
        self.state.lock().last_seq
    }

    /// The head and the floor of the history.
    pub(crate) fn bounds(&self) -> Option<(Option<u64>, u64)> {
        let state = self.state.lock();
        state
            .history
            .as_ref()
            .map(|history| (history.head(), history.floor()))
    }

    pub(crate) fn n_subscriptions(&self) -> usize {
        let state = self.state.lock();
        state.slots.len()
    }

    pub(crate) fn stats(&self) -> BusStats {
        let mut sums = BusStats::default();
        let mut next = Some(0);
        let mut n_rebuilds = None;
        while let Some(place) = next {
            let state = self.state.lock();
            // Places have changed in between, so counting starts over.
            let starts_over = n_rebuilds.replace(state.n_rebuilds) != Some(state.n_rebuilds);
            next = state.add_stats(if starts_over { 0 } else { place }, &mut sums);
        }
        sums
    }
}

impl<P> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The formatter may be user code, so nothing is written under the lock.
        let (last_seq, n_subscriptions, closed) =
            (self.last_seq(), self.n_subscriptions(), self.is_closed());
        f.debug_struct("Shared")
            .field("name", &self.name)
            .field("last_seq", &last_seq)
            .field("n_subscriptions", &n_subscriptions)
            .field("closed", &closed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::{RangeWatchBus, Selector};

    /// The steps so far that may grow with the number of ranges and subscribers: those of the
    /// index, and the visits of subscribers.
    fn n_steps(bus: &RangeWatchBus) -> usize {
        let state = bus.shared().state.lock();
        state.index.read().n_steps() + state.slots.n_visits.get()
    }

    #[test]
    fn g15_an_emit_of_many_keys_to_many_subscriptions_takes_no_product_of_the_two() {
        // A single key and a prefix are not stored as general ranges are.
        for end in ["k\0", "l", "l~"] {
            let bus = RangeWatchBus::new();
            let _subs: Vec<_> = (0..300)
                .map(|_| bus.subscribe("k"..end).wake().unwrap())
                .collect();
            let mut keys: Vec<_> = (0..300).map(|i| format!("k{}", i * 7 % 300)).collect();
            keys.push("k".to_owned());
            let before = n_steps(&bus);
            assert_eq!(bus.emit(1, &keys).unwrap().matched(), 300);
            let n_steps = n_steps(&bus) - before;
            // Of each key: those of a lookup in a tree of 300. Of each subscription: its visit, and
            // those that find its range.
            assert!(n_steps <= 301 * 10 + 300 * 5, "{n_steps}");
        }
    }

    #[test]
    fn g15_the_steps_of_an_emit_grow_as_the_logarithm_of_the_number_of_subscriptions() {
        const N_EMITS: usize = 100;
        let kinds: [fn(String) -> Selector; 3] = [Selector::key, Selector::prefix, |key| {
            Selector::range(key.clone(), key + "~~")
        }];
        for selector in kinds {
            let steps = |n: usize| {
                let bus = RangeWatchBus::new();
                let key = |i| format!("{i:06}");
                let _subs: Vec<_> = (0..n)
                    .map(|i| bus.subscribe(selector(key(i))).wake().unwrap())
                    .collect();
                let before = n_steps(&bus);
                for i in 0..N_EMITS {
                    let emitted = bus.emit(0, [key(i * n / N_EMITS)]).unwrap();
                    assert_eq!(emitted.matched(), 1);
                }
                n_steps(&bus) - before
            };
            let (few, many) = (steps(1_000), steps(20_000));
            // The logarithm grows from 10 to 14.
            assert!(many <= 2 * few, "{few} among a thousand, {many}");
        }
    }

    /// The steps of an emit of `key`, which matches one subscription.
    fn cost_of_emit(bus: &RangeWatchBus, key: &str) -> usize {
        let before = n_steps(bus);
        assert_eq!(bus.emit_next([key]).unwrap().matched(), 1);
        n_steps(bus) - before
    }

    #[test]
    fn g16_stalled_subscriptions_that_an_emit_does_not_match_cost_it_nothing() {
        let cost = |n_stalled| {
            let history = crate::History::events(100);
            let bus = RangeWatchBus::builder().history(history).build().unwrap();
            let stalled: Vec<_> = (0..n_stalled)
                .map(|i| {
                    let overflow = [crate::Overflow::Lagged, crate::Overflow::Park][i % 2];
                    let builder = bus.subscribe("stalled".."stalled~").overflow(overflow);
                    builder.events(1).unwrap()
                })
                .collect();
            let mut healthy = bus.subscribe("a".."b").events(1).unwrap();
            for _ in 0..3 {
                bus.emit_next(["stalled!"]).unwrap();
            }
            let cost = cost_of_emit(&bus, "a");
            assert!(healthy.try_recv().is_ok() && stalled.len() == n_stalled);
            cost
        };
        // The depth of the index grows as a logarithm.
        let (few, many) = (cost(1), cost(1_000));
        assert!(
            many <= few + 60,
            "{few} steps with one, {many} with a thousand"
        );
    }

    #[test]
    fn g15_an_emit_takes_no_lock_of_a_parked_subscription() {
        let history = crate::History::events(100);
        let bus = RangeWatchBus::builder().history(history).build().unwrap();
        let sub = bus.subscribe(..).events(1).unwrap();
        bus.emit_next(["k"]).unwrap();
        assert_eq!(bus.emit_next(["k"]).unwrap().parked(), 1);
        let (done, is_done) = std::sync::mpsc::channel();
        let emitter = sub.mailbox().with(|_| {
            // The lock of the queue is held as long as this closure runs.
            let bus = bus.clone();
            let emitter = std::thread::spawn(move || {
                let parked = bus.emit_next(["k"]).unwrap().parked();
                done.send(parked).unwrap();
            });
            let parked = is_done.recv_timeout(std::time::Duration::from_secs(60));
            assert_eq!(parked, Ok(1), "the emit waits for the consumer");
            emitter
        });
        emitter.join().unwrap();
        assert_eq!((sub.stats().pending(), sub.lag()), (3, 3));
    }
}
