//! Reading a log into a local bus.

use std::fmt;
use std::sync::Arc;

use rangewatch_bus::timer::{ThreadTimer, Timer};
use rangewatch_bus::{BuildError, History, RangeWatchBus};
use thiserror::Error;

use crate::apply::{Apply, BusClosed};
use crate::status::{StatusSender, chain};
use crate::{
    Backoff, Codec, Head, Log, LogError, LogReader, MAX_VALUE, NoPayloads, Phase, StatusWatch,
};

/// Reads a log into a local bus with history, on which any number of subscriptions find their
/// ranges.
///
/// [`open`](ReaderBuilder::open) connects, [`bus`](Self::bus) is the bus, and [`run`](Self::run)
/// fills it until it is dropped. Only the reader emits on this bus; what the process itself emits
/// comes back through the log.
///
/// Subscribers have the guarantees of a local bus, across reconnects and restarts of the server:
/// each emit once, in order, none silently left out. When the log cannot give what a reader has to
/// read next, because it was trimmed, lost it, or has begun another epoch, every event
/// subscription ends with [`Compacted`](rangewatch_bus::RecvError::Compacted) and every wake
/// subscription gets a conservative span; the reader goes on with what the log holds, and
/// [followers](rangewatch_bus::SubscribeBuilder::follow) rescan by themselves.
///
/// When the connection is lost, the reader connects again, after a [`Backoff`]. Its bus stays open
/// and its [`status`](Self::status) says so.
///
/// # Examples
///
/// ```no_run
/// use rangewatch_bridge::{Log, Reader};
/// use rangewatch_bus::Selector;
///
/// # async fn example(log: impl Log) -> Result<(), Box<dyn std::error::Error>> {
/// let reader = Reader::builder(log).open().await?;
/// let mut pods = reader.bus().subscribe(Selector::prefix("/registry/pods/")).events(256)?;
/// tokio::spawn(reader.run());
/// println!("{:?}", pods.recv().await?);
/// # Ok(())
/// # }
/// ```
#[must_use = "a reader reads nothing until `run` is polled"]
pub struct Reader<P: Send + Sync + 'static = ()> {
    log: Arc<dyn Log>,
    timer: Arc<dyn Timer>,
    backoff: Backoff,
    random: fastrand::Rng,
    apply: Apply<P>,
    /// The connection that `open` made.
    connection: Option<Box<dyn LogReader>>,
    ended: Ended<P>,
}

/// Builds a [`Reader`], from [`Reader::builder`].
///
/// The defaults: no payloads, a history of 100,000 emits and
/// [`History::DEFAULT_BYTES`], all that the log holds, the default [`Backoff`], a
/// [`ThreadTimer`], no name.
#[must_use = "nothing is read until `open` is called"]
pub struct ReaderBuilder<P = ()> {
    log: Arc<dyn Log>,
    codec: Arc<dyn Codec<P>>,
    history: History,
    weigher: Option<fn(&P) -> usize>,
    start: Start,
    backoff: Backoff,
    timer: Arc<dyn Timer>,
    seed: Option<u64>,
    name: Option<Arc<str>>,
}

/// Where a [`Reader`] begins: how much of the past its bus serves to `since`, if its history has
/// room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With all that the log holds.
    Floor,
    /// So many values before the head, or with all that the log holds if that is less.
    BeforeHead(u64),
    /// After the head: nothing of the past.
    Head,
}

/// Why a [`Reader`] could not be opened, or has ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The log refuses to be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The bus cannot be built.
    #[error(transparent)]
    Bus(#[from] BuildError),
}

impl Reader {
    /// Starts to build a reader of a log without payloads.
    pub fn builder(log: impl Log) -> ReaderBuilder {
        ReaderBuilder {
            log: Arc::new(log),
            codec: Arc::new(NoPayloads),
            history: History::events(100_000),
            weigher: None,
            start: Start::Floor,
            backoff: Backoff::default(),
            timer: Arc::new(ThreadTimer),
            seed: None,
            name: None,
        }
    }
}

