//! The exports of the module, and the store that it imports.

use std::cell::{Cell, RefCell};

use crate::calls::{Answer, Call, Config};
use crate::store::{Batch, ScanMode, Store};

/// Bytes that the first read of a value has room for.
const FIRST_GET_BYTES: usize = 1 << 10;

/// Bytes of writes that wait for a call of the host.
const MAX_WAITING_BYTES: usize = 64 << 10;

/// In place of the length of a value: the key is deleted.
const DELETED: u32 = u32::MAX;

/// In the result of a scan, beside the number of bytes: the range has no more entries.
const IS_LAST: u64 = 1 << 32;

thread_local! {
    static CONFIG: Cell<Config> = const { Cell::new(Config::DEFAULT) };
}

/// Sets what the host says about itself.
#[unsafe(no_mangle)]
extern "C" fn configure(cluster_id: i64, member_id: i64, raft_term: i64, max_txn_ops: i64) {
    CONFIG.set(Config {
        cluster_id: cluster_id as u64,
        member_id: member_id as u64,
        raft_term: raft_term as u64,
        max_txn_ops: usize::try_from(max_txn_ops).unwrap_or(usize::MAX),
    });
}

macro_rules! exports {
    ($($name:ident => $call:ident),* $(,)?) => {$(
        #[doc = concat!("Makes the call [`Call::", stringify!($call), "`].")]
        #[unsafe(no_mangle)]
        extern "C" fn $name() {
            answer(Call::$call);
        }
    )*};
}

exports! {
    range => Range,
    put => Put,
    delete_range => DeleteRange,
    txn => Txn,
    compact => Compact,
    lease_grant => LeaseGrant,
    lease_revoke => LeaseRevoke,
    lease_keys => LeaseKeys,
    leases => Leases,
    changes => Changes,
    head => Head,
    scrub => Scrub,
}

fn answer(call: Call) {
    rangewatch_guest::answer(|input| {
        let mut store = HostStore::default();
        let Answer {
            output,
            revision,
            changed,
        } = call.apply(CONFIG.get(), &mut store, input);
        store.flush();
        rangewatch_guest::emit(revision, changed).expect("the length of keys was checked");
        output
    })
    .expect("in a guest");
}

/// The store of the host. Writes wait until something is read, or the call ends.
#[derive(Debug, Default)]
struct HostStore {
    /// Each write is the length of its key and of its value, or [`DELETED`], the key, the value.
    waiting: RefCell<Vec<u8>>,
}

#[link(wasm_import_module = "store")]
unsafe extern "C" {
    #[link_name = "get"]
    fn import_get(key: *const u8, key_len: usize, out: *mut u8, out_cap: usize) -> i32;
    #[link_name = "scan"]
    fn import_scan(
        from: *const u8,
        from_len: usize,
        to: *const u8,
        to_len: isize,
        flags: i32,
        out: *mut u8,
        out_cap: usize,
    ) -> i64;
    #[link_name = "write"]
    fn import_write(writes: *const u8, n_bytes: usize);
}

impl HostStore {
    fn write(&mut self, key: &[u8], value: Option<&[u8]>) {
        let waiting = self.waiting.get_mut();
        let value_len = value.map_or(DELETED, |value| value.len() as u32);
        waiting.extend_from_slice(&(key.len() as u32).to_le_bytes());
        waiting.extend_from_slice(&value_len.to_le_bytes());
        waiting.extend_from_slice(key);
        waiting.extend_from_slice(value.unwrap_or_default());
        if waiting.len() >= MAX_WAITING_BYTES {
            self.flush();
        }
    }

    fn flush(&self) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            return;
        }
        // SAFETY: the host reads the writes during the call only.
        unsafe { import_write(waiting.as_ptr(), waiting.len()) };
        waiting.clear();
    }
}

impl Store for HostStore {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.flush();
        let mut value = vec![0; FIRST_GET_BYTES];
        loop {
            // SAFETY: the host reads the key and writes at most the length of `value`, during the
            // call only.
            let n_bytes =
                unsafe { import_get(key.as_ptr(), key.len(), value.as_mut_ptr(), value.len()) };
            let n_bytes = usize::try_from(n_bytes).ok()?;
            let fits = n_bytes <= value.len();
            value.resize(n_bytes, 0);
            if fits {
                return Some(value);
            }
        }
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        mode: ScanMode,
        batch: &mut [u8],
    ) -> Result<Batch, usize> {
        self.flush();
        let (to_ptr, to_len) =
            to.map_or((from.as_ptr(), -1), |to| (to.as_ptr(), to.len() as isize));
        // SAFETY: the host reads the keys and writes at most the length of `batch`, during the call
        // only. It does not look at the address of a key whose length is -1.
        let read = unsafe {
            import_scan(
                from.as_ptr(),
                from.len(),
                to_ptr,
                to_len,
                mode.flags(),
                batch.as_mut_ptr(),
                batch.len(),
            )
        };
        match u64::try_from(read) {
            Ok(read) => Ok(Batch {
                n_bytes: read as u32 as usize,
                is_last: read & IS_LAST != 0,
            }),
            Err(_) => Err(read.unsigned_abs() as usize),
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.write(key, Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.write(key, None);
    }
}
