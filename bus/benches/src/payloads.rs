//! Payloads of several types, with the bus and with the channels that carry the same.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rangewatch_bench_harness::{Clock, Contender, Effort, Report};
use rangewatch_bus::{EventSubscription, RangeWatchBus};
use tokio::sync::{broadcast, mpsc};

use crate::delivery::{Channel, cycle};
use crate::peers::{Loaded, Message};

const KEY: &str = "/registry/pods/ns-017/pod-0042";
const CAPACITY: usize = 16;
/// The size of a payload of bytes.
const N_BYTES: usize = 1024;

/// What carries the payloads, by the names that [`channel`] knows.
pub(crate) const CARRIERS: [&str; 3] = ["ours", "mpsc", "broadcast"];

/// The types of payloads, by the names that [`channel`] knows.
pub(crate) const TYPES: [&str; 3] = ["unit", "u64", "arc"];

pub(crate) fn run(effort: Effort, report: &Report) {
    report.note(
        "Of one key to subscribers that all match. An `Arc<[u8]>` has 1 KiB, and an emit clones it\n\
         from one that exists.\n",
    );
    let columns = ["", "ours", "one tokio mpsc each", "tokio broadcast"];
    report.table(&columns);
    let row = |name: &str, contenders: &mut [Contender<'_>]| report.row(effort, name, contenders);
    for payload in TYPES {
        let name = format!("emit to 1 subscriber, {}", shown(payload));
        row(&name, &mut of_each(payload, 1, emits));
    }
    for payload in TYPES {
        let name = format!("delivery to 100 that wait, {}", shown(payload));
        row(&name, &mut of_each(payload, 100, deliveries));
    }
    for n in [1, 10, 100, 1000] {
        for payload in TYPES {
            let name = format!("emit and receipt by {n}, {}", shown(payload));
            row(&name, &mut of_each(payload, n, receipts));
        }
    }
}

/// The Rust type with a name of [`TYPES`], as it is printed.
pub(crate) fn shown(payload: &str) -> &'static str {
    match payload {
        "unit" => "`()`",
        "u64" => "`u64`",
        _ => "`Arc<[u8]>`",
    }
}

fn of_each(
    payload: &str,
    n: usize,
    contender: impl Fn(Box<dyn Channel>) -> Contender<'static>,
) -> Vec<Contender<'static>> {
    let channels = CARRIERS.map(|carrier| channel(carrier, payload, n));
    channels.into_iter().flatten().map(contender).collect()
}

/// Only the emits count. Nothing waits. As many as a queue holds are timed at once, because reading
/// the clock takes as long as an emit.
fn emits(mut channel: Box<dyn Channel>) -> Contender<'static> {
    Contender::timed(move |n| {
        let mut time = Duration::ZERO;
        let mut left = n;
        while left > 0 {
            let n_now = left.min(CAPACITY as u64);
            left -= n_now;
            time += Clock::Thread.time(|| (0..n_now).for_each(|_| channel.push()));
            (0..n_now).for_each(|_| channel.receive());
        }
        time
    })
}

/// Only the emit counts, which wakes all.
fn deliveries(mut channel: Box<dyn Channel>) -> Contender<'static> {
    Contender::timed(move |n| {
        (0..n)
            .map(|_| cycle(&mut *channel, |push| Clock::Thread.time(push)))
            .sum()
    })
}

fn receipts(mut channel: Box<dyn Channel>) -> Contender<'static> {
    Contender::new(move || {
        channel.push();
        channel.receive();
    })
}

/// One message to consumers that wait, and its receipt by all of them.
pub(crate) fn cycle_with_receipt(channel: &mut dyn Channel) {
    channel.wait();
    counted_push_and_receive(channel);
}

/// Valgrind attributes instructions by the name of this function, so it must not be inlined.
#[inline(never)]
fn counted_push_and_receive(channel: &mut dyn Channel) {
    channel.push();
    channel.receive();
}

/// A channel of messages with payloads, with its consumers.
pub(crate) fn channel(
    carrier: &str,
    payload: &str,
    n_consumers: usize,
) -> Option<Box<dyn Channel>> {
    match payload {
        "unit" => carrying(carrier, (), n_consumers),
        "u64" => carrying(carrier, 42_u64, n_consumers),
        "arc" => carrying(carrier, Arc::<[u8]>::from([42_u8; N_BYTES]), n_consumers),
        _ => None,
    }
}

fn carrying<P: Payload>(carrier: &str, payload: P, n_consumers: usize) -> Option<Box<dyn Channel>> {
    Some(match carrier {
        "ours" => Box::new(Ours::new(payload, n_consumers)),
        "mpsc" => Box::new(Mpsc {
            ends: (0..n_consumers).map(|_| mpsc::channel(CAPACITY)).collect(),
            payload,
            value: 0,
            received: 0,
        }),
        "broadcast" => {
            let (sender, _) = broadcast::channel(CAPACITY);
            let receiver = |_| Receiver::Idle(sender.subscribe());
            Box::new(Broadcast {
                receivers: (0..n_consumers).map(receiver).collect(),
                sender,
                payload,
                value: 0,
                received: 0,
            })
        }
        _ => return None,
    })
}

