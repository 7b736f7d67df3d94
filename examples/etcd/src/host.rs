//! The module `store`: the functions by which the guest reads and writes.

use bytes::Bytes;
use rangewatch::{EmitError, HostCx, HostError, HostModule, Staged};
use tokio::sync::oneshot;

use crate::store::{Order, Query, Writes, take_write};
use crate::view::View;

/// Bytes that one call may write. The records of a deletion have the key four times, and a call
/// emits at most 256 MiB of keys.
const MAX_WRITTEN: usize = 1 << 30;

/// Flags of a scan: in reverse order; with empty values.
const REVERSE: u32 = 1;
const KEYS_ONLY: u32 = 2;

/// In the result of a scan, beside the number of bytes: the range has no more entries.
const IS_LAST: i64 = 1 << 32;

/// Bytes before the key of an entry that a scan writes: two lengths.
const ENTRY_HEADER_BYTES: usize = 8;

/// Fuel of an entry that a scan reads. Deleted ones count, which the guest does not see: a request
/// with many comparisons could otherwise pass over all of them again and again, and others wait.
const ENTRY_FUEL: u64 = 128;

/// The context of a call of the guest.
pub(crate) struct Call {
    view: View,
    n_written: usize,
    /// Takes what the call has written, once it has succeeded. `None`: it may only read.
    done: Option<oneshot::Sender<Written>>,
}

/// What the bus carries with a key: the event that the guest has recorded, an encoded `Event` of
/// `kv.proto`. `None`: it has recorded none.
pub type Recorded = Option<Bytes>;

/// What a call has written.
pub(crate) struct Written {
    pub(crate) writes: Writes,
    pub(crate) emits: Emits,
    /// Of keys and values, those of a key that was written twice counted twice.
    pub(crate) n_bytes: usize,
}

/// What a call has emitted.
pub(crate) struct Emits {
    staged: Staged<Recorded>,
    /// The events of the keys, in their order.
    events: Vec<Bytes>,
}

impl Emits {
    pub(crate) fn publish(self) -> Result<(), EmitError> {
        let mut events = self.events.into_iter();
        let published = self.staged.publish_with(|_revision, _key| events.next());
        published.map(drop).map_err(|(_, error)| error)
    }
}

/// The events in what a call or a group has written: `guest/src/records.rs` has the records.
pub(crate) fn events(writes: &Writes) -> impl Iterator<Item = &Bytes> {
    let records = writes.range::<[u8], _>(Query::new(b"r", Some(b"s")).bounds());
    records.filter_map(|(_, record)| record.as_ref())
}

impl Call {
    /// A call that only reads.
    pub(crate) fn reading(view: View) -> Self {
        Self {
            view,
            n_written: 0,
            done: None,
        }
    }

    /// A call that may write.
    pub(crate) fn writing(view: View) -> (Self, oneshot::Receiver<Written>) {
        let (done, written) = oneshot::channel();
        let call = Self {
            done: Some(done),
            ..Self::reading(view)
        };
        (call, written)
    }

    /// Ends a call that has succeeded: for the commit hook.
    pub(crate) fn end(self, staged: Staged<Recorded>) -> Result<(), HostError> {
        let Some(done) = self.done else {
            return match staged.n_emits() {
                0 => Ok(()),
                _ => Err("a call that only reads has emitted".into()),
            };
        };
        // The writer waits for it unless it was dropped, and then nothing is written.
        let writes = self.view.into_writes();
        // Copied, so that an event that the bus keeps does not keep what was written beside it.
        let events = events(&writes).map(|event| Bytes::copy_from_slice(event));
        let events = events.collect();
        let _ = done.send(Written {
            writes,
            emits: Emits { staged, events },
            n_bytes: self.n_written,
        });
        Ok(())
    }

    fn change(&mut self, key: Bytes, value: Option<Bytes>) -> Result<(), HostError> {
        if self.done.is_none() {
            return Err("the call may only read".into());
        }
        self.n_written += key.len() + value.as_ref().map_or(0, Bytes::len);
        if self.n_written > MAX_WRITTEN {
            return Err(format!("the call writes more than {MAX_WRITTEN} bytes").into());
        }
        match value {
            Some(value) => self.view.put(key, value),
            None => self.view.delete(key),
        }
        Ok(())
    }
}

/// The functions for the guest. Pointers and lengths are of its memory.
pub(crate) fn module() -> HostModule {
    HostModule::new("store")
        .function(
            "get",
            |cx, (key, key_len, out, out_cap): (u32, u32, u32, u32)| {
                let key = cx.read(key, key_len)?.to_vec();
                let value = cx.context::<Call>()?.view.get(&key)?;
                let Some(value) = value else { return Ok(-1) };
                cx.charge(value.len() as u64)?;
                if value.len() <= out_cap as usize {
                    cx.write(out, &value)?;
                }
                Ok(i32::try_from(value.len())?)
            },
        )
        .function("scan", scan)
        .function("write", |cx, (writes, n_bytes): (u32, u32)| {
            let mut writes = Bytes::copy_from_slice(cx.read(writes, n_bytes)?);
            cx.charge(writes.len() as u64)?;
            let call = cx.context::<Call>()?;
            while !writes.is_empty() {
                let (key, value) = take_write(&mut writes).ok_or("the writes are cut off")?;
                call.change(key, value)?;
            }
            Ok(())
        })
}

/// Writes the entries of a range that fit, each after the lengths of its key and of its value, and
/// returns the number of their bytes, and [`IS_LAST`] if the range has no more. The number of bytes
/// of the first, below 0, if it does not fit.
fn scan(
    cx: &mut dyn HostCx,
    (from, from_len, to, to_len, flags, out, out_cap): (u32, u32, u32, i32, u32, u32, u32),
) -> Result<i64, HostError> {
    let from = cx.read(from, from_len)?.to_vec();
    let to = match u32::try_from(to_len) {
        Ok(len) => Some(cx.read(to, len)?.to_vec()),
        Err(_) => None,
    };
    let query = Query {
        order: match flags & REVERSE {
            0 => Order::Ascending,
            _ => Order::Descending,
        },
        keys_only: flags & KEYS_ONLY != 0,
        ..Query::new(&from, to.as_deref())
    };
    let out_cap = out_cap as usize;
    let mut entries = Vec::new();
    let mut is_last = false;
    let mut n_needed = 0;
    let mut scan = cx.context::<Call>()?.view.scan(query);
    // Without room for an entry none is looked for, which may pass over many deleted ones.
    while entries.is_empty() || entries.len() + ENTRY_HEADER_BYTES < out_cap {
        let Some((key, value)) = scan.next().transpose()? else {
            is_last = true;
            break;
        };
        let n_bytes = ENTRY_HEADER_BYTES + key.len() + value.len();
        if entries.len() + n_bytes > out_cap {
            n_needed = n_bytes;
            break;
        }
        entries.extend(u32::try_from(key.len())?.to_le_bytes());
        entries.extend(u32::try_from(value.len())?.to_le_bytes());
        entries.extend_from_slice(&key);
        entries.extend_from_slice(&value);
    }
    let n_read = scan.n_read();
    drop(scan);
    cx.charge(entries.len() as u64 + ENTRY_FUEL * n_read)?;
    cx.write(out, &entries)?;
    let n_bytes = i64::try_from(entries.len())?;
    match (is_last, n_bytes) {
        (true, _) => Ok(n_bytes | IS_LAST),
        (false, 0) => Ok(-i64::try_from(n_needed)?),
        (false, _) => Ok(n_bytes),
    }
}
