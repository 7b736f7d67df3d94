//! The state machine of the etcd example: etcd's MVCC rules over an ordered store of the host.
//!
//! The guest keeps nothing in its memory but what it was configured with: all state is in the
//! store, so that any instance can serve any call, and one that traps is disposable.
//!
//! # Exports
//!
//! `configure(cluster_id: i64, member_id: i64, raft_term: i64, max_txn_ops: i64)` is called once on
//! each instance. All others take bytes and return bytes: a message of `proto/`, encoded, and then
//! a status code of gRPC as one byte, followed by the encoded response if it is 0, else by the text
//! of the error.
//!
//! | export | request | response | |
//! |---|---|---|---|
//! | `range` | `RangeRequest` | `RangeResponse` | reads |
//! | `put` | `PutRequest` | `PutResponse` | writes |
//! | `delete_range` | `DeleteRangeRequest` | `DeleteRangeResponse` | writes |
//! | `txn` | `TxnRequest` | `TxnResponse` | writes, unless all requests in it are reads |
//! | `compact` | `CompactionRequest` | `CompactionResponse` | writes |
//! | `lease_grant` | `LeaseGrantRequest` | `LeaseGrantResponse` | writes |
//! | `lease_revoke` | `LeaseRevokeRequest` | `LeaseRevokeResponse` | writes |
//! | `lease_keys` | `LeaseTimeToLiveRequest` | `LeaseTimeToLiveResponse` | reads |
//! | `leases` | `LeaseLeasesRequest` | `LeaseLeasesResponse` | reads |
//! | `changes` | `ChangesRequest` | `ChangesResponse` | reads |
//! | `head` | | `ResponseHeader` | reads |
//! | `scrub` | | `ScrubResponse` | writes |
//!
//! A call that changes keys emits their revision and the keys. A call that fails writes nothing.
//!
//! # Imports
//!
//! The module `store` is the ordered store, as [`Store`] has it: `get`, `scan` and `write`, which
//! puts and deletes.

mod calls;
mod changes;
mod compact;
mod header;
mod history;
mod key_set;
mod lease;
mod range;
mod records;
mod status;
mod store;
mod txn;
#[cfg(target_arch = "wasm32")]
mod wasm;
mod write;

/// The messages of `proto/`.
#[expect(missing_docs, reason = "the files of the protocol have the comments")]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}

pub use crate::calls::{Answer, Call, Config};
pub use crate::store::{Batch, ScanMode, Store};