impl ReaderBuilder {
    /// Reads payloads of the type `P`.
    pub fn payloads<P: Send + Sync + 'static>(self, codec: impl Codec<P>) -> ReaderBuilder<P> {
        ReaderBuilder {
            log: self.log,
            codec: Arc::new(codec),
            history: self.history,
            weigher: None,
            start: self.start,
            backoff: self.backoff,
            timer: self.timer,
            seed: self.seed,
            name: self.name,
        }
    }
}

impl<P: Send + Sync + 'static> ReaderBuilder<P> {
    /// Sets the bounds of the history of the bus.
    pub const fn history(mut self, history: History) -> Self {
        self.history = history;
        self
    }

    /// Sets the size of a payload, in bytes, for the bounds of the history and of queues: see
    /// [`payload_bytes`](rangewatch_bus::RangeWatchBusBuilder::payload_bytes).
    pub const fn payload_bytes(mut self, weigh: fn(&P) -> usize) -> Self {
        self.weigher = Some(weigh);
        self
    }

    /// Sets where to begin, in the first epoch. A later epoch is read from its floor.
    pub const fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets how long to wait between attempts to connect.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets the source of time: of the waits between attempts, and of the bus.
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timer = Arc::new(timer);
        self
    }

    /// Makes the waits between attempts repeatable, for tests.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Names the bus: see [`name`](rangewatch_bus::RangeWatchBusBuilder::name). Metrics and events
    /// of `tracing` have it too.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Connects to the log, and builds the bus. While the server is away or the log does not exist,
    /// it tries again; bound that with a timeout of your own.
    ///
    /// # Errors
    ///
    /// [`ReadError::Log`] if the log refuses, [`ReadError::Bus`] if a bound of the history is 0.
    ///
    /// # Cancel safety
    ///
    /// Yes. Nothing was changed if the future is dropped.
    pub async fn open(self) -> Result<Reader<P>, ReadError> {
        let status = Arc::new(StatusSender::new("reader", self.name.clone()));
        let mut random = self
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let (connection, head) = loop {
            let error = match connect(&*self.log).await {
                Ok(connected) => break connected,
                Err(error) => retryable(error)?,
            };
            let n_failed = status.disconnected(&error);
            let delay = self.backoff.delay(n_failed, &mut random);
            self.timer.sleep(delay).await;
        };
        let position = self.start.position(head);
        let bus = RangeWatchBus::builder()
            .payloads::<P>()
            .history(self.history)
            .epoch(head.epoch)
            .timer(Arc::clone(&self.timer));
        let bus = match self.weigher {
            Some(weigh) => bus.payload_bytes(weigh),
            None => bus,
        };
        let bus = match &self.name {
            Some(name) => bus.name(Arc::clone(name)),
            None => bus,
        };
        let bus = match position {
            Some(position) => bus.head(position),
            None => bus,
        };
        let bus = bus.build()?;
        status.update(|status| {
            status.epoch = Some(head.epoch);
            status.position = position;
            status.target = head.value;
        });
        Ok(Reader {
            ended: Ended(bus.clone(), Arc::clone(&status)),
            log: self.log,
            timer: self.timer,
            backoff: self.backoff,
            random,
            apply: Apply::new(bus, self.codec, head.epoch, position, status),
            connection: Some(connection),
        })
    }
}

impl Start {
    /// The last value that is not read.
    fn position(self, head: Head) -> Option<u64> {
        let before_floor = head.floor.checked_sub(1);
        match self {
            Self::Floor => before_floor,
            Self::BeforeHead(n) => {
                let before = head.value.and_then(|value| value.checked_sub(n));
                before.max(before_floor)
            }
            Self::Head => head.value,
        }
    }
}

