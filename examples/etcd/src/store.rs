//! The embedded store: ordered records, snapshots and one atomic, durable commit per group.
//!
//! `store.redb` has the records in a B-tree. A commit of a B-tree writes every page that it
//! touches, so a commit goes into a log, with one append and one sync, and into a map in memory
//! that readers look into before the B-tree. When the log is full, the map is flushed: a thread
//! writes it to the B-tree in one commit, while further commits go into a second log and a new map.
//! Then the logs change places. [`Store::open`] replays what the logs have after the last flush.

mod log;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, fs, io, iter, mem};

use bytes::Bytes;
use parking_lot::Mutex;
use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, DatabaseError, ReadOnlyTable, ReadableDatabase, ReadableTable,
    TableDefinition, WriteTransaction,
};

use self::log::Log;
pub(crate) use self::log::take_write;
use self::scan::Layer;
pub use self::scan::Scan;
use self::versions::Versions;

/// What a group of calls changes, by key: `Some` sets the value of the key, `None` deletes it.
pub type Writes = BTreeMap<Bytes, Option<Bytes>>;

type Records = ReadOnlyTable<&'static [u8], &'static [u8]>;

const RECORDS_FILE: &str = "store.redb";
const LOG_FILES: [&str; 2] = ["store.0.log", "store.1.log"];

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// The numbers of the store itself: [`LOG_ID`] and [`N_COMMITS`].
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The logs that belong to the store. A random number that no client knows.
const LOG_ID: &str = "log id";

/// The commits that the records contain.
const N_COMMITS: &str = "commits";

/// Bytes of each log. Larger ones are flushed less often, and need more memory.
const LOG_BYTES: usize = 8 << 20;

/// Memory for pages of the B-tree. The default of redb, 1 GiB, is more than the rest of the server
/// uses.
const CACHE_BYTES: usize = 256 << 20;

/// The store. Any number of threads read it while one commits.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    /// `None`: the store is in memory.
    folder: Option<PathBuf>,
    writer: Mutex<Writer>,
}

/// What commits and the flush share.
#[derive(Debug)]
struct Shared {
    db: Database,
    current: Mutex<Snapshot>,
}

#[derive(Debug)]
struct Writer {
    logs: Logs,
    n_commits: u64,
    /// A commit has failed or panicked, so that it is unknown whether it has happened.
    has_failed: bool,
    /// The flush that was begun last.
    flush: Option<JoinHandle<Result<(), StoreError>>>,
}

/// What the commits are in until they are flushed.
#[derive(Debug)]
enum Logs {
    /// The log that is written, and that of the commits before, which are being flushed.
    Files([Log; 2]),
    /// Of a store in memory: the bytes of its commits since the last flush, and those that a log
    /// would have room for.
    Memory { n_bytes: usize, max: usize },
}

/// The records as of one commit. Cheap to clone; commits do not wait for it. The space of the
/// records that were replaced since is free again when the last clone is dropped. Reads fail once
/// the [`Store`] is dropped.
#[derive(Clone)]
pub struct Snapshot {
    /// The commits that it shows. Its maps may have later ones.
    n_commits: u64,
    /// What is in the log.
    recent: Arc<Versions>,
    /// What is being flushed. Empty when it is in the B-tree.
    flushing: Arc<Versions>,
    records: Arc<Records>,
}

/// The order of a scan by key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Order {
    /// From the first key to the last.
    Ascending,
    /// From the last key to the first.
    Descending,
}

