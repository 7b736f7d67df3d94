//! The bus against a reference implementation of lists and linear scans: both run the same scripts,
//! and all results and all observable state after every step are equal.

#[path = "../cases/mod.rs"]
mod cases;

mod bus;
mod events;
mod got;
mod payload;
mod script;
mod totals;
mod wake;
mod watched;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::collection::vec;
use proptest::prelude::*;
use rangewatch_bus::{
    CompactError, EventSubscription, History, ProgressError, RangeWatchBus, Selectors, Stats,
    SubscribeBuilder, SubscribeError, TryRecvError, TryWakeError, WakeSubscription,
};

use bus::{ReferenceBus, above_head};
use got::Got;
use payload::{Entries, Payload};
use script::{Begin, Change, Choice, Kind, Past, Request, Step, past, step};
use totals::Totals;

/// A subscription of the bus.
enum Sub<P> {
    Events(EventSubscription<P>),
    Wake(WakeSubscription),
}

/// Calls the same method of either kind of subscription.
macro_rules! either {
    ($sub:expr, $inner:ident => $call:expr) => {
        match $sub {
            Sub::Events($inner) => $call,
            Sub::Wake($inner) => $call,
        }
    };
}

impl<P: Payload> Sub<P> {
    fn subscribe(
        builder: SubscribeBuilder<'_, P>,
        request: &Request,
    ) -> Result<Self, SubscribeError> {
        let Some(queue) = &request.events else {
            return builder.wake().map(Self::Wake);
        };
        let builder = match queue.overflow {
            Some(overflow) => builder.overflow(overflow),
            None => builder,
        };
        let builder = builder.queue_bytes(queue.max_bytes);
        builder.events(queue.capacity).map(Self::Events)
    }

    fn receive(&mut self, marks: bool) -> Result<Got, TryRecvError> {
        match self {
            Self::Events(events) if marks => events.try_recv_item().map(Got::from),
            Self::Events(events) => match events.try_recv() {
                Ok(event) => Ok(event.into()),
                Err(TryRecvError::Coalesced(gap)) => Ok(gap.into()),
                Err(error) => Err(error),
            },
            Self::Wake(wake) => wake.try_recv().map(Got::from).map_err(|error| match error {
                TryWakeError::Empty => TryRecvError::Empty,
                TryWakeError::NotStarted => TryRecvError::NotStarted,
                _ => TryRecvError::Closed,
            }),
        }
    }

    fn stats(&self) -> Stats {
        either!(self, sub => sub.stats())
    }

    /// The position, the lag, the length and the bytes.
    fn state(&self) -> (Option<u64>, u64, usize, usize) {
        match self {
            Self::Events(sub) => (sub.position(), sub.lag(), sub.len(), sub.n_bytes()),
            Self::Wake(sub) => (sub.position(), sub.lag(), 0, 0),
        }
    }
}

/// The bus and the reference implementation.
struct Pair<P: Payload> {
    bus: RangeWatchBus<P>,
    reference: ReferenceBus,
    subs: Vec<Sub<P>>,
}

impl<P: Payload> Pair<P> {
    fn new(past: Past) -> Self {
        let mut builder = P::builder();
        if let Some((events, bytes, head)) = past {
            builder = builder.history(History::events(events).bytes(bytes));
            if let Some(head) = head {
                builder = builder.head(head);
            }
        }
        Self {
            bus: builder.build().unwrap(),
            reference: ReferenceBus::new(past),
            subs: Vec::new(),
        }
    }

    fn emit(&mut self, how: Kind, choice: Choice, entries: Entries) -> Result<(), TestCaseError> {
        let entries = known::<P>(entries);
        let value = choice.of(self.reference.last_value());
        let seq = self.reference.n_emits() as u64 + 1;
        let one = |matches: Vec<_>| matches[0];
        let (emitted, expected) = match how {
            Kind::Emit => (
                P::emit(&self.bus, value, &entries),
                self.reference.emit(vec![(value, entries)]).map(one),
            ),
            Kind::EmitNext => {
                let emitted = P::emit_next(&self.bus, &entries);
                let next = self.reference.next_value();
                let expected =
                    next.and_then(|next| self.reference.emit(vec![(next, entries)]).map(one));
                if let (Ok(emitted), Ok(next)) = (&emitted, next) {
                    prop_assert_eq!(emitted.value(), next);
                }
                (emitted, expected)
            }
            Kind::EmitAsync => {
                let mut cx = Context::from_waker(Waker::noop());
                let emitted = pin!(P::emit_async(&self.bus, value, &entries)).poll(&mut cx);
                match (emitted, self.reference.emit_async(value, entries)) {
                    (Poll::Ready(emitted), Some(expected)) => (emitted, expected),
                    (Poll::Pending, None) => return Ok(()),
                    (emitted, expected) => {
                        let detail = format!("{emitted:?} and {expected:?}");
                        return Err(TestCaseError::fail(detail));
                    }
                }
            }
        };
        let emitted = emitted.map(|emitted| {
            assert_eq!((emitted.seq().get(), emitted.woken()), (seq, 0));
            (emitted.matched(), emitted.parked())
        });
        prop_assert_eq!(emitted, expected);
        Ok(())
    }

