//! Subscriptions of a reader's bus, each of which checks what it receives.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rangewatch_bridge_faults::{Expected, Machine};
use rangewatch_bus::timer::Timer;
use rangewatch_bus::{Item, Overflow, RangeWatchBus, RecvError, Selector, SubscribeError};

use crate::executor::Clock;

/// A subscription of a kind, with the keys that begin with a prefix.
pub(crate) struct Consumer {
    pub(crate) bus: RangeWatchBus<Bytes>,
    pub(crate) machine: Machine,
    pub(crate) prefix: &'static str,
    pub(crate) clock: Clock,
    pub(crate) random: Rng,
    pub(crate) report: Rc<Report>,
}

/// What a consumer has seen.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) name: String,
    /// Everything up to this value was received, or reported as missed.
    pub(crate) position: Cell<u64>,
    /// The epoch of its position.
    pub(crate) epoch: Cell<u64>,
    /// How often something was reported as missing.
    pub(crate) n_compacted: Cell<u64>,
    pub(crate) failure: RefCell<Option<String>>,
}

impl Consumer {
    /// Receives events, and subscribes again when a subscription has ended.
    pub(crate) async fn events(mut self, capacity: usize, overflow: Overflow) {
        let mut expected = Expected::new(self.machine, self.prefix, self.report.position.get());
        loop {
            let epoch = self.report.epoch.get();
            let builder = self.bus.subscribe(Selector::prefix(self.prefix));
            let builder = builder
                .since_after(expected.position())
                .epoch(epoch)
                .overflow(overflow);
            let mut events = match builder.events(capacity) {
                Ok(events) => events,
                Err(SubscribeError::Compacted { floor, epoch }) => {
                    self.compacted(&mut expected, floor, epoch);
                    continue;
                }
                Err(SubscribeError::Closed) => return,
                Err(error) => return self.fail(error.to_string()),
            };
            loop {
                // Marks at an interval have a jitter that no seed decides.
                if self.random.u8(0..4) == 0 {
                    let requested = events.request_progress();
                    debug_assert!(requested.is_ok(), "{requested:?}");
                }
                let received = match events.recv_item().await {
                    Ok(Item::Event(event)) => expected.event(&event),
                    Ok(Item::Progress(value)) => expected.progress(value),
                    Err(RecvError::Lagged(n)) => {
                        expected.lagged(n);
                        Ok(())
                    }
                    Err(RecvError::Compacted { floor, epoch }) => {
                        self.compacted(&mut expected, floor, epoch);
                        break;
                    }
                    Err(RecvError::Disconnected { .. }) => break,
                    Err(RecvError::Closed) => return,
                    other => Err(format!("{other:?}")),
                };
                if let Err(error) = received {
                    return self.fail(error);
                }
                self.report.position.set(expected.position());
                self.pause().await;
            }
        }
    }

    /// Receives spans.
    pub(crate) async fn wakes(mut self) {
        let mut expected = Expected::new(self.machine, self.prefix, self.report.position.get());
        let builder = self.bus.subscribe(Selector::prefix(self.prefix));
        let mut wakes = match builder.since_after(expected.position()).wake() {
            Ok(wakes) => wakes,
            Err(error) => return self.fail(error.to_string()),
        };
        while let Ok(span) = wakes.recv().await {
            if let Err(error) = expected.span(&span) {
                return self.fail(error);
            }
            self.report.position.set(expected.position());
            self.pause().await;
        }
    }

    fn compacted(&self, expected: &mut Expected, floor: u64, epoch: u64) {
        let report = &self.report;
        expected.compacted(floor);
        report.position.set(expected.position());
        report.epoch.set(epoch);
        report.n_compacted.set(report.n_compacted.get() + 1);
    }

    fn fail(&self, error: String) {
        let mut failure = self.report.failure.borrow_mut();
        failure.get_or_insert_with(|| format!("{}: {error}", self.report.name));
    }

    async fn pause(&mut self) {
        if self.random.u8(0..4) == 0 {
            let pause = Duration::from_micros(self.random.u64(0..8000));
            self.clock.sleep(pause).await;
        }
    }
}