/// What a scan reads.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Query<'a> {
    /// The first key that may be read.
    pub from: &'a [u8],
    /// The first key after those. `None`: the end of the records.
    pub to: Option<&'a [u8]>,
    /// In which order.
    pub order: Order,
    /// Without the values, which are empty then.
    pub keys_only: bool,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the store open, or another `Store` of this one.
    #[error("{} is in use: stop the other server, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// The folder or the log in it cannot be created or read.
    #[error("{} cannot be opened", .path.display())]
    Io {
        /// The folder or the file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The log is of another store, or of another time of this one.
    #[error("{} does not belong to this store: put back the log of the same backup", .0.display())]
    ForeignLog(PathBuf),
    /// One of the logs is shorter than the other, which were made with the same size.
    #[error("a log in {} is cut off: restore the folder from a backup", .0.display())]
    ShortLog(PathBuf),
    /// The B-tree is missing or empty, and a log of it is there.
    #[error("{} is missing, and its log is there: restore the folder from a backup", .0.display())]
    MissingRecords(PathBuf),
    /// The B-tree is damaged, as when its file is cut off.
    #[error("{} is damaged: restore the folder from a backup", .0.display())]
    Damaged(PathBuf),
    /// The B-tree cannot be read.
    #[error("the store cannot be opened, check the disk or restore a backup")]
    Database(#[from] redb::Error),
}

/// Why a read or a commit has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The B-tree. A later read may succeed; a later commit will not.
    #[error("the store failed, check the disk and restart the server")]
    Database(#[from] redb::Error),
    /// The log. Whether the commit has happened is known after a restart.
    #[error("a file of the store failed, check the disk and restart the server")]
    Io(#[from] io::Error),
    /// An earlier commit has failed, or the thread that flushes has panicked.
    #[error("an earlier commit or its flush failed: restart the server to write again")]
    Failed,
    /// The task that committed has panicked.
    #[error("the commit did not end, restart the server")]
    Task(#[from] tokio::task::JoinError),
}

impl Store {
    /// Opens the store in a folder, which is created if it is missing. `None` is an empty store in
    /// memory.
    ///
    /// # Errors
    ///
    /// [`OpenError`].
    pub fn open(folder: Option<&Path>) -> Result<Self, OpenError> {
        match folder {
            // redb panics at some files that it has not written like this.
            Some(folder) => catch_unwind(|| Self::open_folder(folder, LOG_BYTES))
                .unwrap_or_else(|_| Err(OpenError::Damaged(folder.join(RECORDS_FILE)))),
            None => Self::open_memory(LOG_BYTES),
        }
    }

    pub(crate) fn open_memory(log_bytes: usize) -> Result<Self, OpenError> {
        let db = builder().create_with_backend(InMemoryBackend::new());
        let db = db.map_err(redb::Error::from)?;
        commit(&db, 0, iter::empty())?;
        let logs = Logs::Memory {
            n_bytes: 0,
            max: log_bytes,
        };
        Ok(Self::new(db, None, logs, 0)?)
    }

    fn open_folder(folder: &Path, log_bytes: usize) -> Result<Self, OpenError> {
        fs::create_dir_all(folder).map_err(|source| OpenError::io(folder, source))?;
        let records_file = folder.join(RECORDS_FILE);
        let has_records = fs::metadata(&records_file).is_ok_and(|file| file.len() > 0);
        if !has_records && LOG_FILES.iter().any(|name| folder.join(name).exists()) {
            return Err(OpenError::MissingRecords(records_file));
        }
        let db = builder().create(records_file);
        let db = db.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(folder.to_owned()),
            error => OpenError::Database(error.into()),
        })?;
        let meta = read_meta(&db)?;
        let Some(log_id) = meta.log_id else {
            let io_error = |source| OpenError::io(folder, source);
            let log_id = getrandom::u64().map_err(|error| io_error(error.into()))?;
            let create = |name| {
                let path = folder.join(name);
                let log = Log::create(&path, log_id, log_bytes);
                log.map_err(|source| OpenError::io(&path, source))
            };
            let [first, second] = LOG_FILES.map(create);
            let logs = Logs::Files([first?, second?]);
            sync_folder(folder).map_err(io_error)?;
            begin(&db, log_id)?;
            return Ok(Self::new(db, Some(folder), logs, 0)?);
        };
        let open = |name| {
            let path = folder.join(name);
            let log = Log::open(&path, log_id, meta.n_commits);
            let log = log.map_err(|source| OpenError::io(&path, source))?;
            log.ok_or(OpenError::ForeignLog(path))
        };
        let [first, second] = LOG_FILES.map(open);
        let ((first, mut groups), (second, others)) = (first?, second?);
        if first.size() != second.size() {
            return Err(OpenError::ShortLog(folder.to_owned()));
        }
        groups.extend(others);
        groups.sort_unstable_by_key(|(number, _)| *number);
        let mut n_commits = meta.n_commits;
        let mut replayed = Writes::new();
        for (number, writes) in groups {
            // The logs may begin with commits that the B-tree contains.
            if number > n_commits + 1 {
                return Err(OpenError::ForeignLog(folder.to_owned()));
            } else if number == n_commits + 1 {
                n_commits = number;
                replayed.extend(writes);
            }
        }
        if n_commits > meta.n_commits {
            commit(&db, n_commits, &replayed)?;
        }
        let logs = Logs::Files([first, second]);
        Ok(Self::new(db, Some(folder), logs, n_commits)?)
    }

    fn new(
        db: Database,
        folder: Option<&Path>,
        logs: Logs,
        n_commits: u64,
    ) -> Result<Self, redb::Error> {
        let snapshot = Snapshot {
            n_commits,
            recent: Arc::default(),
            flushing: Arc::default(),
            records: records(&db)?,
        };
        let current = Mutex::new(snapshot);
        Ok(Self {
            shared: Arc::new(Shared { db, current }),
            folder: folder.map(Path::to_owned),
            writer: Mutex::new(Writer {
                logs,
                n_commits,
                has_failed: false,
                flush: None,
            }),
        })
    }

    /// The bytes of its files. 0: it is in memory.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn n_bytes(&self) -> Result<u64, StoreError> {
        let Some(folder) = &self.folder else {
            return Ok(0);
        };
        let mut n_bytes = 0;
        for name in [RECORDS_FILE].iter().chain(&LOG_FILES) {
            n_bytes += fs::metadata(folder.join(name))?.len();
        }
        Ok(n_bytes)
    }

    /// The records as of the last commit that has returned.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.current.lock().clone()
    }

    /// Writes all of `writes` or nothing. When it returns, they are on the disk and in new
    /// snapshots. It waits for the disk, so a task calls it in `spawn_blocking`. Returns the time
    /// of the append to the log and its sync, if there was one.
    ///
    /// # Errors
    ///
    /// [`StoreError`]. Later commits fail then, too: whether this one has happened is known when
    /// the store is opened again.
    pub fn commit(&self, writes: &Writes) -> Result<Option<Duration>, StoreError> {
        let mut writer = self.writer.lock();
        if writer.has_failed {
            return Err(StoreError::Failed);
        }
        writer.has_failed = true; // until this commit has succeeded
        let number = writer.n_commits + 1;
        let mut begun = Instant::now();
        let mut is_logged = writer.logs.append(number, writes)?;
        if !is_logged {
            self.begin_flush(&mut writer)?;
            begun = Instant::now();
            is_logged = writer.logs.append(number, writes)?;
        }
        let synced = (is_logged && self.folder.is_some()).then(|| begun.elapsed());
        if is_logged {
            let recent = Arc::clone(&self.shared.current.lock().recent);
            recent.insert(number, writes);
        } else {
            // It is larger than a log.
            writer.end_flush()?;
            self.shared.flush(number, writes)?;
        }
        self.shared.current.lock().n_commits = number;
        writer.n_commits = number;
        writer.has_failed = false;
        Ok(synced)
    }

    /// Whether it takes no more commits, because one has failed.
    pub(crate) fn has_failed(&self) -> bool {
        let writer = self.writer.try_lock();
        writer.is_some_and(|writer| writer.has_failed) // locked: a commit goes on
    }

    /// Takes no more commits, as after one that has failed.
    #[cfg(test)]
    pub(crate) fn fail(&self) {
        self.writer.lock().has_failed = true;
    }

    /// Lets commits begin with an empty log, while a thread flushes those before.
    fn begin_flush(&self, writer: &mut Writer) -> Result<(), StoreError> {
        writer.end_flush()?; // whose log is free now
        writer.logs.restart();
        let writes = {
            let mut current = self.shared.current.lock();
            current.flushing = mem::take(&mut current.recent);
            Arc::clone(&current.flushing)
        };
        let (shared, number) = (Arc::clone(&self.shared), writer.n_commits);
        let flush = move || writes.read_last(|writes| shared.flush(number, writes));
        writer.flush = Some(thread::Builder::new().name("flush".into()).spawn(flush)?);
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What fails to be flushed is in the log.
        let _ = self.writer.get_mut().end_flush();
    }
}

