//! The cost of one delivery: the push into a queue and the wake-up of a waiting consumer.

use std::task::{Context, Waker};

use rangewatch_bench_harness::{Clock, Contender, Effort, Report};
use rangewatch_bus::index::IntervalIndex;
use rangewatch_bus::{EventSubscription, KeyRange, Overflow, RangeWatchBus, WakeSubscription};
use tokio::sync::{broadcast, mpsc};

use crate::peers::Message;

const KEY: &str = "/registry/pods/ns-017/pod-0042";
const CAPACITY: usize = 16;
const N_CONSUMERS: usize = 100;

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note("One emit to 100 consumers that wait, without their receives.\n");
    report.table(&["", "events", "wake", "100 try_send of tokio mpsc"]);
    let mut contenders = ["events", "wake", "mpsc"].map(|name| {
        let mut channel = channel(name, N_CONSUMERS).expect("a name of the list");
        Contender::timed(move |n| {
            (0..n)
                .map(|_| cycle(&mut *channel, |push| Clock::Thread.time(push)))
                .sum()
        })
    });
    report.row(effort, "100 deliveries", &mut contenders);
    full(effort, report);
}

/// Emits to a full queue.
fn full(effort: Effort, report: &Report) {
    report.note("\nOne emit to a consumer whose queue of 16 is full.\n");
    report.table(&[
        "",
        "drops the oldest",
        "merges the newest",
        "tokio broadcast drops the oldest",
    ]);
    let buses = [Overflow::Lagged, Overflow::Coalesce].map(|overflow| {
        let bus = RangeWatchBus::new();
        let sub = bus
            .subscribe("/registry/pods/".."/registry/pods0")
            .overflow(overflow);
        let sub = sub.events(CAPACITY).unwrap();
        (bus, sub)
    });
    let mut contenders: Vec<_> = buses
        .iter()
        .map(|(bus, _sub)| {
            Contender::new(move || {
                bus.emit(1, [KEY]).unwrap();
            })
        })
        .collect();
    let (sender, _receiver) = broadcast::channel(CAPACITY);
    contenders.push(Contender::new(move || {
        sender.send(Message::new(1, &[KEY])).unwrap();
    }));
    report.row(effort, "one emit", &mut contenders);
}

/// A channel or a bus, with its consumers.
pub(crate) trait Channel {
    /// Polls all consumers, which then wait.
    fn wait(&mut self);
    /// Sends one message to all.
    fn push(&mut self);
    /// Receives it with all consumers.
    fn receive(&mut self);
}

/// The names that `channel` knows.
pub(crate) const NAMES: [&str; 4] = ["events", "wake", "search", "mpsc"];

pub(crate) fn channel(name: &str, n_consumers: usize) -> Option<Box<dyn Channel>> {
    let bus = RangeWatchBus::new();
    let subscribe = || bus.subscribe("/registry/pods/".."/registry/pods0");
    Some(match name {
        "events" => Box::new(Events {
            subs: (0..n_consumers)
                .map(|_| subscribe().events(CAPACITY).unwrap())
                .collect(),
            bus,
            value: 0,
        }),
        "wake" => Box::new(Spans {
            subs: (0..n_consumers)
                .map(|_| subscribe().wake().unwrap())
                .collect(),
            bus,
            value: 0,
        }),
        "search" => Box::new(Search::new(n_consumers)),
        "mpsc" => Box::new(Mpsc {
            ends: (0..n_consumers).map(|_| mpsc::channel(CAPACITY)).collect(),
            value: 0,
        }),
        _ => return None,
    })
}

/// One message to all consumers; only `push` counts.
pub(crate) fn cycle<T>(channel: &mut dyn Channel, count: impl FnOnce(&mut dyn FnMut()) -> T) -> T {
    channel.wait();
    let counted = count(&mut || counted_push(channel));
    channel.receive();
    counted
}

/// Valgrind attributes instructions by the name of this function, so it must not be inlined.
#[inline(never)]
fn counted_push(channel: &mut dyn Channel) {
    channel.push();
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

struct Events {
    bus: RangeWatchBus,
    subs: Vec<EventSubscription>,
    value: u64,
}

impl Channel for Events {
    fn wait(&mut self) {
        for sub in &mut self.subs {
            assert!(sub.poll_recv(&mut context()).is_pending());
        }
    }

    fn push(&mut self) {
        self.value += 1;
        self.bus.emit(self.value, [KEY]).unwrap();
    }

    fn receive(&mut self) {
        for sub in &mut self.subs {
            assert_eq!(sub.try_recv().unwrap().value(), self.value);
        }
    }
}

struct Spans {
    bus: RangeWatchBus,
    subs: Vec<WakeSubscription>,
    value: u64,
}

impl Channel for Spans {
    fn wait(&mut self) {
        for sub in &mut self.subs {
            assert!(sub.poll_recv(&mut context()).is_pending());
        }
    }

    fn push(&mut self) {
        self.value += 1;
        self.bus.emit(self.value, [KEY]).unwrap();
    }

    fn receive(&mut self) {
        for sub in &mut self.subs {
            assert_eq!(sub.try_recv().unwrap().last(), self.value);
        }
    }
}

/// The search of an emit for matching subscriptions, without deliveries.
struct Search {
    index: IntervalIndex<u32>,
    found: Vec<u32>,
}

impl Search {
    fn new(n_consumers: usize) -> Self {
        let mut index = IntervalIndex::new();
        for i in 0..u32::try_from(n_consumers).unwrap() {
            let range = KeyRange::new("/registry/pods/", "/registry/pods0").unwrap();
            index.insert(range, i);
        }
        Self {
            index,
            found: Vec::new(),
        }
    }
}

impl Channel for Search {
    fn wait(&mut self) {
        self.found.clear();
    }

    fn push(&mut self) {
        self.index.find(KEY.as_bytes(), &mut self.found);
    }

    fn receive(&mut self) {
        assert_eq!(self.found.len(), self.index.len());
    }
}

struct Mpsc {
    ends: Vec<(mpsc::Sender<Message>, mpsc::Receiver<Message>)>,
    value: u64,
}

impl Channel for Mpsc {
    fn wait(&mut self) {
        for (_, receiver) in &mut self.ends {
            assert!(receiver.poll_recv(&mut context()).is_pending());
        }
    }

    fn push(&mut self) {
        self.value += 1;
        let message = Message::new(self.value, &[KEY]);
        for (sender, _) in &self.ends {
            sender.try_send(message.clone()).unwrap();
        }
    }

    fn receive(&mut self) {
        for (_, receiver) in &mut self.ends {
            assert_eq!(receiver.try_recv().unwrap().value, self.value);
        }
    }
}
