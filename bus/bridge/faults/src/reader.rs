//! A reader with subscriptions of every kind, each of which checks what it receives.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rangewatch_bridge::{BoxError, BytesPayloads, Reader};
use rangewatch_bridge_faults::{FIRST, Machine, Received, open_log};
use rangewatch_bus::{
    Item, Overflow, RangeWatchBus, RecvError, Selector, SubscribeBuilder, SubscribeError,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::{Commands, Options};

type Bus = RangeWatchBus<Bytes>;

/// A subscription of a kind, with the keys that begin with a prefix.
struct Consumer {
    bus: Bus,
    name: &'static str,
    prefix: &'static str,
    received: Received,
    /// Where it is, for the answer to a command.
    position: watch::Sender<u64>,
    /// The value of the last command.
    target: watch::Receiver<u64>,
    random: Rng,
    /// The longest pause after an event, in microseconds.
    max_pause_us: u64,
}

pub(crate) async fn run(options: &Options, mut commands: Commands) -> Result<(), BoxError> {
    let machine = Machine::new(options.machine);
    let log = open_log(&options.log, &options.bus)?;
    let reader = Reader::builder(log)
        .payloads(BytesPayloads)
        .seed(options.seed);
    let reader = reader.open().await?;
    let status = reader.status();
    let bus = reader.bus().clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async { Err(format!("the reader has ended: {:?}", reader.run().await)) });
    let mut positions = Vec::new();
    let mut random = Rng::with_seed(options.seed);
    let position = bus.floor().unwrap_or(0).max(FIRST) - 1;
    let (target, targets) = watch::channel(position);
    let mut consumer = |name, prefix, max_pause_us| {
        let received = Received::new(machine, prefix, position);
        let (sender, receiver) = watch::channel(position);
        positions.push((prefix, receiver));
        Consumer {
            bus: bus.clone(),
            name,
            prefix,
            received,
            position: sender,
            target: targets.clone(),
            random: random.fork(),
            max_pause_us,
        }
    };
    tasks.spawn(consumer("all", "k/", 0).events(32, Overflow::Park));
    tasks.spawn(consumer("tens", "k/1", 500).events(4, Overflow::Park));
    tasks.spawn(consumer("lagged", "k/2", 3000).events(8, Overflow::Lagged));
    tasks.spawn(consumer("disconnected", "k/0", 3000).events(8, Overflow::Disconnect));
    tasks.spawn(consumer("one", "k/33", 0).events(1, Overflow::Park));
    tasks.spawn(consumer("wake", "k/3", 2000).wakes());
    let replays = Consumer {
        position: watch::channel(0).0,
        ..consumer("replays", "k/1", 0)
    };
    positions.pop();
    tasks.spawn(replays.replays(machine));
    loop {
        let to = tokio::select! {
            Some(ended) = tasks.join_next() => return Err(ended?.unwrap_err().into()),
            to = commands.next() => to?,
        };
        let Some(to) = to else {
            return Ok(());
        };
        target.send_replace(to);
        let reached = async {
            for (prefix, position) in &mut positions {
                let reached = |position: &u64| !machine.emits(prefix, position + 1..=to);
                position.wait_for(reached).await?;
            }
            Ok::<_, watch::error::RecvError>(())
        };
        tokio::select! {
            Some(ended) = tasks.join_next() => return Err(ended?.unwrap_err().into()),
            reached = reached => reached?,
        }
        let status = status.get();
        crate::answer(&format!(
            "reached {to} gaps {} epochs {} connects {} repeated {} foreign {}",
            status.n_gaps, status.n_epochs, status.n_connects, status.n_repeated, status.n_foreign
        ));
    }
}

