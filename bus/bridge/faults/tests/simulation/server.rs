//! A simulated engine: what it stores, what it loses, and how its network behaves. It shares
//! nothing with the log in memory.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use rangewatch_bridge::{
    Appended, ForeignEntry, Frame, Head, Log, LogError, LogItem, LogReader, LogWriter, Part, Parts,
    async_trait,
};
use rangewatch_bus::timer::Timer;

use crate::executor::Clock;

/// A server and its network. Clones are the same.
#[derive(Clone)]
pub(crate) struct Server {
    clock: Clock,
    shared: Arc<Mutex<Shared>>,
}

pub(crate) struct Shared {
    random: Rng,
    stored: Stored,
    /// What a restore brings back.
    backup: Option<Stored>,
    /// How many entries survive a crash.
    n_synced: usize,
    is_down: bool,
    /// Connections of an earlier life are broken.
    life: u64,
    /// Of so many messages one breaks its connection. 0: none does.
    break_every: u32,
    /// The largest part of a frame.
    part_bytes: usize,
    /// How often the end was lost.
    n_losses: u64,
}

/// What is on the disk.
#[derive(Clone, Default)]
struct Stored {
    epoch: Option<u64>,
    /// The value that the epoch began after.
    begun_after: Option<u64>,
    /// How many entries were trimmed.
    n_trimmed: usize,
    /// The last value that was trimmed.
    trimmed: Option<u64>,
    entries: Vec<Entry>,
}

#[derive(Clone)]
enum Entry {
    Part {
        value: u64,
        prev: Option<u64>,
        n: u64,
        is_last: bool,
        bytes: Bytes,
    },
    Foreign,
}

impl Stored {
    /// The value of the last complete emit.
    fn head(&self) -> Option<u64> {
        let complete = self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Part {
                value,
                is_last: true,
                ..
            } => Some(*value),
            _ => None,
        });
        complete.or(self.trimmed).or(self.begun_after)
    }

    /// The number of the first entry above a value.
    fn after(&self, position: Option<u64>) -> usize {
        let is_new =
            |entry: &Entry| matches!(entry, Entry::Part { value, .. } if Some(*value) > position);
        let at = self.entries.iter().position(is_new);
        self.n_trimmed + at.unwrap_or(self.entries.len())
    }

    fn floor(&self) -> u64 {
        let first = self.entries.iter().find_map(|entry| match entry {
            Entry::Part { prev, n: 1, .. } => Some(*prev),
            Entry::Part { value, .. } => Some(Some(*value)),
            Entry::Foreign => None,
        });
        let before = first.unwrap_or_else(|| self.head());
        before.map_or(0, |value| value + 1)
    }
}