    fn emit_many(
        &mut self,
        emits: Vec<(Choice, Entries)>,
        staged: bool,
    ) -> Result<(), TestCaseError> {
        let mut value = self.reference.last_value();
        let mut given: Vec<(u64, Entries)> = Vec::new();
        for (choice, entries) in emits {
            value = Some(choice.of(value));
            given.push((choice.of(value), known::<P>(entries)));
            value = given.last().map(|(value, _)| *value);
        }
        let emitted = if staged {
            let mut batch = self.bus.batch(usize::MAX);
            for (value, entries) in &given {
                P::stage(&mut batch, *value, entries).unwrap();
            }
            // Consecutive keys of one value are one emit.
            given = given
                .into_iter()
                .fold(Vec::new(), |mut merged, (value, entries)| {
                    match merged.last_mut() {
                        Some((last, earlier)) if *last == value => earlier.extend(entries),
                        _ => merged.push((value, entries)),
                    }
                    merged
                });
            batch.commit()
        } else {
            P::emit_many(&self.bus, &given)
        };
        let n_before = self.reference.n_emits() as u64;
        let expected = self.reference.emit(given).map(|matches| {
            let n_emits = matches.len() as u64;
            let sums = matches
                .iter()
                .fold((0, 0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
            let seqs = (n_emits > 0).then_some((n_before + 1, n_before + n_emits));
            (n_emits, sums.0, sums.1, seqs)
        });
        let emitted = emitted.map(|many| {
            let seqs = many.first_seq().zip(many.last_seq());
            (
                many.n_emits() as u64,
                many.matched(),
                many.parked(),
                seqs.map(|(first, last)| (first.get(), last.get())),
            )
        });
        prop_assert_eq!(emitted, expected);
        Ok(())
    }

    fn subscribe(&mut self, request: &Request) -> Result<(), TestCaseError> {
        let since = request
            .since
            .map(|since| since.of(self.reference.last_value()));
        let builder = match request.begin {
            Begin::Started => self.bus.subscribe(&request.selectors),
            Begin::Held => self.bus.subscribe(&request.selectors).hold(),
            Begin::Reserved => self.bus.reserve(),
        };
        let builder = match since {
            Some(since) if since % 2 == 1 => builder.since_after(since - 1),
            since => builder.since(since),
        };
        let builder = builder.epoch(request.epoch);
        let subscribed = Sub::subscribe(builder, request).map(|sub| self.subs.push(sub));
        prop_assert_eq!(subscribed, self.reference.subscribe(request, since));
        Ok(())
    }

    fn change(&mut self, i: usize, step: Step) -> Result<(), TestCaseError> {
        let sub = &mut self.subs[i];
        match step {
            Step::Receive(_) => {
                prop_assert_eq!(sub.receive(false), self.reference.receive(i, false));
            }
            Step::ReceiveItem(_) => {
                prop_assert_eq!(sub.receive(true), self.reference.receive(i, true));
            }
            Step::Change(_, change, given) => {
                let selectors = Selectors::from(&given);
                let seq = either!(sub, sub => match change {
                    Change::Add => sub.add_selectors(selectors),
                    Change::Remove => sub.remove_selectors(selectors),
                    Change::Set => sub.set_selectors(selectors),
                });
                let expected = self.reference.edit(i, change, &given, false);
                prop_assert_eq!(seq.map(u64::from), expected);
            }
            Step::Open(_, given) => {
                let selectors = Selectors::from(&given);
                let seq = either!(sub, sub => sub.open(selectors));
                let expected = self.reference.edit(i, Change::Set, &given, true);
                prop_assert_eq!(seq.map(u64::from), expected);
            }
            Step::Pause(_) => {
                let paused = either!(sub, sub => sub.pause());
                prop_assert_eq!(paused, self.reference.turn(i, Begin::Held));
            }
            Step::Start(_) => {
                let started = either!(sub, sub => sub.start());
                prop_assert_eq!(started, self.reference.turn(i, Begin::Started));
            }
            Step::StartAfter(_, choice) => {
                let value = choice.of(self.reference.last_value());
                let started = either!(sub, sub => sub.start_after(value));
                prop_assert_eq!(started, self.reference.start_after(i, value));
            }
            Step::RequestProgress(_) => {
                if let Sub::Events(sub) = sub {
                    let expected = self.reference.request_progress(i);
                    let expected = expected.ok_or(ProgressError::NoHistory);
                    prop_assert_eq!(sub.request_progress(), expected);
                }
            }
            Step::Drop(_) => {
                drop(self.subs.remove(i));
                self.reference.drop_sub(i);
            }
            _ => unreachable!("the others are steps of the bus"),
        }
        Ok(())
    }

    fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Emit(how, choice, entries) => self.emit(how, choice, entries)?,
            Step::Many(emits) => self.emit_many(emits, false)?,
            Step::Batch(emits) => self.emit_many(emits, true)?,
            Step::Subscribe(request) => self.subscribe(&request)?,
            Step::Compact(choice) => {
                let value = choice.of(self.reference.last_value());
                let compacted = match self.bus.compact(value) {
                    Ok(floor) => Some(Ok(floor)),
                    Err(CompactError::NoHistory) => None,
                    Err(error) => above_head(error).map(Err),
                };
                prop_assert_eq!(compacted, self.reference.compact(value));
            }
            Step::Advance(choice) => {
                let value = choice.of(self.reference.last_value());
                prop_assert_eq!(self.bus.advance(value), self.reference.advance(value));
            }
            Step::Restore(epoch, choice) => {
                let head = choice.map(|choice| choice.of(self.reference.last_value()));
                let subs = self.subs.iter();
                let watches = |sub: &Sub<P>| either!(sub, sub => !sub.selectors().is_empty());
                let watches: Vec<_> = subs.map(watches).collect();
                let expected = self.reference.restore(epoch, head, &watches);
                let first = self.bus.restore(epoch, head).map(u64::from);
                prop_assert_eq!(first, expected);
            }
            Step::Close => {
                self.bus.close();
                self.reference.close(false);
            }
            Step::CloseNow => {
                self.bus.close_now();
                self.reference.close(true);
            }
            Step::Receive(i)
            | Step::ReceiveItem(i)
            | Step::Change(i, ..)
            | Step::Open(i, _)
            | Step::Pause(i)
            | Step::Start(i)
            | Step::StartAfter(i, _)
            | Step::RequestProgress(i)
            | Step::Drop(i) => {
                if let Some(i) = i.checked_rem(self.subs.len()) {
                    self.change(i, step)?;
                }
            }
        }
        self.compare()
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let (bus, reference) = (&self.bus, &self.reference);
        prop_assert_eq!((bus.head(), bus.floor()), reference.bounds());
        prop_assert_eq!(bus.epoch(), reference.epoch());
        prop_assert_eq!(
            bus.last_seq().map_or(0, u64::from),
            reference.n_emits() as u64
        );
        prop_assert_eq!(bus.n_subscriptions(), reference.subs.len());
        for (i, (sub, reference_sub)) in self.subs.iter().zip(&reference.subs).enumerate() {
            let stats = sub.stats();
            prop_assert!(stats.is_conserved(), "{:?}", stats);
            prop_assert_eq!(Totals::of(&stats), reference_sub.totals());
            prop_assert_eq!(sub.state(), reference.state(i));
            if let Sub::Events(sub) = sub {
                prop_assert_eq!(sub.epoch(), reference.epoch_of(i));
            }
        }
        let stats = bus.stats();
        prop_assert_eq!(Totals::of(stats.deliveries()), reference.totals());
        prop_assert_eq!(stats.n_emits(), reference.n_emits() as u64);
        prop_assert_eq!(stats.n_subscriptions(), reference.subs.len());
        prop_assert_eq!(stats.n_parked(), reference.n_parked());
        let history = (stats.n_history_events(), stats.history_bytes());
        prop_assert_eq!(history, reference.history());
        Ok(())
    }

