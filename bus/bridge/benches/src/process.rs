//! A process that emits, or one that receives.
#![expect(
    clippy::print_stdout,
    reason = "a process tells the one that started it what it has measured"
)]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use rangewatch_bench_harness::Clock;
use rangewatch_bridge::{Appender, Reader, StatusWatch};
use rangewatch_bus::{Event, EventSubscription, History, Overflow, RangeWatchBus};
use rustix::time::{ClockId, clock_gettime};
use tokio::net::UnixDatagram;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::Result;
use crate::client::{BareReader, BareWriter, Client};
use crate::emits::{frames, key};
use crate::engines::client;
use crate::server::resident_bytes;

/// How many entries are read, or appended, at once: the default of the bridge.
const N_BATCH: usize = 256;
/// How many emits may be on their way, where emits are as fast as they are received.
const WINDOW: u64 = 1000;
/// How often that is looked at, in emits.
const LOOK: u64 = 100;
/// The queue of the subscriber, in events.
const QUEUE_EVENTS: usize = 4096;

#[derive(Debug, Args)]
pub(crate) struct Process {
    #[command(subcommand)]
    pub(crate) role: Role,
    #[arg(long)]
    pub(crate) url: String,
    /// The bus, or the stream of the bare client.
    #[arg(long)]
    pub(crate) bus: String,
    #[arg(long)]
    pub(crate) who: Who,
    #[arg(long)]
    pub(crate) n_emits: usize,
    /// Where the time of each emit is written.
    #[arg(long)]
    pub(crate) times: PathBuf,
    /// The socket on which the source learns how much was received.
    #[arg(long)]
    pub(crate) receipts: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Role {
    /// Emits. Prints its processor time.
    Source {
        /// So many a second. 0: as many as are received.
        rate: u64,
    },
    /// Receives. Prints `ready` when it is live, or at once if the log has all emits; then its
    /// processor time since then and the growth of its memory.
    Reader,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    Bridge,
    Bare,
}

/// A runtime on the thread that uses it.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// A time that all processes of this machine have, in nanoseconds.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Process {
    pub(crate) fn run(self) -> Result<()> {
        let runtime = runtime()?;
        let before = resident_bytes("self")?;
        let times = match self.role {
            Role::Source { rate } => {
                let mut times = Ok(Vec::new());
                let time = Clock::Process.time(|| times = runtime.block_on(self.source(rate)));
                println!("{}", time.as_nanos());
                times?
            }
            Role::Reader => {
                let mut reading = runtime.block_on(self.reader())?;
                println!("ready");
                let mut times = Ok(Vec::new());
                let time =
                    Clock::Process.time(|| times = runtime.block_on(self.receive(&mut reading)));
                let after = resident_bytes("self")?;
                println!("{} {}", time.as_nanos(), after.saturating_sub(before));
                times?
            }
        };
        let bytes: Vec<u8> = times.iter().flat_map(|time| time.to_le_bytes()).collect();
        std::fs::write(&self.times, bytes)?;
        Ok(())
    }

    /// Emits, and returns the time of each.
    async fn source(&self, rate: u64) -> Result<Vec<u64>> {
        let client = client(&self.url)?;
        let mut source = match self.who {
            Who::Bridge => Source::bridge(&*client, &self.bus)?,
            Who::Bare => Source::bare(&*client, &self.bus).await?,
        };
        // The connection is made first.
        source.emit(1)?;
        source.appended(1).await?;
        let mut times = vec![now()];
        let mut receipts = Receipts::default();
        if let Some(path) = &self.receipts {
            receipts.socket = Some(UnixDatagram::bind(path)?);
        }
        let mut ticks = (rate > 0).then(|| {
            let period = Duration::from_secs(1) / rate as u32;
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            ticks
        });
        for value in 2..=self.n_emits as u64 {
            match &mut ticks {
                Some(ticks) => {
                    ticks.tick().await;
                }
                None if value % LOOK == 0 && value > WINDOW => {
                    receipts.wait(value - WINDOW).await?;
                }
                None => {}
            }
            times.push(now());
            source.emit(value)?;
        }
        source.appended(self.n_emits as u64).await?;
        Ok(times)
    }

    /// Receives all emits, and returns when each of them was received.
    async fn receive(&self, reading: &mut Reading) -> Result<Vec<u64>> {
        let socket = UnixDatagram::unbound()?;
        let mut times = Vec::with_capacity(self.n_emits);
        let mut received = Vec::new();
        let mut n_told = 0;
        while times.len() < self.n_emits {
            reading.next(&mut received, &mut times).await?;
            let n_received = times.len() as u64;
            if let Some(path) = &self.receipts {
                if n_received >= n_told + LOOK {
                    // Fails only if the source has ended, which waits for no more then.
                    let _ = socket.send_to(&n_received.to_le_bytes(), path).await;
                    n_told = n_received;
                }
            }
        }
        Ok(times)
    }