impl Server {
    pub(crate) fn new(clock: Clock, seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let part_bytes = if random.bool() { 40 } else { 1 << 20 };
        Self {
            clock,
            shared: Arc::new(Mutex::new(Shared {
                random,
                stored: Stored::default(),
                backup: None,
                n_synced: 0,
                is_down: false,
                life: 0,
                break_every: 0,
                part_bytes,
                n_losses: 0,
            })),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message takes some time, and may break its connection.
    async fn message(&self, life: u64) -> Result<(), LogError> {
        let (latency, breaks) = {
            let mut shared = self.lock();
            let latency = Duration::from_micros(shared.random.u64(50..3000));
            let n = shared.break_every;
            (latency, n > 0 && shared.random.u32(..n) == 0)
        };
        self.clock.sleep(latency).await;
        let shared = self.lock();
        if breaks || shared.is_down || shared.life != life {
            return Err(LogError::unavailable("the network"));
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Connection, LogError> {
        let life = self.lock().life;
        self.message(life).await?;
        Ok(Connection {
            server: self.clone(),
            life,
            epoch: 0,
            position: None,
            next: 0,
            parts: Parts::new(1 << 24),
            is_at_end: false,
            n_losses: 0,
        })
    }
}

/// What goes wrong.
impl Shared {
    pub(crate) fn head(&self) -> Option<u64> {
        self.stored.head()
    }

    pub(crate) fn epoch(&self) -> Option<u64> {
        self.stored.epoch
    }

    pub(crate) const fn break_connections(&mut self, one_of: u32) {
        self.break_every = one_of;
    }

    /// Breaks all connections.
    pub(crate) const fn cut(&mut self) {
        self.life += 1;
    }

    pub(crate) fn sync(&mut self) {
        self.n_synced = self.stored.n_trimmed + self.stored.entries.len();
    }

    /// The process is killed. What was not synced is lost, from a random place on.
    pub(crate) fn crash(&mut self, loses: bool) {
        self.cut();
        self.is_down = true;
        if loses {
            self.lose_end();
        }
        self.sync();
    }

    /// The end is lost and no connection breaks, as at a failover behind a relay.
    pub(crate) fn lose_end(&mut self) {
        let end = self.stored.n_trimmed + self.stored.entries.len();
        let kept = self.random.usize(self.n_synced.min(end)..=end);
        let n = kept.saturating_sub(self.stored.n_trimmed);
        self.stored.entries.truncate(n);
        self.n_losses += 1;
    }

    pub(crate) const fn start(&mut self) {
        self.is_down = false;
    }

    /// All data is lost.
    pub(crate) fn wipe(&mut self) {
        self.crash(false);
        self.stored = Stored::default();
        self.n_synced = 0;
    }

    pub(crate) fn back_up(&mut self) {
        self.backup = Some(self.stored.clone());
    }

    /// An operator brings an older state back, and forgets to begin an epoch.
    pub(crate) fn restore(&mut self) {
        if let Some(backup) = self.backup.clone() {
            self.crash(false);
            self.stored = backup;
            self.sync();
        }
    }

    /// The oldest entries are removed behind the back of everybody.
    pub(crate) fn trim(&mut self) {
        let n = self.random.usize(..=self.stored.entries.len());
        self.trim_entries(n);
    }

    fn trim_entries(&mut self, n: usize) {
        for entry in self.stored.entries.drain(..n) {
            if let Entry::Part {
                value,
                is_last: true,
                ..
            } = entry
            {
                self.stored.trimmed = Some(value);
            }
        }
        self.stored.n_trimmed += n;
    }

    /// Another program writes.
    pub(crate) fn add_foreign(&mut self) {
        if self.stored.epoch.is_some() {
            self.stored.entries.push(Entry::Foreign);
        }
    }

    /// An operator removes what another program has written at the end.
    pub(crate) fn remove_foreign(&mut self) {
        while let Some(Entry::Foreign) = self.stored.entries.last() {
            self.stored.entries.pop();
        }
    }

    fn check(&self, epoch: u64) -> Result<(), LogError> {
        match self.stored.epoch {
            None => Err(LogError::Missing),
            Some(epoch_now) if epoch_now != epoch => {
                Err(LogError::EpochChanged { epoch: epoch_now })
            }
            Some(_) => Ok(()),
        }
    }

    fn bounds(&self) -> Result<Head, LogError> {
        Ok(Head {
            epoch: self.stored.epoch.ok_or(LogError::Missing)?,
            value: self.stored.head(),
            floor: self.stored.floor(),
        })
    }

    fn append(&mut self, epoch: u64, frames: &[Frame]) -> Result<Appended, LogError> {
        self.check(epoch)?;
        if let Some(Entry::Foreign) = self.stored.entries.last() {
            let entry = ForeignEntry::new("the end", "another program has written it");
            return Err(LogError::Foreign(entry));
        }
        let head_before = self.stored.head();
        let mut head = head_before;
        for frame in frames {
            if Some(frame.value()) <= head {
                continue;
            }
            if frame.prev() != head {
                return match head == head_before {
                    true => Err(LogError::NotNext { head }),
                    false => panic!("frames that do not follow each other: {frames:?}"),
                };
            }
            for (n, bytes, is_last) in Parts::split(frame, self.part_bytes) {
                self.stored.entries.push(Entry::Part {
                    value: frame.value(),
                    prev: frame.prev(),
                    n,
                    is_last,
                    bytes,
                });
            }
            head = Some(frame.value());
        }
        Ok(Appended { head_before })
    }
}

struct Connection {
    server: Server,
    life: u64,
    epoch: u64,
    position: Option<u64>,
    /// The number of the next entry, those that were trimmed included.
    next: usize,
    parts: Parts,
    is_at_end: bool,
    n_losses: u64,
}

impl Connection {
    /// Asks the server: the question and the answer are messages.
    async fn ask<T>(
        &self,
        answer: impl FnOnce(&mut Shared) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        self.server.message(self.life).await?;
        let answer = answer(&mut self.server.lock());
        self.server.message(self.life).await?;
        answer
    }

    /// Reads some entries; `None` if there are none now.
    fn read(&mut self, shared: &mut Shared) -> Result<Option<Vec<LogItem>>, LogError> {
        shared.check(self.epoch)?;
        let stored = &shared.stored;
        if self.n_losses != shared.n_losses {
            self.n_losses = shared.n_losses;
            self.next = stored.after(self.position);
            self.parts = Parts::new(1 << 24);
        }
        if self.next < stored.n_trimmed {
            // Some engines say so, others begin with what they have.
            if shared.random.bool() || stored.entries.is_empty() {
                let floor = stored.floor();
                if self.position.map_or(0, |position| position + 1) < floor {
                    return Err(LogError::Compacted { floor });
                }
            }
            self.next = stored.n_trimmed;
        }
        let entries = &stored.entries[(self.next - stored.n_trimmed).min(stored.entries.len())..];
        let n = shared.random.usize(1..=40).min(entries.len());
        let mut items = Vec::new();
        for entry in &entries[..n] {
            match entry {
                Entry::Part {
                    value,
                    n,
                    is_last,
                    bytes,
                    ..
                } => {
                    let part = Part {
                        value: *value,
                        n: *n,
                        is_last: *is_last,
                        bytes: bytes.clone(),
                    };
                    self.parts.push(part, || format!("{value}-{n}"), &mut items);
                }
                Entry::Foreign => {
                    let entry = ForeignEntry::new("here", "another program has written it");
                    items.push(LogItem::Foreign(entry));
                }
            }
        }
        for item in &items {
            if let LogItem::Emit(frame) = item {
                self.position = self.position.max(Some(frame.value()));
            }
        }
        let at_end = n == entries.len();
        self.next += n;
        if at_end && !(self.is_at_end && n == 0) && shared.random.bool() {
            items.extend(self.position.min(stored.head()).map(LogItem::Progress));
        }
        self.is_at_end = at_end;
        Ok((n > 0 || !items.is_empty()).then_some(items))
    }
}

#[async_trait]
impl LogWriter for Connection {
    async fn head(&mut self) -> Result<Head, LogError> {
        self.ask(|shared| shared.bounds()).await
    }

    async fn append(&mut self, epoch: u64, frames: &[Frame]) -> Result<Appended, LogError> {
        self.ask(|shared| shared.append(epoch, frames)).await
    }

    async fn begin_epoch(
        &mut self,
        last: Option<u64>,
        epoch: u64,
        head: Option<u64>,
    ) -> Result<(), LogError> {
        self.ask(|shared| {
            if shared.stored.epoch == last {
                assert!(last < Some(epoch), "the epoch {epoch} after {last:?}");
                shared.stored = Stored {
                    epoch: Some(epoch),
                    begun_after: head,
                    ..Stored::default()
                };
                shared.sync();
            }
            Ok(())
        })
        .await
    }

    async fn compact(&mut self, epoch: u64, before: u64) -> Result<u64, LogError> {
        self.ask(|shared| {
            shared.check(epoch)?;
            let entries = &shared.stored.entries;
            let keeps =
                |entry: &Entry| matches!(entry, Entry::Part { value, .. } if *value >= before);
            let n = entries.iter().position(keeps).unwrap_or(entries.len());
            shared.trim_entries(n);
            Ok(shared.stored.floor())
        })
        .await
    }
}

#[async_trait]
impl LogReader for Connection {
    async fn head(&mut self) -> Result<Head, LogError> {
        self.ask(|shared| shared.bounds()).await
    }

    async fn seek(&mut self, epoch: u64, after: Option<u64>) -> Result<(), LogError> {
        (self.epoch, self.position, self.is_at_end) = (epoch, after, false);
        self.parts = Parts::new(1 << 24);
        self.next = self
            .ask(|shared| {
                shared.check(epoch)?;
                Ok(shared.stored.after(after))
            })
            .await?;
        let floor = self.server.lock().stored.floor();
        if after.map_or(0, |after| after + 1) < floor {
            return Err(LogError::Compacted { floor });
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Vec<LogItem>, LogError> {
        self.server.message(self.life).await?;
        let server = self.server.clone();
        for _ in 0..200 {
            let read = self.read(&mut server.lock())?;
            if let Some(items) = read {
                self.server.message(self.life).await?;
                return Ok(items);
            }
            let pause = server.lock().random.u64(1000..20_000);
            server.clock.sleep(Duration::from_micros(pause)).await;
            if server.lock().life != self.life {
                return Err(LogError::unavailable("the connection was cut"));
            }
        }
        Ok(Vec::new())
    }
}

#[async_trait]
impl Log for Server {
    async fn writer(&self) -> Result<Box<dyn LogWriter>, LogError> {
        Ok(Box::new(self.connect().await?))
    }

    async fn reader(&self) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(self.connect().await?))
    }

    fn max_frame_bytes(&self) -> usize {
        1 << 24
    }

    fn new_epoch(&self, last: Option<u64>) -> u64 {
        let now = self.clock.now();
        last.map_or(now, |last| now.max(last + 1))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}
