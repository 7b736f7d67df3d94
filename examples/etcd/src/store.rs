//! The embedded store: ordered records, snapshots and one atomic, durable commit per group.
//!
//! Two files, as in etcd. `store.redb` has the records in a B-tree. A durable commit of a B-tree
//! writes every page that it touches, so a commit goes into `store.log` first, with one append and
//! one sync, and then into the B-tree without waiting for the disk. A commit for which the log has
//! no room is a checkpoint instead: a durable commit of the B-tree, after which the log restarts.
//! [`Store::open`] replays what the log has after the last checkpoint.

mod log;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, fs, io, iter};

use parking_lot::Mutex;
use redb::backends::InMemoryBackend;
use redb::{
    Builder, Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable,
    TableDefinition, WriteTransaction,
};

use self::log::Log;

/// What a group of calls changes, by key: `Some` sets the value of the key, `None` deletes it.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A record: its key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

const RECORDS_FILE: &str = "store.redb";
const LOG_FILE: &str = "store.log";

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// The numbers of the store itself: [`LOG_ID`] and [`N_COMMITS`].
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The log that belongs to the store. A random number that no client knows.
const LOG_ID: &str = "log id";

/// The commits that the records contain.
const N_COMMITS: &str = "commits";

/// Bytes of a new log. A larger one has fewer checkpoints, and each takes longer.
const LOG_BYTES: usize = 16 << 20;

/// Memory for pages of the B-tree. The default of redb, 1 GiB, is more than the rest of the server
/// uses.
const CACHE_BYTES: usize = 256 << 20;

/// The store. Any number of threads read it while one commits.
#[derive(Debug)]
pub struct Store {
    db: Database,
    /// `None`: the store is in memory.
    folder: Option<PathBuf>,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    /// `None`: the store is in memory.
    log: Option<Log>,
    n_commits: u64,
    /// A commit has failed or panicked, so that the log and the B-tree may differ.
    has_failed: bool,
}

/// The records as of one commit. Cheap to clone; commits do not wait for it. The space of the
/// records that were replaced since is free again when the last clone is dropped. Reads fail once
/// the [`Store`] is dropped.
#[derive(Clone)]
pub struct Snapshot(Arc<ReadOnlyTable<&'static [u8], &'static [u8]>>);