impl Shared {
    /// Writes to the B-tree, which then has all commits up to that number.
    fn flush<'w>(
        &self,
        number: u64,
        writes: impl IntoIterator<Item = (&'w Bytes, &'w Option<Bytes>)>,
    ) -> Result<(), StoreError> {
        commit(&self.db, number, writes)?;
        let records = records(&self.db)?;
        let mut current = self.current.lock();
        current.records = records;
        current.flushing = Arc::default();
        Ok(())
    }
}

impl Writer {
    /// Waits for the flush, if there is one.
    fn end_flush(&mut self) -> Result<(), StoreError> {
        let Some(flush) = self.flush.take() else {
            return Ok(());
        };
        flush.join().unwrap_or(Err(StoreError::Failed))
    }
}

impl Logs {
    /// `false`, and nothing is written, if there is no room.
    fn append(&mut self, number: u64, writes: &Writes) -> io::Result<bool> {
        match self {
            Self::Files([log, _]) => log.append(number, writes),
            Self::Memory { n_bytes, max } => {
                *n_bytes += log::n_bytes(writes);
                Ok(n_bytes <= max)
            }
        }
    }

    /// Begins with the other log.
    fn restart(&mut self) {
        match self {
            Self::Files(logs) => {
                logs.swap(0, 1);
                logs[0].restart();
            }
            Self::Memory { n_bytes, .. } => *n_bytes = 0,
        }
    }
}