    async fn reader(&self) -> Result<Reading> {
        let client = client(&self.url)?;
        Ok(match self.who {
            Who::Bridge => {
                let reader = Reader::builder(client.log(&self.bus, N_BATCH)?);
                let history = History::events(self.n_emits).bytes(usize::MAX);
                let reader = reader.history(history).open().await?;
                let all = reader.bus().subscribe(..).overflow(Overflow::Park);
                let events = all.events(QUEUE_EVENTS)?;
                let bus = reader.bus().clone();
                tokio::spawn(reader.run());
                Reading::Bridge { events, _bus: bus }
            }
            Who::Bare => {
                let reader = client.bare_reader(&self.bus, N_BATCH).await?;
                Reading::Bare(reader.ok_or("the engine has no bare client")?)
            }
        })
    }
}

/// What emits.
enum Source {
    Bridge {
        bus: RangeWatchBus,
        status: StatusWatch,
    },
    Bare {
        queue: mpsc::UnboundedSender<u64>,
        appended: watch::Receiver<u64>,
    },
}

impl Source {
    fn bridge(client: &dyn Client, bus: &str) -> Result<Self> {
        let log = client.log(bus, N_BATCH)?;
        let bus = RangeWatchBus::builder().history(History::events(100_000));
        let bus = bus.build()?;
        let appender = Appender::builder(log, &bus).build()?;
        let status = appender.status();
        tokio::spawn(appender.run());
        Ok(Self::Bridge { bus, status })
    }

    /// A queue, and a task that appends what is in it.
    async fn bare(client: &dyn Client, stream: &str) -> Result<Self> {
        let writer = client.bare_writer(stream).await?;
        let mut writer: Box<dyn BareWriter> = writer.ok_or("the engine has no bare client")?;
        let (queue, mut queued) = mpsc::unbounded_channel();
        let (sender, appended) = watch::channel(0);
        tokio::spawn(async move {
            let mut values = Vec::new();
            while queued.recv_many(&mut values, N_BATCH).await > 0 {
                let (first, last) = (values[0], values[values.len() - 1]);
                values.clear();
                writer.append(&frames(first..last + 1, b"")).await?;
                sender.send_replace(last);
            }
            Ok::<_, rangewatch_bridge::BoxError>(())
        });
        Ok(Self::Bare { queue, appended })
    }

    fn emit(&self, value: u64) -> Result<()> {
        match self {
            Self::Bridge { bus, .. } => drop(bus.emit(value, [key(value)])?),
            Self::Bare { queue, .. } => queue.send(value)?,
        }
        Ok(())
    }

    /// Waits until the log has everything up to a value.
    async fn appended(&mut self, value: u64) -> Result<()> {
        let failed = "the source has ended";
        match self {
            Self::Bridge { status, .. } => {
                let status = status.until(|status| status.position >= Some(value)).await;
                status.ok_or(failed)?;
            }
            Self::Bare { appended, .. } => {
                appended.wait_for(|last| *last >= value).await?;
            }
        }
        Ok(())
    }
}

/// What receives.
enum Reading {
    Bridge {
        events: EventSubscription,
        _bus: RangeWatchBus,
    },
    Bare(Box<dyn BareReader>),
}

impl Reading {
    /// Receives some emits, which were received now.
    async fn next(&mut self, received: &mut Vec<Event>, times: &mut Vec<u64>) -> Result<()> {
        match self {
            Self::Bridge { events, .. } => {
                events.recv_many(received, QUEUE_EVENTS).await?;
                let now = now();
                for event in received.drain(..) {
                    next(times, event.value(), now)?;
                }
            }
            Self::Bare(reader) => {
                let entries = reader.next().await?;
                let now = now();
                for (value, _) in entries {
                    next(times, value, now)?;
                }
            }
        }
        Ok(())
    }
}

/// What a source knows of what was received.
#[derive(Default)]
struct Receipts {
    socket: Option<UnixDatagram>,
    n_received: u64,
}

impl Receipts {
    /// Waits until everything up to a value was received.
    async fn wait(&mut self, value: u64) -> Result<()> {
        let Some(socket) = &self.socket else {
            return Ok(());
        };
        while self.n_received < value {
            let mut bytes = [0; 8];
            socket.recv(&mut bytes).await?;
            self.n_received = u64::from_le_bytes(bytes);
        }
        Ok(())
    }
}

fn next(times: &mut Vec<u64>, value: u64, now: u64) -> Result<()> {
    if value != times.len() as u64 + 1 {
        return Err("an emit is missing, repeated or out of order".into());
    }
    times.push(now);
    Ok(())
}