/// The order of a scan by key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Order {
    /// From the first key to the last.
    Ascending,
    /// From the last key to the first.
    Descending,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the store open, or another `Store` of this one.
    #[error("{} is in use: stop the other server, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// The folder or the log in it cannot be created or read.
    #[error("{} cannot be opened: {source}", .path.display())]
    Io {
        /// The folder or the file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The log is of another store, or of another time of this one.
    #[error("{} does not belong to this store: put back the log of the same backup", .0.display())]
    ForeignLog(PathBuf),
    /// The B-tree cannot be read.
    #[error("the store cannot be read, restore it from a backup: {0}")]
    Database(#[from] redb::Error),
}

/// Why a read or a commit has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The B-tree. A later read may succeed; a later commit will not.
    #[error("the store failed, check the disk and restart the server: {0}")]
    Database(#[from] redb::Error),
    /// The log. Whether the commit has happened is known after a restart.
    #[error("a file of the store failed, check the disk and restart the server: {0}")]
    Io(#[from] io::Error),
    /// An earlier commit has failed.
    #[error("an earlier commit failed: restart the server to write again")]
    Failed,
    /// The task that committed has panicked.
    #[error("the commit did not end, restart the server: {0}")]
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
        if let Some(folder) = folder {
            return Self::open_folder(folder, LOG_BYTES);
        }
        let db = builder().create_with_backend(InMemoryBackend::new());
        let db = db.map_err(redb::Error::from)?;
        commit(&db, Durability::Immediate, 0, &Writes::new())?;
        Ok(Self::new(db, None, None, 0))
    }

    fn open_folder(folder: &Path, log_bytes: usize) -> Result<Self, OpenError> {
        fs::create_dir_all(folder).map_err(|source| OpenError::io(folder, source))?;
        let db = builder().create(folder.join(RECORDS_FILE));
        let db = db.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse(folder.to_owned()),
            error => OpenError::Database(error.into()),
        })?;
        let path = folder.join(LOG_FILE);
        let log_error = |source| OpenError::io(&path, source);
        let meta = read_meta(&db)?;
        let Some(log_id) = meta.log_id else {
            let log_id = getrandom::u64().map_err(|error| log_error(error.into()))?;
            let log = Log::create(&path, log_id, log_bytes).map_err(log_error)?;
            sync_folder(folder).map_err(|source| OpenError::io(folder, source))?;
            begin(&db, log_id)?;
            return Ok(Self::new(db, Some(folder), Some(log), 0));
        };
        let log = Log::open(&path, log_id).map_err(log_error)?;
        let Some((log, groups)) = log else {
            return Err(OpenError::ForeignLog(path));
        };
        let mut n_commits = meta.n_commits;
        let mut replayed = Writes::new();
        for (number, writes) in groups {
            // The log may begin with commits that the B-tree contains.
            if number > n_commits + 1 {
                return Err(OpenError::ForeignLog(path));
            } else if number == n_commits + 1 {
                n_commits = number;
                replayed.extend(writes);
            }
        }
        if n_commits > meta.n_commits {
            commit(&db, Durability::Immediate, n_commits, &replayed)?;
        }
        Ok(Self::new(db, Some(folder), Some(log), n_commits))
    }

    fn new(db: Database, folder: Option<&Path>, log: Option<Log>, n_commits: u64) -> Self {
        let folder = folder.map(Path::to_owned);
        let writer = Mutex::new(Writer {
            log,
            n_commits,
            has_failed: false,
        });
        Self { db, folder, writer }
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
        let [records, log] = [RECORDS_FILE, LOG_FILE].map(|name| fs::metadata(folder.join(name)));
        Ok(records?.len() + log?.len())
    }

    /// The records as of the last commit that has returned.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let txn = self.db.begin_read().map_err(redb::Error::from)?;
        let records = txn.open_table(RECORDS).map_err(redb::Error::from)?;
        Ok(Snapshot(Arc::new(records)))
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
        let begun = Instant::now();
        let is_logged = match &mut writer.log {
            Some(log) => log.append(number, writes)?,
            None => false,
        };
        let synced = is_logged.then(|| begun.elapsed());
        let durability = match is_logged {
            true => Durability::None,
            false => Durability::Immediate,
        };
        commit(&self.db, durability, number, writes)?;
        match &mut writer.log {
            Some(log) if !is_logged => log.restart(),
            _ => {}
        }
        writer.n_commits = number;
        writer.has_failed = false;
        Ok(synced)
    }
}

impl Snapshot {
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.0.get(key).map_err(redb::Error::from)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// The records with keys from `from` up to and without `to`, or to the end. They are read as
    /// the iterator goes on. After an error it ends.
    pub fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        order: Order,
    ) -> Box<dyn Iterator<Item = Result<Record, StoreError>> + Send> {
        let range = match self.0.range::<&[u8]>(bounds(from, to)) {
            Ok(range) => range,
            Err(error) => return Box::new(iter::once(Err(redb::Error::from(error).into()))),
        };
        let records = range.map(|record| {
            let (key, value) = record.map_err(redb::Error::from)?;
            Ok((key.value().to_vec(), value.value().to_vec()))
        });
        match order {
            Order::Ascending => Box::new(records),
            Order::Descending => Box::new(records.rev()),
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}

impl OpenError {
    fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io { path, source }
    }
}

/// A range for a scan. Empty if `to` is below `from`, which a map would panic at.
pub(crate) fn bounds<'a>(
    from: &'a [u8],
    to: Option<&'a [u8]>,
) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    let to = to.map_or(Bound::Unbounded, |to| Bound::Excluded(to.max(from)));
    (Bound::Included(from), to)
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
    apply(&txn, 0, &Writes::new())?;
    Ok(txn.commit()?)
}

fn commit(
    db: &Database,
    durability: Durability,
    number: u64,
    writes: &Writes,
) -> Result<(), redb::Error> {
    let mut txn = db.begin_write()?;
    txn.set_durability(durability)?;
    // After a crash the B-tree is that of the last durable commit. Without this, opening it would
    // read all of it.
    txn.set_quick_repair(matches!(durability, Durability::Immediate));
    apply(&txn, number, writes)?;
    Ok(txn.commit()?)
}

fn apply(txn: &WriteTransaction, number: u64, writes: &Writes) -> Result<(), redb::Error> {
    txn.open_table(META)?.insert(N_COMMITS, number)?;
    let mut records = txn.open_table(RECORDS)?;
    for (key, value) in writes {
        match value {
            Some(value) => records.insert(&key[..], &value[..])?,
            None => records.remove(&key[..])?,
        };
    }
    Ok(())
}

/// A new file survives a power loss when its folder is synced, too.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => fs::File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}
