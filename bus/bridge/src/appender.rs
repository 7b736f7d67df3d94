//! Appending what a bus emits.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use rangewatch_bus::timer::{Sleep, ThreadTimer, Timer};
use rangewatch_bus::{
    Event, EventSubscription, Overflow, RangeWatchBus, RecvError, Selector, SubscribeError,
};

use crate::encode::Encoder;
use crate::reader::retryable;
use crate::status::StatusSender;
use crate::{
    AppendError, Backoff, Codec, Frame, Head, Log, LogError, LogWriter, NoPayloads, Phase,
    StatusWatch,
};

/// Appends what a local bus with history emits to a log, in the background.
///
/// While the server is away, the emits wait in the history of the bus, and the appender uses no
/// further memory. When it is back, the appender reads the head of the log and continues after it:
/// what the server has lost is appended again, and what another writer has appended is not. So any
/// number of replicas that emit the same may append to the same log, without a leader.
///
/// If the history no longer has what follows the head of the log, nothing is left out silently:
/// [`run`](Self::run) ends with [`AppendError::Overtaken`], or, with
/// [`begin_epochs`](AppenderBuilder::begin_epochs), the appender begins a new epoch of the log.
///
/// Emits without keys are not appended. Values that a bus [advances](RangeWatchBus::advance) to
/// without an emit are not known to the log.
///
/// # Examples
///
/// ```no_run
/// use rangewatch_bridge::{Appender, Log};
/// use rangewatch_bus::{History, RangeWatchBus};
///
/// # async fn example(log: impl Log) -> Result<(), Box<dyn std::error::Error>> {
/// let bus = RangeWatchBus::builder().history(History::events(100_000)).build()?;
/// let appender = Appender::builder(log, &bus).build()?;
/// let mut status = appender.status();
/// let appending = tokio::spawn(appender.run());
///
/// bus.emit(1, ["pods/web-1"])?;
/// status.until(|status| status.position == Some(1)).await;    // the log has it
/// bus.close();
/// appending.await??;
/// # Ok(())
/// # }
/// ```
#[must_use = "an appender appends nothing until `run` is polled"]
pub struct Appender<P: Send + Sync + 'static = ()> {
    bus: RangeWatchBus<P>,
    log: Arc<dyn Log>,
    codec: Arc<dyn Codec<P>>,
    timer: Arc<dyn Timer>,
    backoff: Backoff,
    random: fastrand::Rng,
    begin_epochs: bool,
    check_every: Duration,
    status: Arc<StatusSender>,
    /// The epoch of the log.
    epoch: Option<u64>,
    /// The epoch of the bus.
    bus_epoch: Option<u64>,
}

/// Builds an [`Appender`], from [`Appender::builder`].
///
/// The defaults: the default [`Backoff`], a [`ThreadTimer`], a look at the log every second, no new
/// epochs.
#[must_use = "nothing is appended until the appender runs"]
pub struct AppenderBuilder<P: Send + Sync + 'static = ()> {
    bus: RangeWatchBus<P>,
    log: Arc<dyn Log>,
    codec: Arc<dyn Codec<P>>,
    timer: Arc<dyn Timer>,
    backoff: Backoff,
    seed: Option<u64>,
    begin_epochs: bool,
    check_every: Duration,
}

/// How many events wait in the queue of the appender's subscription: those of the next append. The
/// others are in the history.
const QUEUE_EVENTS: usize = 256;
/// And of how many bytes.
const QUEUE_BYTES: usize = 1 << 20;

impl Appender {
    /// Starts to build an appender of a bus without payloads.
    pub fn builder(log: impl Log, bus: &RangeWatchBus) -> AppenderBuilder {
        Self::builder_with(log, bus, NoPayloads)
    }
}

