//! What clients do under load: each request is drawn from a seed.

use std::collections::HashMap;

use etcd_example::proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use etcd_example::proto::etcdserverpb::request_op::Request;
use etcd_example::proto::etcdserverpb::response_op::Response;
use etcd_example::proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::client::prefix_range;
use crate::history::Operation;

/// The prefixes of the keys.
pub(crate) const PREFIXES: [&str; 4] = ["a/", "b/", "c/", "d/"];

/// Keys with each prefix.
const N_KEYS: u64 = 8;

/// Bytes of a large value.
const LARGE_BYTES: usize = 16 << 10;

/// A lease that nobody has granted.
const NO_LEASE: i64 = 404;

/// Draws the requests of a client.
pub(crate) struct Load {
    client: usize,
    random: ChaCha8Rng,
    n_values: usize,
    /// The last revision of each key that the client has heard of.
    known: HashMap<Vec<u8>, i64>,
    revision: i64,
}

impl Load {
    pub(crate) fn new(client: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(client as u64);
        Self {
            client,
            random,
            n_values: 0,
            known: HashMap::new(),
            revision: 1,
        }
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> Request {
        match self.below(100) {
            0..40 => Request::RequestPut(self.put()),
            40..52 => Request::RequestDeleteRange(self.delete()),
            52..75 => Request::RequestTxn(self.txn()),
            75..97 => Request::RequestRange(self.range()),
            _ => self.bad(),
        }
    }

    /// Learns from an outcome.
    pub(crate) fn learn(&mut self, operation: &Operation) {
        self.revision = self.revision.max(operation.revision());
        match (&operation.request, operation.response()) {
            (Request::RequestPut(put), Some(_)) => {
                self.known.insert(put.key.clone(), operation.revision());
            }
            (_, Some(Response::ResponseRange(range))) => {
                for kv in &range.kvs {
                    self.known.insert(kv.key.clone(), kv.mod_revision);
                }
            }
            _ => {}
        }
    }

    fn put(&mut self) -> PutRequest {
        PutRequest {
            key: self.key(),
            value: self.value(),
            prev_kv: self.below(3) == 0,
            ..PutRequest::default()
        }
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        DeleteRangeRequest {
            key: self.key(),
            prev_kv: self.below(3) == 0,
            ..DeleteRangeRequest::default()
        }
    }

    /// If a key has not changed, changes it and others; else reads it, or puts another key.
    fn txn(&mut self) -> TxnRequest {
        let mut keys = [(); 3].map(|()| self.key());
        keys.sort_unstable();
        let mut keys = keys.to_vec();
        keys.dedup();
        let compared = keys[self.below(keys.len() as u64) as usize].clone();
        let compare = Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            target_union: Some(TargetUnion::ModRevision(
                self.known.get(&compared).copied().unwrap_or(0),
            )),
            key: compared.clone(),
            ..Compare::default()
        };
        let read = Request::RequestRange(RangeRequest {
            key: compared,
            ..RangeRequest::default()
        });
        let put = |load: &mut Self, key| Request::RequestPut(PutRequest { key, ..load.put() });
        let failure = match self.below(3) {
            0 => vec![put(self, keys[0].clone())],
            1 => vec![],
            _ => vec![read.clone()],
        };
        let mut success = vec![read];
        for (index, key) in keys.into_iter().enumerate() {
            // A put has a value, which no other transaction has.
            success.push(match index > 0 && self.below(3) == 0 {
                true => Request::RequestDeleteRange(DeleteRangeRequest {
                    key,
                    ..DeleteRangeRequest::default()
                }),
                false => put(self, key),
            });
        }
        TxnRequest {
            compare: vec![compare],
            success: success.into_iter().map(op).collect(),
            failure: failure.into_iter().map(op).collect(),
        }
    }

    fn range(&mut self) -> RangeRequest {
        let (key, range_end) = match self.below(4) {
            0 => prefix_range(""),
            1 => prefix_range(PREFIXES[self.below(4) as usize]),
            _ => (self.key(), Vec::new()),
        };
        let has_range = !range_end.is_empty();
        RangeRequest {
            key,
            range_end,
            limit: if has_range { self.below(6) as i64 } else { 0 },
            revision: match self.below(4) {
                0 => self.below(self.revision.cast_unsigned()) as i64,
                _ => 0,
            },
            ..RangeRequest::default()
        }
    }

    /// A request that writes and is refused.
    fn bad(&mut self) -> Request {
        let put = self.put();
        match self.below(2) {
            0 => Request::RequestPut(PutRequest {
                lease: NO_LEASE,
                ..put
            }),
            _ => {
                let twice = [put.clone(), put].map(|put| op(Request::RequestPut(put)));
                Request::RequestTxn(TxnRequest {
                    success: twice.to_vec(),
                    ..TxnRequest::default()
                })
            }
        }
    }

    fn key(&mut self) -> Vec<u8> {
        let prefix = PREFIXES[self.below(4) as usize];
        format!("{prefix}{}", self.below(N_KEYS)).into_bytes()
    }

    /// A value that is written once. Some are large.
    fn value(&mut self) -> Vec<u8> {
        self.n_values += 1;
        let mut value = format!("{}.{}", self.client, self.n_values).into_bytes();
        if self.below(50) == 0 {
            value.resize(LARGE_BYTES, b'.');
        }
        value
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random.next_u64() % n
    }
}

fn op(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}
