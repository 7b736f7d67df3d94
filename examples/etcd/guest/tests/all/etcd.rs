//! The guest with typed requests.

use std::collections::BTreeMap;

use etcd_guest::proto::etcdserverpb::*;
use etcd_guest::proto::rangewatch::etcd::{ChangesRequest, ChangesResponse, ScrubResponse};
use etcd_guest::{Call, Config};
use prost::Message;

pub(crate) const CONFIG: Config = Config {
    cluster_id: 11,
    member_id: 12,
    raft_term: 13,
    max_txn_ops: 128,
};

/// A status code and a message.
pub(crate) type Error = (u8, String);

/// A guest and its store. Each call is checked for what holds for all of them.
#[derive(Debug, Default)]
pub(crate) struct Etcd {
    pub(crate) store: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The emit of the last call.
    pub(crate) emitted: Option<(u64, Vec<Vec<u8>>)>,
}

macro_rules! calls {
    ($($name:ident: $call:ident, $request:ty => $response:ty;)*) => {$(
        pub(crate) fn $name(&mut self, request: &$request) -> Result<$response, Error> {
            self.call(Call::$call, &request.encode_to_vec())
        }
    )*};
}

impl Etcd {
    calls! {
        range: Range, RangeRequest => RangeResponse;
        put: Put, PutRequest => PutResponse;
        delete: DeleteRange, DeleteRangeRequest => DeleteRangeResponse;
        txn: Txn, TxnRequest => TxnResponse;
        compact: Compact, CompactionRequest => CompactionResponse;
        grant: LeaseGrant, LeaseGrantRequest => LeaseGrantResponse;
        revoke: LeaseRevoke, LeaseRevokeRequest => LeaseRevokeResponse;
        lease_keys: LeaseKeys, LeaseTimeToLiveRequest => LeaseTimeToLiveResponse;
        leases: Leases, LeaseLeasesRequest => LeaseLeasesResponse;
        changes: Changes, ChangesRequest => ChangesResponse;
    }

    pub(crate) fn call<R: Message + Default>(
        &mut self,
        call: Call,
        input: &[u8],
    ) -> Result<R, Error> {
        let before = self.store.clone();
        let answer = call.apply(CONFIG, &mut self.store, input);
        let emit = (answer.revision, answer.changed);
        self.emitted = Some(emit).filter(|(_, keys)| !keys.is_empty());
        match answer.output.split_first().expect("there is a code") {
            (0, response) => Ok(R::decode(response).expect("a response")),
            (code, message) => {
                assert_eq!(self.store, before, "a call that fails writes nothing");
                assert_eq!(self.emitted, None);
                let message = String::from_utf8(message.to_vec()).expect("a text");
                Err((*code, message))
            }
        }
    }

    pub(crate) fn head(&mut self) -> i64 {
        let header: ResponseHeader = self.call(Call::Head, &[]).expect("it cannot fail");
        header.revision
    }

    /// Removes what a compaction has made unreachable.
    pub(crate) fn scrub(&mut self) {
        while self.scrub_some() {}
    }

    /// Makes one call of the scrub, and returns whether there is more to remove.
    pub(crate) fn scrub_some(&mut self) -> bool {
        let scrub: ScrubResponse = self.call(Call::Scrub, &[]).expect("it cannot fail");
        assert_eq!(self.emitted, None);
        scrub.more
    }

    pub(crate) fn n_records(&self, kind: u8) -> usize {
        self.store.keys().filter(|key| key[0] == kind).count()
    }
}

/// The header of a response at a revision.
pub(crate) fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader {
        cluster_id: CONFIG.cluster_id,
        member_id: CONFIG.member_id,
        revision,
        raft_term: CONFIG.raft_term,
    })
}
