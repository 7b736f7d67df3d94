//! The module `kv`: an ordered store with nested transactions.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;
use rangewatch::{Buffer, Field, HostCx, HostError, HostModule, Staged};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The export of the guest that returns the address of its meta page, and the slots of that.
const PAGE: &str = "__kv";
const KEY: Buffer = Buffer::new(0, 1, 2);
const VALUE: Buffer = Buffer::new(3, 4, 5);
const REVISION: Field<u64> = Field::new(6);
const FOUND: Field<u32> = Field::new(7);
const N_SLOTS: usize = 8;

/// Bytes that the transactions of a call may write, with [`ENTRY_BYTES`] for each entry. A guest
/// could otherwise take all memory of the host, and a lookup among so many deleted keys would hold
/// the thread.
const MAX_BYTES: usize = 256 << 10;
const ENTRY_BYTES: usize = 64;

/// Transactions that may be nested. A lookup searches each of them.
const MAX_DEPTH: usize = 16;

/// A store in memory. Clones are handles of the same store.
///
/// One call at a time writes; calls that only read see the last commit.
#[derive(Clone, Debug, Default)]
pub struct Kv {
    store: Arc<RwLock<Store>>,
    writer: Arc<Mutex<()>>,
}

#[derive(Debug, Default)]
struct Store {
    revision: u64,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// A key and its value.
type Entry = (Vec<u8>, Vec<u8>);

/// New values, and `None` for a key that was deleted.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What the call that runs has changed: data of its instance. A call that traps or is dropped loses
/// the instance and with it this, so that its changes are undone and the next writer continues.
#[derive(Default)]
struct Transaction {
    /// From the first transaction of a call to the end of the call.
    writer: Option<OwnedMutexGuard<()>>,
    /// First what the call has committed, then the changes of each open transaction, the innermost
    /// last. Empty in a call that only reads.
    layers: Vec<Changes>,
    n_bytes: usize,
}

impl Kv {
    /// The functions for guests.
    pub fn module(&self) -> HostModule {
        let (of_begin, of_next, of_revision) = (self.clone(), self.clone(), self.clone());
        HostModule::new("kv")
            .meta_page(PAGE, N_SLOTS)
            .instance_data(Transaction::default)
            .function_async_cx("begin", move |cx, ()| {
                let kv = of_begin.clone();
                Box::pin(async move { kv.begin(cx).await })
            })
            .function("commit", |cx, ()| {
                let committed = cx.data::<Transaction>()?.pop()?;
                // What the guest makes the host do is fuel of the guest.
                cx.charge(committed.len() as u64)?;
                cx.data::<Transaction>()?.innermost()?.extend(committed);
                Ok(())
            })
            .function("abort", |cx, ()| {
                cx.data::<Transaction>()?.pop()?;
                Ok(())
            })
            .function("put", |cx, ()| {
                let page = cx.meta_page(PAGE)?;
                let key = cx.read_buffer(&page, KEY)?.to_vec();
                let value = cx.read_buffer(&page, VALUE)?.to_vec();
                cx.data::<Transaction>()?.change(key, Some(value))
            })
            .function("delete", {
                let kv = self.clone();
                move |cx, ()| {
                    let page = cx.meta_page(PAGE)?;
                    let key = cx.read_buffer(&page, KEY)?.to_vec();
                    let next = kv.next(cx, &key)?;
                    let is_there = next.is_some_and(|(found, _)| found == key);
                    if is_there {
                        cx.data::<Transaction>()?.change(key, None)?;
                    }
                    Ok(page.set(cx.memory(), FOUND, u32::from(is_there))?)
                }
            })
            .function("next", move |cx, ()| {
                let page = cx.meta_page(PAGE)?;
                let from = cx.read_buffer(&page, KEY)?.to_vec();
                let next = of_next.next(cx, &from)?;
                page.set(cx.memory(), FOUND, u32::from(next.is_some()))?;
                if let Some((key, value)) = next {
                    cx.write_buffer(&page, KEY, &key)?;
                    cx.write_buffer(&page, VALUE, &value)?;
                }
                Ok(())
            })
            .function("revision", move |cx, ()| {
                let page = cx.meta_page(PAGE)?;
                Ok(page.set(cx.memory(), REVISION, of_revision.revision())?)
            })
            // The hook below has taken it, unless it did not run: a callback reported an error.
            .on_call_end(|end| {
                if let Ok(transaction) = end.data() {
                    *transaction = Transaction::default();
                }
            })
    }

