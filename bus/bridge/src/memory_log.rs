//! A log in the memory of one process.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{Appended, Frame, Head, Log, LogError, LogItem, LogReader, LogWriter};

/// A log in the memory of one process: the reference implementation for tests, and a log for
/// programs that run in one process for now.
///
/// Clones are the same log.
///
/// # Examples
///
/// ```
/// use rangewatch_bridge::{MemoryLog, Reader, Writer};
///
/// # futures::executor::block_on(async {
/// let log = MemoryLog::new();
/// let mut writer = Writer::open(log.clone()).await?;
/// writer.append(1, ["pods/web-1"]).await?;
///
/// let reader = Reader::builder(log).open().await?;
/// let mut pods = reader.bus().subscribe("pods/".."pods0").since(1).events(16)?;
/// let received = async {
///     let event = pods.recv().await?;
///     assert_eq!(event.value(), 1);
///     Ok::<_, rangewatch_bus::RecvError>(())
/// };
/// futures::pin_mut!(received);
/// # let run = reader.run();
/// # futures::pin_mut!(run);
/// # futures::future::select(run, received).await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// How often the log has changed.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    epoch: Option<u64>,
    /// The value of the last frame, or the one that the epoch began after.
    head: Option<u64>,
    frames: VecDeque<Frame>,
}

/// How many frames a read returns at most.
const N_FRAMES_AT_ONCE: usize = 256;

impl MemoryLog {
    /// The largest frame, in bytes: bounds the memory that a reader takes.
    pub const MAX_FRAME_BYTES: usize = 16 << 20;

    /// Makes a log without an epoch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// The number of emits in the log.
    #[must_use]
    pub fn n_emits(&self) -> usize {
        self.shared.lock().frames.len()
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("MemoryLog")
            .field("epoch", &state.epoch)
            .field("head", &state.head)
            .field("n_emits", &state.frames.len())
            .finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of a user runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }
}

impl State {
    fn bounds(&self) -> Result<Head, LogError> {
        Ok(Head {
            epoch: self.epoch.ok_or(LogError::Missing)?,
            value: self.head,
            floor: self.floor(),
        })
    }

    /// The least value from which on all emits are here.
    fn floor(&self) -> u64 {
        let before = match self.frames.front() {
            Some(first) => first.prev(),
            None => self.head,
        };
        before.map_or(0, |value| value + 1)
    }

    fn check(&self, epoch: u64) -> Result<(), LogError> {
        match self.epoch {
            None => Err(LogError::Missing),
            Some(current) if current != epoch => Err(LogError::EpochChanged { epoch: current }),
            Some(_) => Ok(()),
        }
    }

    fn append(&mut self, epoch: u64, frames: &[Frame]) -> Result<Appended, LogError> {
        Frame::check_sizes(frames, MemoryLog::MAX_FRAME_BYTES)?;
        self.check(epoch)?;
        let head_before = self.head;
        let n_old = frames.partition_point(|frame| Some(frame.value()) <= head_before);
        let new = &frames[n_old..];
        match new.first() {
            Some(first) if first.prev() != head_before => {
                return Err(LogError::NotNext { head: head_before });
            }
            _ => {}
        }
        for frame in new {
            self.head = Some(frame.value());
            self.frames.push_back(frame.clone());
        }
        Ok(Appended { head_before })
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn writer(&self) -> Result<Box<dyn LogWriter>, LogError> {
        Ok(Box::new(Connection::new(self)))
    }

    async fn reader(&self) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(Connection::new(self)))
    }

    fn max_frame_bytes(&self) -> usize {
        Self::MAX_FRAME_BYTES
    }
}

struct Connection {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    epoch: u64,
    after: Option<u64>,
}

impl Connection {
    fn new(log: &MemoryLog) -> Self {
        Self {
            shared: Arc::clone(&log.shared),
            changes: log.shared.changes.subscribe(),
            epoch: 0,
            after: None,
        }
    }

    /// The next items; none if the reader has read all.
    fn read(&mut self) -> Result<Vec<LogItem>, LogError> {
        let state = self.shared.lock();
        state.check(self.epoch)?;
        let floor = state.floor();
        if self.after.map_or(0, |after| after + 1) < floor {
            return Err(LogError::Compacted { floor });
        }
        let first = state
            .frames
            .partition_point(|frame| Some(frame.value()) <= self.after);
        let frames = state.frames.range(first..).take(N_FRAMES_AT_ONCE);
        let mut items: Vec<_> = frames.cloned().map(LogItem::Emit).collect();
        if let Some(LogItem::Emit(last)) = items.last() {
            self.after = Some(last.value());
            if self.after == state.head {
                items.push(LogItem::Progress(last.value()));
            }
        }
        Ok(items)
    }
}

#[async_trait]
impl LogWriter for Connection {
    async fn head(&mut self) -> Result<Head, LogError> {
        self.shared.lock().bounds()
    }

    async fn append(&mut self, epoch: u64, frames: &[Frame]) -> Result<Appended, LogError> {
        let appended = self.shared.lock().append(epoch, frames)?;
        self.shared.changed();
        Ok(appended)
    }

    async fn begin_epoch(
        &mut self,
        last: Option<u64>,
        epoch: u64,
        head: Option<u64>,
    ) -> Result<(), LogError> {
        let mut state = self.shared.lock();
        if last == state.epoch {
            let begun = State {
                epoch: Some(epoch),
                head,
                frames: VecDeque::new(),
            };
            let ended = mem::replace(&mut *state, begun);
            drop(state);
            drop(ended);
            self.shared.changed();
        }
        Ok(())
    }

    async fn compact(&mut self, epoch: u64, before: u64) -> Result<u64, LogError> {
        let mut state = self.shared.lock();
        state.check(epoch)?;
        let n_removed = state.frames.partition_point(|frame| frame.value() < before);
        let removed: Vec<_> = state.frames.drain(..n_removed).collect();
        let floor = state.floor();
        drop(state);
        drop(removed);
        self.shared.changed();
        Ok(floor)
    }
}

#[async_trait]
impl LogReader for Connection {
    async fn head(&mut self) -> Result<Head, LogError> {
        self.shared.lock().bounds()
    }

    async fn seek(&mut self, epoch: u64, after: Option<u64>) -> Result<(), LogError> {
        self.epoch = epoch;
        self.after = after;
        self.shared.lock().check(epoch)
    }

    async fn next(&mut self) -> Result<Vec<LogItem>, LogError> {
        loop {
            self.changes.borrow_and_update();
            let items = self.read()?;
            if !items.is_empty() {
                return Ok(items);
            }
            let changed = self.changes.changed().await;
            changed.map_err(LogError::unavailable)?;
        }
    }
}
