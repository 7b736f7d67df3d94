//! Transactions of several requests.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::header;
use crate::key_set::KeySet;
use crate::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::proto::etcdserverpb::request_op::Request;
use crate::proto::etcdserverpb::response_op::Response;
use crate::proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RequestOp, ResponseOp, TxnRequest, TxnResponse,
};
use crate::proto::mvccpb::KeyValue;
use crate::range::{View, check_range};
use crate::records::{self, KeyRange};
use crate::status::Status;
use crate::store::Store;
use crate::write::{Write, check_delete, check_put};

/// Applies a transaction: the branch that its comparisons choose, and those of the transactions
/// nested in it.
///
/// All comparisons see the state before the transaction; a read sees the writes before it.
pub(crate) fn txn<S: Store>(
    write: &mut Write<'_, S>,
    request: TxnRequest,
    max_ops: usize,
) -> Result<TxnResponse, Status> {
    check_txn(&request, max_ops)?;
    Touched::by(&request.success)?;
    Touched::by(&request.failure)?;
    let view = write.view();
    let path = view.choose(&request)?;
    view.check_puts(&request, &path)?;
    view.check_ranges(&request, &path)?;
    let mut response = apply(write, request, path);
    response.header = header::at(write.revision());
    Ok(response)
}

// ---- Checks of the request alone

/// Checks the requests and their number. Nested transactions have what their parent leaves of the
/// number.
fn check_txn(request: &TxnRequest, max_ops: usize) -> Result<(), Status> {
    let TxnRequest {
        compare,
        success,
        failure,
    } = request;
    let n_ops = compare.len().max(success.len()).max(failure.len());
    let n_left = max_ops.checked_sub(n_ops).ok_or(Status::TOO_MANY_OPS)?;
    if compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Status::EMPTY_KEY);
    }
    for op in success.iter().chain(failure) {
        match &op.request {
            Some(Request::RequestRange(range)) => check_range(range)?,
            Some(Request::RequestPut(put)) => check_put(put)?,
            Some(Request::RequestDeleteRange(delete)) => check_delete(delete)?,
            Some(Request::RequestTxn(txn)) => check_txn(txn, n_left)?,
            None => return Err(Status::KEY_NOT_FOUND),
        }
    }
    Ok(())
}

/// The keys that a list of requests may change.
#[derive(Debug, Default)]
struct Touched<'q> {
    puts: BTreeSet<&'q [u8]>,
    deletes: KeySet<'q>,
}

impl<'q> Touched<'q> {
    /// Collects the keys, or fails if one may be put twice or may be put and deleted.
    ///
    /// Both branches of a nested transaction count, although only one is applied; they do not
    /// exclude each other.
    fn by(ops: &'q [RequestOp]) -> Result<Self, Status> {
        let mut touched = Self::default();
        for op in ops {
            if let Some(Request::RequestDeleteRange(delete)) = &op.request {
                let keys = KeyRange::new(&delete.key, &delete.range_end);
                touched.deletes.insert(keys);
            }
        }
        for op in ops {
            if let Some(Request::RequestTxn(txn)) = &op.request {
                let success = Self::by(&txn.success)?;
                let failure = Self::by(&txn.failure)?;
                for key in &success.puts {
                    touched.put(key)?;
                }
                for key in failure.puts.difference(&success.puts) {
                    touched.put(key)?;
                }
                touched.deletes.extend(success.deletes);
                touched.deletes.extend(failure.deletes);
            }
        }
        for op in ops {
            if let Some(Request::RequestPut(put)) = &op.request {
                touched.put(&put.key)?;
            }
        }
        Ok(touched)
    }

    fn put(&mut self, key: &'q [u8]) -> Result<(), Status> {
        if self.deletes.contains(key) || !self.puts.insert(key) {
            return Err(Status::DUPLICATE_KEY);
        }
        Ok(())
    }
}

// ---- Checks against the state

/// Which branch of a transaction is applied, and of each one nested in that branch, in order.
#[derive(Debug)]
struct Path {
    succeeded: bool,
    nested: Vec<Self>,
}

impl Path {
    fn branch<'q>(&self, request: &'q TxnRequest) -> &'q [RequestOp] {
        if self.succeeded {
            &request.success
        } else {
            &request.failure
        }
    }
}