impl<P: Send + Sync + 'static> Reader<P> {
    /// The bus that is filled from the log. It closes when the reader, or the
    /// future of [`run`](Self::run), is dropped.
    pub const fn bus(&self) -> &RangeWatchBus<P> {
        &self.apply.bus
    }

    /// Observes the state and the lag of this reader.
    #[must_use]
    pub fn status(&self) -> StatusWatch {
        self.apply.status.watch()
    }

    /// Reads the log until the bus is closed, or the log refuses for good, which closes the bus
    /// with that reason. Spawn this future, or poll it beside others; dropping it closes the bus.
    ///
    /// # Errors
    ///
    /// [`ReadError::Log`] if the log refuses. A server that is away is no error: it is tried again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the bus closes; what it holds is still received.
    pub async fn run(mut self) -> Result<(), ReadError> {
        let result = self.read().await;
        if let Err(error) = &result {
            self.apply.status.warn(error);
            let reason = format!("the reader of the log failed: {}", chain(error));
            self.ended.0.close_with(reason);
        }
        result
    }

    async fn read(&mut self) -> Result<(), ReadError> {
        loop {
            let error = match self.session().await {
                Ok(BusClosed) => return Ok(()),
                Err(error) => retryable(error)?,
            };
            let n_failed = self.apply.status.disconnected(&error);
            let delay = self.backoff.delay(n_failed, &mut self.random);
            self.timer.sleep(delay).await;
            if self.apply.bus.is_closed() {
                return Ok(());
            }
            self.apply.status.phase(Phase::Connecting);
        }
    }

    /// Reads until the connection breaks or the bus is closed.
    async fn session(&mut self) -> Result<BusClosed, LogError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.log.reader().await?,
        };
        let mut is_first = true;
        loop {
            let head = connection.head().await?.checked()?;
            if is_first {
                self.apply.status.update(|status| {
                    status.n_connects += 1;
                    status.n_failed = 0;
                });
                is_first = false;
            }
            if self.begin(head).is_err() {
                return Ok(BusClosed);
            }
            let (epoch, position) = (self.apply.epoch, self.apply.position);
            let mut read = connection.seek(epoch, position).await;
            while read.is_ok() {
                read = match connection.next().await {
                    Ok(items) => {
                        if self.apply.items(items).is_err() || self.apply.bus.is_closed() {
                            return Ok(BusClosed);
                        }
                        self.update_phase();
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
            }
            match read {
                Err(LogError::Compacted { floor }) => {
                    if floor > MAX_VALUE || floor.checked_sub(1) <= self.apply.position {
                        // A log that contradicts itself is read again, after a wait.
                        return Err(LogError::Compacted { floor });
                    }
                    if self.apply.compacted(floor).is_err() {
                        return Ok(BusClosed);
                    }
                }
                Err(LogError::EpochChanged { .. }) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Compares what was read with the log of a new connection.
    fn begin(&mut self, head: Head) -> Result<(), BusClosed> {
        if head.epoch != self.apply.epoch {
            self.apply
                .begin_epoch(head.epoch, head.floor.checked_sub(1))?;
        } else if self.apply.position.map_or(0, |position| position + 1) < head.floor {
            self.apply.compacted(head.floor)?;
        }
        self.apply
            .status
            .update(|status| status.target = head.value);
        self.update_phase();
        Ok(())
    }

    fn update_phase(&self) {
        self.apply.status.update(|status| {
            status.target = status.target.max(status.position);
            status.phase = match status.lag() {
                0 => Phase::Live,
                _ => Phase::CatchingUp,
            };
        });
    }
}

/// Connects, and reads the bounds of the log.
async fn connect(log: &dyn Log) -> Result<(Box<dyn LogReader>, Head), LogError> {
    let mut connection = log.reader().await?;
    let head = connection.head().await?.checked()?;
    Ok((connection, head))
}

/// Whether an error passes by itself.
pub(crate) fn retryable(error: LogError) -> Result<LogError, LogError> {
    match error {
        LogError::Refused(_) | LogError::ReadOnly | LogError::TooLarge { .. } => Err(error),
        error => Ok(error),
    }
}

/// Closes the bus when the reader is dropped.
struct Ended<P: Send + Sync + 'static>(RangeWatchBus<P>, Arc<StatusSender>);

impl<P: Send + Sync + 'static> Drop for Ended<P> {
    fn drop(&mut self) {
        self.0.close_with("the reader of the log has ended");
        self.1.phase(Phase::Ended);
    }
}

impl<P: Send + Sync + 'static> fmt::Debug for Reader<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("log", &self.log)
            .field("bus", &self.apply.bus)
            .field("epoch", &self.apply.epoch)
            .field("position", &self.apply.position)
            .finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for ReaderBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderBuilder")
            .field("log", &self.log)
            .field("history", &self.history)
            .field("start", &self.start)
            .field("backoff", &self.backoff)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
