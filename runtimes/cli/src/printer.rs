//! The subscriptions of `--watch`, and the printing of their events.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use rangewatch::{Event, EventSubscription, RangeWatchBus, RecvError, Selector, SubscribeError};

use crate::event_line::{EventLine, LaggedLine};
use crate::failure::Failure;

/// The capacity of each subscription, in events. One would do: an emit prints its events before it
/// returns. Events that do not fit are printed as lagged.
const CAPACITY: usize = 1024;

/// Prints every event of its subscriptions as one line of JSON, in the order of the emits and then
/// of the subscriptions.
///
/// The printer is the waker of its subscriptions, so it prints within the emit: no event queues up,
/// however long the guest runs, and events are in order with the guest's own output. The emitter
/// blocks for as long as the output blocks, so a slow reader of a pipe slows the guest down.
pub(crate) struct Printer {
    state: Mutex<State>,
}

struct State {
    watches: Vec<Watch>,
    out: Box<dyn Write + Send>,
    /// The first error of `out`. Nothing is printed after it.
    error: Option<io::Error>,
    n_lost: u64,
}

struct Watch {
    selector: Selector,
    subscription: EventSubscription,
}

/// An event to print.
struct Due {
    watch: usize,
    /// The number of events that the subscription lost directly before this one.
    n_missed: u64,
    event: Event,
}

impl Printer {
    /// Subscribes to each of `selectors` and prints their events to `out`.
    pub(crate) fn start(
        bus: &RangeWatchBus,
        selectors: &[Selector],
        out: impl Write + Send + 'static,
    ) -> Result<Arc<Self>, Failure> {
        let watches = selectors.iter().map(|selector| {
            Watch::new(bus, selector, CAPACITY)
                .map_err(|error| Failure::run(format_args!("--watch {selector}: {error}")))
        });
        let printer = Arc::new(Self {
            state: Mutex::new(State {
                watches: watches.collect::<Result<_, _>>()?,
                out: Box::new(out),
                error: None,
                n_lost: 0,
            }),
        });
        printer.print();
        Ok(printer)
    }

    /// Prints the events that are queued and registers the waker for the next.
    fn print(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let state = &mut *self.lock();
        let due = receive(&mut state.watches, &mut Context::from_waker(&waker));
        state.print(&due);
    }

    /// Ends the subscriptions.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let state = &mut *self.lock();
        // Breaks a reference cycle: the subscriptions hold wakers, which hold the printer.
        state.watches.clear();
        match (state.error.take(), state.n_lost) {
            (Some(error), _) => Err(Failure::run(format_args!(
                "cannot write the events: {error}; the rest of them is missing"
            ))),
            (None, 0) => Ok(()),
            (None, n_lost) => Err(Failure::run(format_args!(
                "{n_lost} events were lost; the lines with \"lagged\" say where"
            ))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Printer {
    fn wake(self: Arc<Self>) {
        self.print();
    }
}

impl Watch {
    fn new(
        bus: &RangeWatchBus,
        selector: &Selector,
        capacity: usize,
    ) -> Result<Self, SubscribeError> {
        let subscription = bus.subscribe(selector).events(capacity)?;
        Ok(Self {
            selector: selector.clone(),
            subscription,
        })
    }
}

impl State {
    fn print(&mut self, due: &[Due]) {
        let mut lines = Vec::new();
        for Due {
            watch,
            n_missed,
            event,
        } in due
        {
            let selector = &self.watches[*watch].selector;
            let written = if *n_missed > 0 {
                self.n_lost += n_missed;
                push_line(
                    &mut lines,
                    &LaggedLine {
                        lagged: *n_missed,
                        selector,
                    },
                )
            } else {
                Ok(())
            };
            let written =
                written.and_then(|()| push_line(&mut lines, &EventLine { event, selector }));
            if let Err(error) = written {
                self.error.get_or_insert(error);
            }
        }
        if self.error.is_none() && !lines.is_empty() {
            let written = self.out.write_all(&lines).and_then(|()| self.out.flush());
            self.error = written.err();
        }
    }
}

fn push_line(lines: &mut Vec<u8>, line: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *lines, line)?;
    lines.push(b'\n');
    Ok(())
}

/// Receives every queued event, in the order of printing, and registers the waker with each
/// subscription.
fn receive(watches: &mut [Watch], cx: &mut Context<'_>) -> Vec<Due> {
    let mut due = Vec::new();
    for (watch, Watch { subscription, .. }) in watches.iter_mut().enumerate() {
        let mut n_missed = 0;
        while let Poll::Ready(received) = subscription.poll_recv(cx) {
            match received {
                Ok(event) => {
                    due.push(Due {
                        watch,
                        n_missed: std::mem::take(&mut n_missed),
                        event,
                    });
                }
                Err(RecvError::Lagged(missed)) => n_missed += missed,
                // The bus is closed.
                Err(_) => break,
            }
        }
    }
    due.sort_by_key(|due| (due.event.seq(), due.watch));
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_in_the_order_of_the_emits_and_then_of_the_watches() {
        let bus = RangeWatchBus::new();
        let selectors = [Selector::prefix("b"), Selector::all(), Selector::key("a")];
        let mut watches = selectors.map(|selector| Watch::new(&bus, &selector, 8).unwrap());
        for (value, keys) in [(30, ["a", "b"]), (10, ["x", "y"]), (20, ["a", "x"])] {
            bus.emit(value, keys).unwrap();
        }

        let due = receive(&mut watches, &mut Context::from_waker(Waker::noop()));

        let seen: Vec<_> = due
            .iter()
            .map(|due| (due.event.value(), due.watch))
            .collect();
        assert_eq!(seen, [(30, 0), (30, 1), (30, 2), (10, 1), (20, 1), (20, 2)]);
    }

    #[test]
    fn lost_events_are_printed_in_their_place_and_fail_the_run() {
        let bus = RangeWatchBus::new();
        let out = rangewatch::SharedBuffer::new();
        let printer = Printer::start(&bus, &[], out.clone()).unwrap();
        let mut watches = vec![Watch::new(&bus, &Selector::all(), 1).unwrap()];
        for value in [7, 8, 9] {
            bus.emit(value, ["a"]).unwrap();
        }
        let due = receive(&mut watches, &mut Context::from_waker(Waker::noop()));

        printer.lock().watches = watches;
        printer.lock().print(&due);

        let expected = "{\"lagged\":2,\"selector\":\"all\"}\n\
                        {\"seq\":3,\"value\":9,\"keys\":[\"a\"],\"selector\":\"all\"}\n";
        assert_eq!(out.to_string_lossy(), expected);
        assert!(
            matches!(printer.finish(), Err(Failure::Run(message)) if message.starts_with("2 events"))
        );
    }

    #[test]
    fn an_emit_prints_its_events_before_it_returns() {
        let bus = RangeWatchBus::new();
        let out = rangewatch::SharedBuffer::new();
        let printer = Printer::start(&bus, &[Selector::key("a")], out.clone()).unwrap();
        for seq in 1..=3 {
            bus.emit(7, ["a", "b"]).unwrap();
            let line =
                format!("{{\"seq\":{seq},\"value\":7,\"keys\":[\"a\"],\"selector\":\"key:a\"}}\n");
            assert_eq!(out.take(), line.into_bytes());
        }
        printer.finish().unwrap();
        assert_eq!(bus.n_subscriptions(), 0);
    }
}
