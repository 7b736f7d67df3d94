//! Subscriptions of a reader's bus, each of which checks what it receives.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rangewatch_bridge_faults::Received;
use rangewatch_bus::timer::Timer;
use rangewatch_bus::{Item, Overflow, RangeWatchBus, RecvError, Selector, SubscribeError};

use crate::executor::Clock;

/// A subscription of a kind, with the keys that begin with a prefix.
pub(crate) struct Consumer {
    pub(crate) bus: RangeWatchBus<Bytes>,
    pub(crate) prefix: &'static str,
    pub(crate) clock: Clock,
    pub(crate) random: Rng,
    pub(crate) report: Rc<Report>,
}

/// What a consumer has seen.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) name: String,
    pub(crate) received: RefCell<Received>,
    /// The epoch of its position.
    pub(crate) epoch: Cell<u64>,
    /// How often something was reported as missing.
    pub(crate) n_compacted: Cell<u64>,
    pub(crate) failure: RefCell<Option<String>>,
}

impl Consumer {
    /// Receives events, and subscribes again when a subscription has ended.
    pub(crate) async fn events(mut self, capacity: usize, overflow: Overflow) {
        loop {
            let epoch = self.report.epoch.get();
            let builder = self.bus.subscribe(Selector::prefix(self.prefix));
            let builder = builder
                .since_after(self.received().position())
                .epoch(epoch)
                .overflow(overflow);
            let mut events = match builder.events(capacity) {
                Ok(events) => events,
                Err(SubscribeError::Compacted { floor, epoch }) => {
                    self.compacted(floor, epoch);
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
                let (verified, is_ended) = match events.recv_item().await {
                    Ok(Item::Event(event)) => (self.received().event(&event), false),
                    Ok(Item::Progress(value)) => (self.received().progress(value), false),
                    Err(RecvError::Lagged(n)) => {
                        self.received().lagged(n);
                        (Ok(()), false)
                    }
                    Err(RecvError::Compacted { floor, epoch }) => {
                        self.compacted(floor, epoch);
                        (Ok(()), true)
                    }
                    Err(RecvError::Disconnected { resume }) => {
                        (self.received().disconnected(resume), true)
                    }
                    Err(RecvError::Closed) => return,
                    other => (Err(format!("{other:?}")), true),
                };
                if let Err(error) = verified {
                    return self.fail(error);
                }
                if is_ended {
                    break;
                }
                self.pause().await;
            }
        }
    }

    /// Receives spans.
    pub(crate) async fn wakes(mut self) {
        let position = self.received().position();
        let builder = self.bus.subscribe(Selector::prefix(self.prefix));
        let mut wakes = match builder.since_after(position).wake() {
            Ok(wakes) => wakes,
            Err(error) => return self.fail(error.to_string()),
        };
        while let Ok(span) = wakes.recv().await {
            let verified = self.received().span(&span);
            if let Err(error) = verified {
                return self.fail(error);
            }
            self.pause().await;
        }
    }

    fn received(&self) -> RefMut<'_, Received> {
        self.report.received.borrow_mut()
    }

    fn compacted(&self, floor: u64, epoch: u64) {
        if let Err(error) = self.received().compacted(floor) {
            self.fail(error);
        }
        let report = &self.report;
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