    /// Begins a transaction. The first of a call waits until no other call writes; meanwhile the
    /// guest is suspended and blocks no thread.
    async fn begin(self, cx: &mut dyn HostCx) -> Result<(), HostError> {
        if cx.data::<Transaction>()?.layers.is_empty() {
            let writer = self.writer.clone().lock_owned().await;
            let transaction = cx.data::<Transaction>()?;
            transaction.writer = Some(writer);
            transaction.layers.push(Changes::new());
        }
        let transaction = cx.data::<Transaction>()?;
        if transaction.layers.len() > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} transactions are nested").into());
        }
        transaction.layers.push(Changes::new());
        let page = cx.meta_page(PAGE)?;
        Ok(page.set(cx.memory(), REVISION, self.revision() + 1)?)
    }

    /// The first key from `from` on, with its value, as the transaction of the call sees it.
    fn next(&self, cx: &mut dyn HostCx, from: &[u8]) -> Result<Option<Entry>, HostError> {
        let (n_steps, next) = cx.data::<Transaction>()?.next(&self.store.read(), from);
        cx.charge(n_steps)?;
        Ok(next)
    }

    /// Commits what a call has changed, and publishes what it has emitted, with a payload for each
    /// key that is made of the new value: for the commit hook. Both happen, or none.
    ///
    /// # Errors
    ///
    /// A transaction is open; the emits are not those of the changed keys, with the revision of the
    /// commit as their value; the bus refuses them.
    pub fn commit<P: Send + Sync + 'static>(
        &self,
        cx: &mut dyn HostCx,
        staged: Staged<P>,
        payload: impl Fn(Option<&[u8]>) -> P,
    ) -> Result<(), HostError> {
        // The other writers wait until this is dropped.
        let mut transaction = cx.take_data::<Transaction>()?;
        if transaction.layers.len() > 1 {
            return Err("the call returned inside a transaction".into());
        }
        let changes = transaction.layers.pop().unwrap_or_default();
        // Locked until both are done: who reads after an event finds its change.
        let mut store = self.store.write();
        let revision = store.revision + u64::from(!changes.is_empty());
        for (value, mut keys) in staged.emits() {
            if value != revision || !keys.all(|key| changes.contains_key(key)) {
                return Err("the call has emitted what it has not changed".into());
            }
        }
        staged
            .publish_with(|_, key| payload(changes.get(key).and_then(Option::as_deref)))
            .map_err(|(_, refused)| refused)?;
        store.revision = revision;
        for (key, value) in changes {
            match value {
                Some(value) => store.entries.insert(key, value),
                None => store.entries.remove(&key),
            };
        }
        Ok(())
    }

    /// The revision of the last commit, 0 at first.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.store.read().revision
    }

    /// The committed value of a key.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.store.read().entries.get(key.as_ref()).cloned()
    }
}

impl Transaction {
    /// The changes of the innermost open transaction, which ends.
    fn pop(&mut self) -> Result<Changes, HostError> {
        let is_open = self.layers.len() > 1;
        let changes = is_open.then(|| self.layers.pop()).flatten();
        changes.ok_or_else(|| NOT_OPEN.into())
    }

    fn innermost(&mut self) -> Result<&mut Changes, HostError> {
        self.layers.last_mut().ok_or_else(|| NOT_OPEN.into())
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), HostError> {
        if self.layers.len() < 2 {
            return Err(NOT_OPEN.into());
        }
        self.n_bytes += ENTRY_BYTES + key.len() + value.as_ref().map_or(0, Vec::len);
        if self.n_bytes > MAX_BYTES {
            return Err(format!("the call writes more than {MAX_BYTES} bytes").into());
        }
        self.innermost()?.insert(key, value);
        Ok(())
    }

    /// The first entry from a key on, and the number of steps that finding it has taken.
    fn next(&self, store: &Store, from: &[u8]) -> (u64, Option<Entry>) {
        let mut range = (Bound::Included(from), Bound::Unbounded);
        let mut n_steps = 0;
        loop {
            n_steps += 1 + self.layers.len() as u64;
            let stored = store.entries.range::<[u8], _>(range).next();
            let mut first = stored.map(|(key, value)| (key, Some(value)));
            for layer in &self.layers {
                let changed = layer.range::<[u8], _>(range).next();
                // Of equal keys the innermost counts.
                if let Some((key, value)) = changed
                    && first.is_none_or(|(least, _)| key <= least)
                {
                    first = Some((key, value.as_ref()));
                }
            }
            match first {
                Some((deleted, None)) => range.0 = Bound::Excluded(deleted),
                Some((key, Some(value))) => return (n_steps, Some((key.clone(), value.clone()))),
                None => return (n_steps, None),
            }
        }
    }
}

const NOT_OPEN: &str = "no transaction is open";
