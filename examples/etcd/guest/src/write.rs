//! Writes: one transaction, of one revision.

use rangewatch_guest::abi::MAX_KEY_BYTES;

use crate::header;
use crate::proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
};
use crate::proto::mvccpb::KeyValue;
use crate::range::View;
use crate::records::{self, KeyRange, Meta, Revision};
use crate::status::Status;
use crate::store::Store;

/// A transaction. It writes into the store as it goes; a request is checked before its first write,
/// so that one that fails writes nothing.
#[derive(Debug)]
pub(crate) struct Write<'s, S> {
    pub(crate) store: &'s mut S,
    pub(crate) meta: Meta,
    /// The changed keys, in the order of the changes.
    changes: Vec<Vec<u8>>,
}

impl<'s, S: Store> Write<'s, S> {
    pub(crate) fn begin(store: &'s mut S) -> Self {
        let meta = Meta::load(store);
        Self {
            store,
            meta,
            changes: Vec::new(),
        }
    }

    /// The current revision, which the first change raises.
    pub(crate) fn revision(&self) -> i64 {
        self.meta.head + i64::from(!self.changes.is_empty())
    }

    pub(crate) fn view(&self) -> View<'_, S> {
        View {
            store: self.store,
            meta: self.meta,
            revision: self.revision(),
        }
    }

    /// Ends the transaction and returns the changed keys; the head is their revision.
    pub(crate) fn commit(mut self) -> (Meta, Vec<Vec<u8>>) {
        if !self.changes.is_empty() {
            self.meta.head += 1;
            self.meta.save(self.store);
        }
        (self.meta, self.changes)
    }

    /// Puts a key as a request of its own.
    pub(crate) fn put(&mut self, request: PutRequest) -> Result<PutResponse, Status> {
        check_put(&request)?;
        self.view().check_lease(&request)?;
        let previous = records::present(self.store, &request.key);
        if (request.ignore_value || request.ignore_lease) && previous.is_none() {
            return Err(Status::KEY_NOT_FOUND);
        }
        Ok(self.replace(request, previous))
    }

    /// Puts a key as a part of a transaction, which has checked the request.
    pub(crate) fn put_checked(&mut self, request: PutRequest) -> PutResponse {
        let previous = records::present(self.store, &request.key);
        self.replace(request, previous)
    }

    fn replace(&mut self, request: PutRequest, previous: Option<KeyValue>) -> PutResponse {
        let revision = self.next_change();
        let mut kv = KeyValue {
            key: request.key,
            create_revision: revision.main,
            mod_revision: revision.main,
            version: 1,
            value: request.value,
            lease: request.lease,
        };
        let mut old_lease = 0;
        if let Some(previous) = &previous {
            kv.create_revision = previous.create_revision;
            kv.version += previous.version;
            old_lease = previous.lease;
            if request.ignore_value {
                kv.value.clone_from(&previous.value);
            }
            if request.ignore_lease {
                kv.lease = old_lease;
            }
        }
        records::attach(self.store, &kv.key, old_lease, kv.lease);
        let key = records::record_put(self.store, revision, kv);
        self.changes.push(key);
        PutResponse {
            header: header::at(revision.main),
            prev_kv: previous.filter(|_| request.prev_kv),
        }
    }

    pub(crate) fn delete_range(
        &mut self,
        request: &DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Status> {
        check_delete(request)?;
        let keys = KeyRange::new(&request.key, &request.range_end);
        let mut present = self.view().cursor(keys, 0)?;
        let mut found = Vec::new();
        let mut prev_kvs = Vec::new();
        while let Some(mut kv) = present.next() {
            if request.prev_kv {
                found.push((kv.key.clone(), kv.lease));
                prev_kvs.push(kv);
            } else {
                found.push((std::mem::take(&mut kv.key), kv.lease));
            }
        }
        let deleted = found.len() as i64;
        for (key, lease) in found {
            self.delete(key, lease);
        }
        Ok(DeleteRangeResponse {
            header: header::at(self.revision()),
            deleted,
            prev_kvs,
        })
    }

    /// Deletes a present key, which is attached to `lease`.
    pub(crate) fn delete(&mut self, key: Vec<u8>, lease: i64) {
        let revision = self.next_change();
        records::attach(self.store, &key, lease, 0);
        let key = records::record_delete(self.store, revision, key);
        self.changes.push(key);
    }

    fn next_change(&self) -> Revision {
        Revision {
            main: self.meta.head + 1,
            sub: self.changes.len() as u32,
        }
    }
}

impl<S: Store> View<'_, S> {
    /// Checks that the lease of a put exists, if it has one.
    pub(crate) fn check_lease(&self, request: &PutRequest) -> Result<(), Status> {
        if request.lease != 0 && records::lease_ttl(self.store, request.lease).is_none() {
            return Err(Status::LEASE_NOT_FOUND);
        }
        Ok(())
    }
}

/// Checks what does not depend on the state.
pub(crate) fn check_put(request: &PutRequest) -> Result<(), Status> {
    if request.key.is_empty() {
        return Err(Status::EMPTY_KEY);
    }
    // DIFFERENCE: etcd has no limit for a key but the one for a request. This one is the limit for
    // a key of an emit.
    if request.key.len() > MAX_KEY_BYTES {
        return Err(Status::TOO_LARGE);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(Status::VALUE_PROVIDED);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Status::LEASE_PROVIDED);
    }
    Ok(())
}

pub(crate) fn check_delete(request: &DeleteRangeRequest) -> Result<(), Status> {
    if request.key.is_empty() {
        return Err(Status::EMPTY_KEY);
    }
    Ok(())
}