impl<P: Send + Sync + 'static> Appender<P> {
    /// Starts to build an appender of a bus with payloads.
    pub fn builder_with(
        log: impl Log,
        bus: &RangeWatchBus<P>,
        codec: impl Codec<P>,
    ) -> AppenderBuilder<P> {
        AppenderBuilder {
            bus: bus.clone(),
            log: Arc::new(log),
            codec: Arc::new(codec),
            timer: Arc::new(ThreadTimer),
            backoff: Backoff::default(),
            seed: None,
            begin_epochs: false,
            check_every: Duration::from_secs(1),
        }
    }
}

impl<P: Send + Sync + 'static> AppenderBuilder<P> {
    /// Begins a new epoch of the log, with what the history of the bus holds, when the history no
    /// longer has what follows the head of the log. Subscribers of all readers end with `Compacted`
    /// then. For a log with one writer: of several replicas, one that lags would begin an epoch
    /// that the others need not.
    pub const fn begin_epochs(mut self) -> Self {
        self.begin_epochs = true;
        self
    }

    /// Sets how long to wait between attempts to connect.
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how often the head of the log is read when there is nothing to append, to notice that
    /// the connection is lost or that the server has lost emits.
    pub const fn check_every(mut self, interval: Duration) -> Self {
        self.check_every = interval;
        self
    }

    /// Sets the source of time.
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timer = Arc::new(timer);
        self
    }

    /// Makes the waits between attempts repeatable, for tests.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the appender. It connects when it runs.
    ///
    /// # Errors
    ///
    /// [`AppendError::NoHistory`].
    pub fn build(self) -> Result<Appender<P>, AppendError> {
        let bus_epoch = self.bus.epoch();
        if bus_epoch.is_none() {
            return Err(AppendError::NoHistory);
        }
        let name = self.bus.name().map(Arc::from);
        let random = self
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Ok(Appender {
            bus: self.bus,
            log: self.log,
            codec: self.codec,
            timer: self.timer,
            backoff: self.backoff,
            random,
            begin_epochs: self.begin_epochs,
            check_every: self.check_every,
            status: Arc::new(StatusSender::new("appender", name)),
            epoch: None,
            bus_epoch,
        })
    }
}

/// What is to be appended next. It stays when the connection is lost.
struct Source<P> {
    events: EventSubscription<P>,
    received: Vec<Event<P>>,
    encoder: Encoder<P>,
    /// Frames that the log may not have yet.
    pending: Vec<Frame>,
    /// The log had everything up to this value.
    acknowledged: Option<u64>,
    /// In this epoch.
    epoch: u64,
}

/// Why an appender has stopped to append.
enum End {
    /// The bus is closed, and all that it emitted is in the log.
    Closed,
    /// The log, or the bus, is not where it was: read its head.
    Moved,
    /// Another connection may do better.
    Retry(LogError),
    /// There is nothing to be done.
    Failed(AppendError),
}

impl From<LogError> for End {
    fn from(error: LogError) -> Self {
        match retryable(error) {
            Ok(LogError::NotNext { .. } | LogError::EpochChanged { .. } | LogError::Missing) => {
                Self::Moved
            }
            Ok(error) => Self::Retry(error),
            Err(error) => Self::Failed(error.into()),
        }
    }
}

impl From<AppendError> for End {
    fn from(error: AppendError) -> Self {
        Self::Failed(error)
    }
}