impl Snapshot {
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if let Some(value) = [&self.recent, &self.flushing]
            .iter()
            .find_map(|recent| recent.get(key, self.n_commits))
        {
            return Ok(value);
        }
        let value = self.records.get(key).map_err(redb::Error::from)?;
        Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
    }

    /// The records of a query. They are read as the iterator goes on. After an error it ends.
    #[must_use]
    pub fn scan<'a>(&'a self, query: Query<'a>) -> Scan<'a> {
        Scan::new(self.layers(query), query.order)
    }

    /// The parts of a scan, the newest first.
    pub(crate) fn layers<'a>(&'a self, query: Query<'a>) -> impl Iterator<Item = Layer<'a>> {
        let recent = [&self.recent, &self.flushing].into_iter();
        let recent = recent
            .filter(|recent| !recent.is_empty())
            .map(move |recent| {
                let entries = recent.range(query, self.n_commits);
                Box::new(entries.map(Ok)) as Layer<'a>
            });
        recent.chain([self.stored(query)])
    }

    fn stored<'a>(&'a self, query: Query<'a>) -> Layer<'a> {
        let range = match self.records.range::<&[u8]>(query.bounds()) {
            Ok(range) => range,
            Err(error) => return Box::new(iter::once(Err(redb::Error::from(error).into()))),
        };
        let records = range.map(move |record| {
            let (key, value) = record.map_err(redb::Error::from)?;
            let value = match query.keys_only {
                true => Bytes::new(),
                false => Bytes::copy_from_slice(value.value()),
            };
            Ok((Bytes::copy_from_slice(key.value()), Some(value)))
        });
        scan::in_order(records, query.order)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl<'a> Query<'a> {
    /// All records of a range, in the order of their keys.
    #[must_use]
    pub const fn new(from: &'a [u8], to: Option<&'a [u8]>) -> Self {
        Self {
            from,
            to,
            order: Order::Ascending,
            keys_only: false,
        }
    }

    /// A range for a map. Empty if `to` is below `from`, which a map would panic at.
    pub(crate) fn bounds(&self) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
        let to = self.to.map(|to| to.max(self.from));
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        (Bound::Included(self.from), to)
    }

    /// What is read of a value.
    pub(crate) fn value(&self, value: Option<&Bytes>) -> Option<Bytes> {
        match self.keys_only {
            true => value.map(|_| Bytes::new()),
            false => value.cloned(),
        }
    }
}

impl OpenError {
    fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io { path, source }
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

struct Meta {
    log_id: Option<u64>,
    n_commits: u64,
}

fn read_meta(db: &Database) -> Result<Meta, redb::Error> {
    let txn = db.begin_write()?; // which creates the table in a new file
    let meta = txn.open_table(META)?;
    let number = |name| Ok::<_, redb::Error>(meta.get(name)?.map(|number| number.value()));
    Ok(Meta {
        log_id: number(LOG_ID)?,
        n_commits: number(N_COMMITS)?.unwrap_or(0),
    })
}

/// The first commit of a store on disk. Until it has happened, the log in the folder counts for
/// nothing.
fn begin(db: &Database, log_id: u64) -> Result<(), redb::Error> {
    let mut txn = db.begin_write()?;
    txn.set_quick_repair(true);
    txn.open_table(META)?.insert(LOG_ID, log_id)?;
    apply(&txn, 0, iter::empty())?;
    Ok(txn.commit()?)
}

/// Writes to the B-tree and waits for the disk.
fn commit<'w>(
    db: &Database,
    number: u64,
    writes: impl IntoIterator<Item = (&'w Bytes, &'w Option<Bytes>)>,
) -> Result<(), redb::Error> {
    let mut txn = db.begin_write()?;
    // Without this, opening it after a crash would read all of it.
    txn.set_quick_repair(true);
    apply(&txn, number, writes)?;
    Ok(txn.commit()?)
}

/// The writes are in the order of their keys.
fn apply<'w>(
    txn: &WriteTransaction,
    number: u64,
    writes: impl IntoIterator<Item = (&'w Bytes, &'w Option<Bytes>)>,
) -> Result<(), redb::Error> {
    txn.open_table(META)?.insert(N_COMMITS, number)?;
    let mut records = txn.open_table(RECORDS)?;
    let last = records.last()?.map(|(key, _)| key.value().to_vec());
    let mut writes = writes.into_iter().peekable();
    while let Some((key, value)) = writes.next_if(|(key, _)| Some(&key[..]) <= last.as_deref()) {
        match value {
            Some(value) => records.insert(&key[..], &value[..])?,
            None => records.remove(&key[..])?,
        };
    }
    // What comes after the last record, as every new revision does, needs no search.
    let mut end = records.upper_bound_mut(Bound::<&[u8]>::Unbounded)?;
    for (key, value) in writes {
        if let Some(value) = value {
            end.insert_before(&key[..], &value[..])?;
        }
    }
    Ok(end.close()?)
}

fn records(db: &Database) -> Result<Arc<Records>, redb::Error> {
    Ok(Arc::new(db.begin_read()?.open_table(RECORDS)?))
}

/// A new file survives a power loss when its folder is synced, too.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => fs::File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}