pub(crate) trait Payload: Clone + Send + Sync + 'static {
    /// Whether a consumer got what was sent. Reads no bytes behind an `Arc`.
    fn is(&self, sent: &Self) -> bool;
}

impl Payload for () {
    fn is(&self, (): &Self) -> bool {
        true
    }
}

impl Payload for u64 {
    fn is(&self, sent: &Self) -> bool {
        self == sent
    }
}

impl Payload for Arc<[u8]> {
    fn is(&self, sent: &Self) -> bool {
        Self::ptr_eq(self, sent)
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

struct Ours<P> {
    bus: RangeWatchBus<P>,
    subs: Vec<EventSubscription<P>>,
    payload: P,
    value: u64,
    received: u64,
}

impl<P: Payload> Ours<P> {
    fn new(payload: P, n_consumers: usize) -> Self {
        let bus = RangeWatchBus::builder().payloads().build().unwrap();
        let subscribe = |_| {
            let sub = bus.subscribe("/registry/pods/".."/registry/pods0");
            sub.events(CAPACITY).unwrap()
        };
        Self {
            subs: (0..n_consumers).map(subscribe).collect(),
            bus,
            payload,
            value: 0,
            received: 0,
        }
    }
}

impl<P: Payload> Channel for Ours<P> {
    fn wait(&mut self) {
        for sub in &mut self.subs {
            assert!(sub.poll_recv(&mut context()).is_pending());
        }
    }

    fn push(&mut self) {
        self.value += 1;
        let entry = (KEY, self.payload.clone());
        self.bus.emit_with(self.value, [entry]).unwrap();
    }

    fn receive(&mut self) {
        self.received += 1;
        for sub in &mut self.subs {
            let event = sub.try_recv().unwrap();
            assert_eq!(event.value(), self.received);
            let (key, payload) = event.entries().next().unwrap();
            assert!(key.len() == KEY.len() && payload.is(&self.payload));
        }
    }
}

impl<P: Payload> Loaded<P> {
    fn new(value: u64, payload: &P) -> Self {
        Self {
            message: Message::new(value, &[KEY]),
            payload: payload.clone(),
        }
    }

    fn check(&self, value: u64, payload: &P) {
        assert_eq!(self.message.value, value);
        let key = &self.message.keys[0];
        assert!(key.len() == KEY.len() && self.payload.is(payload));
    }
}

type Ends<P> = (mpsc::Sender<Loaded<P>>, mpsc::Receiver<Loaded<P>>);

struct Mpsc<P> {
    ends: Vec<Ends<P>>,
    payload: P,
    value: u64,
    received: u64,
}

impl<P: Payload> Channel for Mpsc<P> {
    fn wait(&mut self) {
        for (_, receiver) in &mut self.ends {
            assert!(receiver.poll_recv(&mut context()).is_pending());
        }
    }

    fn push(&mut self) {
        self.value += 1;
        let message = Loaded::new(self.value, &self.payload);
        for (sender, _) in &self.ends {
            assert!(sender.try_send(message.clone()).is_ok());
        }
    }

    fn receive(&mut self) {
        self.received += 1;
        for (_, receiver) in &mut self.ends {
            let message = receiver.try_recv().unwrap();
            message.check(self.received, &self.payload);
        }
    }
}

struct Broadcast<P> {
    sender: broadcast::Sender<Loaded<P>>,
    receivers: Vec<Receiver<P>>,
    payload: P,
    value: u64,
    received: u64,
}

/// A receiver of a broadcast, which waits only inside of a future.
enum Receiver<P> {
    Idle(broadcast::Receiver<Loaded<P>>),
    Waiting(Pin<Box<dyn Future<Output = Received<P>>>>),
    /// In between.
    Taken,
}

type Received<P> = (Loaded<P>, broadcast::Receiver<Loaded<P>>);

impl<P: Payload> Receiver<P> {
    fn wait(&mut self) {
        let Self::Idle(mut receiver) = mem::replace(self, Self::Taken) else {
            unreachable!("a receiver is idle between two messages");
        };
        let mut waiting = Box::pin(async move { (receiver.recv().await.unwrap(), receiver) });
        assert!(waiting.as_mut().poll(&mut context()).is_pending());
        *self = Self::Waiting(waiting);
    }

    fn receive(&mut self) -> Loaded<P> {
        match self {
            Self::Idle(receiver) => receiver.try_recv().unwrap(),
            Self::Waiting(waiting) => {
                let Poll::Ready((message, receiver)) = waiting.as_mut().poll(&mut context()) else {
                    unreachable!("a message was sent");
                };
                *self = Self::Idle(receiver);
                message
            }
            Self::Taken => unreachable!("a receiver is idle or waits"),
        }
    }
}

impl<P: Payload> Channel for Broadcast<P> {
    fn wait(&mut self) {
        self.receivers.iter_mut().for_each(Receiver::wait);
    }

    fn push(&mut self) {
        self.value += 1;
        let message = Loaded::new(self.value, &self.payload);
        assert!(self.sender.send(message).is_ok());
    }

    fn receive(&mut self) {
        self.received += 1;
        for receiver in &mut self.receivers {
            receiver.receive().check(self.received, &self.payload);
        }
    }
}