impl Consumer {
    /// Receives events, and subscribes again when a subscription has ended.
    async fn events(mut self, capacity: usize, overflow: Overflow) -> Result<(), String> {
        loop {
            let builder = self.subscribe().overflow(overflow);
            let builder = builder.progress_every(Duration::from_millis(100));
            let mut events = match builder.events(capacity) {
                Ok(events) => events,
                Err(error) => {
                    self.refused(error)?;
                    continue;
                }
            };
            loop {
                let (verified, is_ended) = match events.recv_item().await {
                    Ok(Item::Event(event)) => (self.received.event(&event), false),
                    Ok(Item::Progress(value)) => (self.received.progress(value), false),
                    Err(RecvError::Lagged(n)) => {
                        self.received.lagged(n);
                        (Ok(()), false)
                    }
                    Err(RecvError::Compacted { floor, .. }) => {
                        (self.received.compacted(floor), true)
                    }
                    Err(RecvError::Disconnected { resume }) => {
                        (self.received.disconnected(resume), true)
                    }
                    other => (Err(format!("{other:?}")), true),
                };
                verified.map_err(|error| self.failed(error))?;
                self.moved()?;
                if is_ended {
                    break;
                }
                self.pause().await;
            }
        }
    }

    /// Receives spans.
    async fn wakes(mut self) -> Result<(), String> {
        let mut wakes = loop {
            match self.subscribe().wake() {
                Ok(wakes) => break wakes,
                Err(error) => self.refused(error)?,
            }
        };
        loop {
            let span = wakes
                .recv()
                .await
                .map_err(|error| self.failed(error.to_string()))?;
            let verified = self.received.span(&span);
            verified.map_err(|error| self.failed(error))?;
            self.moved()?;
            self.pause().await;
        }
    }

    /// Reads parts of the past, again and again.
    async fn replays(mut self, machine: Machine) -> Result<(), String> {
        loop {
            let (floor, head) = (self.bus.floor().unwrap_or(0), self.bus.head().unwrap_or(0));
            let position = self.random.u64(floor.min(head)..=head).max(FIRST - 1);
            self.received = Received::new(machine, self.prefix, position);
            let mut events = match self.subscribe().events(16) {
                Ok(events) => events,
                Err(SubscribeError::Compacted { .. }) => continue,
                Err(error) => return Err(self.failed(error.to_string())),
            };
            for _ in 0..self.random.usize(1..50) {
                let pause = tokio::time::sleep(Duration::from_millis(50));
                tokio::select! {
                    event = events.recv() => match event {
                        Ok(event) => self.received.event(&event).map_err(|error| self.failed(error))?,
                        Err(RecvError::Compacted { .. }) => break,
                        Err(error) => return Err(self.failed(error.to_string())),
                    },
                    () = pause => break,
                }
            }
            drop(events);
            let verified = self.received.verify();
            verified.map_err(|error| self.failed(error))?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn subscribe(&self) -> SubscribeBuilder<'_, Bytes> {
        let builder = self.bus.subscribe(Selector::prefix(self.prefix));
        builder.since_after(self.received.position())
    }

    /// A subscription was refused.
    fn refused(&mut self, error: SubscribeError) -> Result<(), String> {
        match error {
            SubscribeError::Compacted { floor, .. } => {
                let verified = self.received.compacted(floor);
                verified.map_err(|error| self.failed(error))?;
                self.moved()
            }
            error => Err(self.failed(error.to_string())),
        }
    }

    /// Verifies what was received up to the value of the last command before it is answered.
    fn moved(&mut self) -> Result<(), String> {
        if self.received.has_reached(*self.target.borrow()) {
            let verified = self.received.verify();
            verified.map_err(|error| self.failed(error))?;
        }
        self.position.send_replace(self.received.position());
        Ok(())
    }

    fn failed(&self, error: String) -> String {
        format!("{}: {error}", self.name)
    }

    async fn pause(&mut self) {
        if self.max_pause_us > 0 && self.random.u8(0..8) == 0 {
            let pause = self.random.u64(0..self.max_pause_us);
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
    }
}