    /// Receives what is left, to the end.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        for i in 0..self.subs.len() {
            loop {
                let got = self.subs[i].receive(true);
                prop_assert_eq!(&got, &self.reference.receive(i, true));
                let is_over = |error: &TryRecvError| {
                    matches!(error, TryRecvError::Empty | TryRecvError::NotStarted)
                        || is_end(*error)
                };
                if got.as_ref().is_err_and(is_over) {
                    break;
                }
            }
        }
        self.compare()
    }
}

const fn is_end(error: TryRecvError) -> bool {
    matches!(
        error,
        TryRecvError::Disconnected { .. } | TryRecvError::Compacted { .. } | TryRecvError::Closed
    )
}

/// The entries as a bus with these payloads knows them.
fn known<P: Payload>(entries: Entries) -> Entries {
    let entries = entries.into_iter();
    entries
        .map(|(key, payload)| (key, P::of(payload).number()))
        .collect()
}

fn agree<P: Payload>(past: Past, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut pair = Pair::<P>::new(past);
    for step in steps {
        pair.run(step)?;
    }
    pair.drain()?;
    pair.bus.close();
    pair.reference.close(false);
    pair.drain()
}

proptest! {
    #![proptest_config(cases::config())]

    #[test]
    fn g01_to_g36_the_bus_agrees_with_the_reference_implementation(past in past(), steps in vec(step(), 1..70)) {
        agree::<()>(past, steps)?;
    }

    #[test]
    fn g40_a_bus_with_payloads_agrees_with_the_reference_implementation(past in past(), steps in vec(step(), 1..70)) {
        agree::<u64>(past, steps)?;
    }
}