impl<P: Send + Sync + 'static> Appender<P> {
    /// Observes the state and the lag of this appender.
    #[must_use]
    pub fn status(&self) -> StatusWatch {
        self.status.watch()
    }

    /// Appends until the bus is closed by a call and the log has all of it: the appender is a
    /// handle of the bus, which keeps it open. Spawn this future, or poll it beside others.
    ///
    /// # Errors
    ///
    /// [`AppendError::Overtaken`] if the history no longer has what follows the head of the log,
    /// [`AppendError::ClosedBehind`] if the bus was closed then; [`AppendError::Log`] if the log
    /// refuses or cannot take an emit. A server that is away is no error: it is tried again.
    ///
    /// # Cancel safety
    ///
    /// Yes. If the future is dropped, another appender of the same bus continues.
    pub async fn run(mut self) -> Result<(), AppendError> {
        let _ended = Ended(Arc::clone(&self.status));
        let mut source = None;
        loop {
            let error = match self.append(&mut source).await {
                End::Closed => return Ok(()),
                End::Failed(error) => {
                    self.status.warn(&error);
                    return Err(error);
                }
                End::Moved => LogError::Missing,
                End::Retry(error) => error,
            };
            let n_failed = self.status.disconnected(&error);
            let delay = self.backoff.delay(n_failed, &mut self.random);
            self.timer.sleep(delay).await;
            self.status.phase(Phase::Connecting);
        }
    }

    /// Connects, and appends until the connection breaks or the bus is closed.
    async fn append(&mut self, source: &mut Option<Source<P>>) -> End {
        let mut connection = match self.log.writer().await {
            Ok(connection) => connection,
            Err(error) => return error.into(),
        };
        let mut is_first = true;
        loop {
            let head = match self.head(&mut *connection).await {
                Ok(head) => head,
                Err(error) => return error.into(),
            };
            if is_first {
                self.status.update(|status| {
                    status.n_connects += 1;
                    status.n_failed = 0;
                });
                is_first = false;
            }
            let end = match self.append_after(&mut *connection, head, source).await {
                Ok(()) => End::Closed,
                Err(end) => end,
            };
            match end {
                End::Moved => {}
                end => return end,
            }
        }
    }

    /// The head of the log, which is begun if it does not exist.
    async fn head(&mut self, connection: &mut dyn LogWriter) -> Result<Head, LogError> {
        let head = loop {
            let is_restored = self.bus.epoch() != self.bus_epoch;
            match connection.head().await {
                Ok(head) if !is_restored => break head.checked()?,
                Ok(head) => self.begin_epoch(connection, Some(head.epoch)).await?,
                Err(LogError::Missing) => self.begin_epoch(connection, None).await?,
                Err(error) => return Err(error),
            }
        };
        let is_changed = self.epoch.replace(head.epoch) != Some(head.epoch);
        self.status.update(|status| {
            status.n_epochs += u64::from(is_changed && status.epoch.is_some());
            status.epoch = Some(head.epoch);
            status.position = head.value;
        });
        Ok(head)
    }

    /// Begins an epoch after `last`, with what the history of the bus holds.
    async fn begin_epoch(
        &mut self,
        connection: &mut dyn LogWriter,
        last: Option<u64>,
    ) -> Result<(), LogError> {
        // Read before the floor: a restore in between is seen at the next look.
        self.bus_epoch = self.bus.epoch();
        let head = self.bus.floor().and_then(|floor| floor.checked_sub(1));
        let epoch = self.log.new_epoch(last.max(self.epoch));
        connection.begin_epoch(last, epoch, head).await
    }

    /// Appends what follows the head of the log.
    async fn append_after(
        &mut self,
        connection: &mut dyn LogWriter,
        head: Head,
        source: &mut Option<Source<P>>,
    ) -> Result<(), End> {
        let continues =
            |source: &Source<P>| source.epoch == head.epoch && source.acknowledged <= head.value;
        let source = match source {
            Some(source) if continues(source) => source,
            source => {
                let events = self.subscribe(connection, head).await?;
                let max_bytes = self.log.max_frame_bytes();
                source.insert(Source {
                    events,
                    received: Vec::with_capacity(QUEUE_EVENTS),
                    encoder: Encoder::new(Arc::clone(&self.codec), max_bytes, head.value),
                    pending: Vec::new(),
                    acknowledged: head.value,
                    epoch: head.epoch,
                })
            }
        };
        let end = self.append_source(connection, source).await;
        if let Err(End::Moved) = end {
            // What it holds does not continue the log.
            source.epoch = u64::MAX;
        }
        end
    }

    /// Subscribes to what follows the head of the log.
    async fn subscribe(
        &mut self,
        connection: &mut dyn LogWriter,
        head: Head,
    ) -> Result<EventSubscription<P>, End> {
        let builder = self.bus.subscribe(Selector::all());
        let builder = match head.value {
            Some(value) => builder.since_after(value),
            None => builder.since(0),
        };
        let builder = builder.overflow(Overflow::Park).queue_bytes(QUEUE_BYTES);
        match builder.events(QUEUE_EVENTS) {
            Ok(events) => Ok(events),
            Err(SubscribeError::Closed) if head.value >= self.bus.head() => Err(End::Closed),
            Err(SubscribeError::Closed) => {
                let (head, bus) = (head.value, self.bus.head());
                Err(AppendError::ClosedBehind { head, bus }.into())
            }
            Err(SubscribeError::Compacted { floor, .. }) => {
                self.status.update(|status| status.n_gaps += 1);
                if !self.begin_epochs {
                    let head = head.value;
                    return Err(AppendError::Overtaken { head, floor }.into());
                }
                self.begin_epoch(connection, Some(head.epoch)).await?;
                Err(End::Moved)
            }
            Err(error) => Err(LogError::refused(error).into()),
        }
    }

    /// Appends what the source has, until the bus is closed.
    async fn append_source(
        &self,
        connection: &mut dyn LogWriter,
        source: &mut Source<P>,
    ) -> Result<(), End> {
        // One sleep for many receives: to begin one wakes the thread of the timer.
        let mut check = self.timer.sleep(self.check_every);
        loop {
            if !source.pending.is_empty() {
                let appended = connection.append(source.epoch, &source.pending).await?;
                self.count(&source.pending, appended.head_before);
                source.pending.clear();
            }
            source.acknowledged = source.encoder.last;
            self.caught_up(source.acknowledged);
            self.receive(connection, source, &mut check).await?;
            for event in source.received.drain(..) {
                let frame = source.encoder.encode(event.value(), event.entries())?;
                source.pending.push(frame);
            }
            if source.pending.is_empty() {
                return Ok(());
            }
        }
    }

    /// Waits for events of the bus: none if it is closed. Looks at the log meanwhile.
    async fn receive(
        &self,
        connection: &mut dyn LogWriter,
        source: &mut Source<P>,
        check: &mut Sleep,
    ) -> Result<(), End> {
        loop {
            let next = source.events.recv_many(&mut source.received, QUEUE_EVENTS);
            let received = match select(pin!(next), &mut *check).await {
                Either::Left((received, _)) => received,
                Either::Right(_) => {
                    *check = self.timer.sleep(self.check_every);
                    let head = connection.head().await?;
                    if head.epoch != source.epoch || head.value < source.acknowledged {
                        return Err(End::Moved);
                    }
                    continue;
                }
            };
            return match received {
                Ok(_) | Err(RecvError::Closed) => Ok(()),
                Err(RecvError::Compacted { .. }) => Err(End::Moved),
                Err(error) => Err(LogError::refused(error).into()),
            };
        }
    }

    fn count(&self, frames: &[Frame], head_before: Option<u64>) {
        let n_repeated = frames.partition_point(|frame| Some(frame.value()) <= head_before);
        self.status.update(|status| {
            status.n_emits += (frames.len() - n_repeated) as u64;
            status.n_repeated += n_repeated as u64;
        });
    }

    /// The log has everything up to `position`.
    fn caught_up(&self, position: Option<u64>) {
        self.status.update(|status| {
            status.position = position;
            status.target = self.bus.head();
            status.phase = match status.lag() {
                0 => Phase::Live,
                _ => Phase::CatchingUp,
            };
        });
    }
}

/// Says that the appender has ended, also if its future is dropped.
struct Ended(Arc<StatusSender>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.phase(Phase::Ended);
    }
}

impl<P: Send + Sync + 'static> fmt::Debug for Appender<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender")
            .field("log", &self.log)
            .field("bus", &self.bus)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

impl<P: Send + Sync + 'static> fmt::Debug for AppenderBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppenderBuilder")
            .field("log", &self.log)
            .field("bus", &self.bus)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}
