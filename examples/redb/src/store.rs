//! The store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{self, Stream};
use rangewatch_bus::{Emitter, History, RangeWatchBus, Selectors};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::Error;

/// What a transaction does to a key: `Some` sets its value, `None` deletes it. This is also the
/// payload of the key on the bus.
pub type Value = Option<Arc<str>>;

/// The changes of a transaction, by key.
pub type Changes = BTreeMap<Vec<u8>, Value>;

/// Each key with its value and the revision that set it.
const ENTRIES: TableDefinition<'_, &[u8], (u64, &str)> = TableDefinition::new("entries");

/// The changes of the latest revisions, each with the revision in front of the key. What the bus
/// retains in memory is retained here for a restart.
const LOG: TableDefinition<'_, (u64, &[u8]), Option<&str>> = TableDefinition::new("log");

/// An ordered store on disk. Each transaction takes the next revision, commits, and is then emitted
/// with this revision as the value.
///
/// A crash between the two loses nothing: the transaction is in the log, and [`open`](Self::open)
/// emits the log.
#[derive(Debug)]
pub struct Store {
    db: Database,
    /// Locked from before a commit until after its emit, so that revisions are emitted in order.
    emitter: Mutex<Emitter<Value>>,
    n_logged: usize,
}

impl Store {
    /// Opens the store, which logs the latest `n_logged` revisions. Returns it and a bus whose
    /// history is the log: consumers resume on it with `since_after(checkpoint)`, as if there had
    /// been no restart.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Build`] if `n_logged` is 0.
    pub fn open(path: &Path, n_logged: usize) -> Result<(Self, RangeWatchBus<Value>), Error> {
        let db = Database::create(path).map_err(redb::Error::from)?;
        let log = read_log(&db)?;
        let bus = RangeWatchBus::builder()
            .name("store")
            .payloads::<Value>()
            .payload_bytes(|value| value.as_ref().map_or(0, |text| text.len()))
            .history(History::events(n_logged))
            // The revision before the log: everything above it is emitted again.
            .head(log.keys().next().map_or(0, |first| first - 1))
            .build()?;
        bus.emit_many_with(log)?;
        let emitter = Mutex::new(bus.emitter());
        let store = Self {
            db,
            emitter,
            n_logged,
        };
        Ok((store, bus))
    }

    /// Commits `changes`, then emits them. Returns their revision. This waits for the disk, so a
    /// task calls it in `block_in_place` or `spawn_blocking`. The emit waits for nobody.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the transaction was not committed, [`Error::Emit`] if it was, and the
    /// bus is closed.
    pub fn write(&self, changes: Changes) -> Result<u64, Error> {
        // After a panic of another writer there is nothing to repair: its transaction is either
        // committed, and in the log, or it is not.
        let emitter = self.emitter.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = self.commit(&changes)?;
        emitter.emit_with(revision, changes)?;
        Ok(revision)
    }

    fn commit(&self, changes: &Changes) -> Result<u64, redb::Error> {
        let txn = self.db.begin_write()?;
        let mut entries = txn.open_table(ENTRIES)?;
        let mut log = txn.open_table(LOG)?;
        let revision = last_revision(&log)? + 1;
        for (key, value) in changes {
            log.insert((revision, &key[..]), value.as_deref())?;
            match value {
                Some(value) => entries.insert(&key[..], (revision, &value[..]))?,
                None => entries.remove(&key[..])?,
            };
        }
        let n_logged = u64::try_from(self.n_logged).unwrap_or(u64::MAX);
        let first_logged = (revision + 1).saturating_sub(n_logged);
        log.retain_in(..(first_logged, &[][..]), |_, _| false)?;
        drop((entries, log));
        txn.commit()?; // durable from here on: redb waits for the disk
        Ok(revision)
    }

    /// A scan for `follow` and `mirror`: a revision, and the selected keys with the revision and
    /// the value of each, all as of this revision. It is read as it is polled, from a read
    /// transaction, which writers do not wait for.
    ///
    /// # Errors
    ///
    /// Those of the database.
    #[expect(
        clippy::type_complexity,
        reason = "the form that `follow` and `mirror` take"
    )]
    pub fn scan(
        &self,
        selectors: &Selectors,
    ) -> Result<
        (
            u64,
            impl Stream<Item = Result<(Vec<u8>, u64, Arc<str>), redb::Error>> + Send + use<>,
        ),
        redb::Error,
    > {
        let txn = self.db.begin_read()?;
        let revision = last_revision(&txn.open_table(LOG)?)?;
        let entries = txn.open_table(ENTRIES)?;
        let mut ranges = Vec::new();
        for range in selectors.ranges() {
            ranges.push(entries.range::<&[u8]>(range.bounds())?);
        }
        let entries = ranges.into_iter().flatten().map(|entry| {
            let (key, value) = entry?;
            let (changed, text) = value.value();
            Ok((key.value().to_vec(), changed, Arc::from(text)))
        });
        Ok((revision, stream::iter(entries)))
    }
}

/// The log, which is never empty once something was written, has the last revision.
fn last_revision(
    log: &impl ReadableTable<(u64, &'static [u8]), Option<&'static str>>,
) -> Result<u64, redb::Error> {
    Ok(log.last()?.map_or(0, |(key, _)| key.value().0))
}

fn read_log(db: &Database) -> Result<BTreeMap<u64, Changes>, redb::Error> {
    let mut revisions = BTreeMap::<u64, Changes>::new();
    let txn = db.begin_write()?; // to make the tables of a new file
    txn.open_table(ENTRIES)?;
    for row in txn.open_table(LOG)?.iter()? {
        let (key, value) = row?;
        let (revision, key) = key.value();
        let changes = revisions.entry(revision).or_default();
        changes.insert(key.to_vec(), value.value().map(Arc::from));
    }
    txn.commit()?;
    Ok(revisions)
}