impl<S: Store> View<'_, S> {
    fn choose(&self, request: &TxnRequest) -> Result<Path, Status> {
        let mut path = Path {
            succeeded: true,
            nested: Vec::new(),
        };
        for compare in &request.compare {
            path.succeeded = path.succeeded && self.compare(compare)?;
        }
        for op in path.branch(request) {
            if let Some(Request::RequestTxn(txn)) = &op.request {
                path.nested.push(self.choose(txn)?);
            }
        }
        Ok(path)
    }

    fn compare(&self, compare: &Compare) -> Result<bool, Status> {
        let keys = KeyRange::new(&compare.key, &compare.range_end);
        let mut present = self.cursor(keys, 0)?;
        let Some(mut kv) = present.next() else {
            // An absent key has no value, not even an empty one; its numbers are all 0.
            return Ok(
                compare.target() != CompareTarget::Value && is_true(compare, &KeyValue::default())
            );
        };
        loop {
            if !is_true(compare, &kv) {
                return Ok(false);
            }
            match present.next() {
                Some(next) => kv = next,
                None => return Ok(true),
            }
        }
    }

    fn check_puts(&self, request: &TxnRequest, path: &Path) -> Result<(), Status> {
        let check = |op: &Request| match op {
            Request::RequestPut(put) => self.check_put(put),
            _ => Ok(()),
        };
        check_path(request, path, &check)
    }

    fn check_put(&self, put: &PutRequest) -> Result<(), Status> {
        let needs_key = put.ignore_value || put.ignore_lease;
        if needs_key && records::present(self.store, &put.key).is_none() {
            return Err(Status::KEY_NOT_FOUND);
        }
        self.check_lease(put)
    }

    fn check_ranges(&self, request: &TxnRequest, path: &Path) -> Result<(), Status> {
        let check = |op: &Request| match op {
            Request::RequestRange(range) => self.check_revision(range),
            _ => Ok(()),
        };
        check_path(request, path, &check)
    }

    /// Checks the revision of a read. Source: in a transaction etcd refuses a negative revision,
    /// once there was a compaction.
    fn check_revision(&self, range: &RangeRequest) -> Result<(), Status> {
        match range.revision {
            0 => Ok(()),
            revision if revision > self.revision => Err(Status::FUTURE_REVISION),
            revision if revision < self.meta.compact => Err(Status::COMPACTED),
            _ => Ok(()),
        }
    }
}

/// Checks each request that will be applied, those of nested transactions in their place.
fn check_path(
    request: &TxnRequest,
    path: &Path,
    check: &impl Fn(&Request) -> Result<(), Status>,
) -> Result<(), Status> {
    let mut nested = path.nested.iter();
    for op in path.branch(request) {
        match &op.request {
            Some(Request::RequestTxn(txn)) => {
                let path = nested.next().expect("each nested transaction has a path");
                check_path(txn, path, check)?;
            }
            Some(op) => check(op)?,
            None => {}
        }
    }
    Ok(())
}

fn is_true(compare: &Compare, kv: &KeyValue) -> bool {
    let ordering = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Version) => kv.version.cmp(&number(compare)),
        Ok(CompareTarget::Create) => kv.create_revision.cmp(&number(compare)),
        Ok(CompareTarget::Mod) => kv.mod_revision.cmp(&number(compare)),
        Ok(CompareTarget::Lease) => kv.lease.cmp(&number(compare)),
        Ok(CompareTarget::Value) => kv.value.as_slice().cmp(value(compare)),
        // Source: etcd 3.4, where an unknown target compares equal and an unknown result is true.
        Err(_) => Ordering::Equal,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}

/// The operand of a comparison of numbers. Without one, or with one for another target, it is 0.
fn number(compare: &Compare) -> i64 {
    match (compare.target(), &compare.target_union) {
        (CompareTarget::Version, Some(TargetUnion::Version(number)))
        | (CompareTarget::Create, Some(TargetUnion::CreateRevision(number)))
        | (CompareTarget::Mod, Some(TargetUnion::ModRevision(number)))
        | (CompareTarget::Lease, Some(TargetUnion::Lease(number))) => *number,
        _ => 0,
    }
}

/// The operand of a comparison of values. Without one, or with one for another target, it is empty.
fn value(compare: &Compare) -> &[u8] {
    match &compare.target_union {
        Some(TargetUnion::Value(value)) => value,
        _ => &[],
    }
}

// ---- Application

fn apply<S: Store>(write: &mut Write<'_, S>, request: TxnRequest, path: Path) -> TxnResponse {
    const CHECKED: &str = "checked before the first write";
    let ops = if path.succeeded {
        request.success
    } else {
        request.failure
    };
    let mut nested = path.nested.into_iter();
    let responses = ops.into_iter().filter_map(|op| {
        let response = match op.request? {
            Request::RequestRange(range) => {
                Response::ResponseRange(write.view().range(&range).expect(CHECKED))
            }
            Request::RequestPut(put) => Response::ResponsePut(write.put_checked(put)),
            Request::RequestDeleteRange(delete) => {
                Response::ResponseDeleteRange(write.delete_range(&delete).expect(CHECKED))
            }
            Request::RequestTxn(txn) => {
                let path = nested.next().expect("each nested transaction has a path");
                let mut response = apply(write, txn, path);
                // Source: etcd 3.4, where the header of a nested transaction is empty.
                response.header = Some(Default::default());
                Response::ResponseTxn(response)
            }
        };
        Some(ResponseOp {
            response: Some(response),
        })
    });
    TxnResponse {
        responses: responses.collect(),
        succeeded: path.succeeded,
        header: None,
    }
}
