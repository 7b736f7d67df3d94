//! The calls that a host makes: a request as bytes in, a response as bytes out.

use prost::Message;

use crate::header::WithHeader;
use crate::proto::etcdserverpb::{LeaseLeasesRequest, ResponseHeader};
use crate::range::View;
use crate::status::Status;
use crate::store::Store;
use crate::write::Write;
use crate::{compact, txn};

/// What the host says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// For the headers of responses.
    pub cluster_id: u64,
    /// For the headers of responses.
    pub member_id: u64,
    /// For the headers of responses.
    pub raft_term: u64,
    /// The most comparisons, and the most requests of a branch, that a transaction may have.
    pub max_txn_ops: usize,
}

impl Config {
    /// No ids, and the limit of etcd: 128 operations.
    pub const DEFAULT: Self = Self {
        cluster_id: 0,
        member_id: 0,
        raft_term: 0,
        max_txn_ops: 128,
    };

    fn header(self, revision: i64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision,
            raft_term: self.raft_term,
        }
    }
}

/// The result of a call.
#[derive(Debug)]
pub struct Answer {
    /// A status code of gRPC, and then the encoded response for 0, or the text of the error.
    pub output: Vec<u8>,
    /// The revision of the keys that the call has changed.
    pub revision: u64,
    /// The keys that the call has changed. They have to be emitted, if there are any.
    pub changed: Vec<Vec<u8>>,
}

/// A call, by the name of its export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the exports")]
pub enum Call {
    Range,
    Put,
    DeleteRange,
    Txn,
    Compact,
    LeaseGrant,
    LeaseRevoke,
    LeaseKeys,
    Leases,
    Changes,
    Head,
    Scrub,
}

impl Call {
    /// Makes the call. One that fails writes nothing.
    pub fn apply<S: Store>(self, config: Config, store: &mut S, input: &[u8]) -> Answer {
        match self {
            Self::Range => read(config, store, input, |view, request| view.range(&request)),
            Self::Put => write(config, store, input, |write, request| write.put(request)),
            Self::DeleteRange => write(config, store, input, |write, request| {
                write.delete_range(&request)
            }),
            Self::Txn => write(config, store, input, |write, request| {
                txn::txn(write, request, config.max_txn_ops)
            }),
            Self::Compact => write(config, store, input, |write, request| {
                write.compact(request)
            }),
            Self::LeaseGrant => write(config, store, input, |write, request| write.grant(request)),
            Self::LeaseRevoke => {
                write(config, store, input, |write, request| write.revoke(request))
            }
            Self::LeaseKeys => read(config, store, input, |view, request| {
                Ok(view.lease_keys(request))
            }),
            Self::Leases => read(config, store, input, |view, _: LeaseLeasesRequest| {
                Ok(view.leases())
            }),
            Self::Changes => Answer::unchanged(encode(
                decode(input).and_then(|request| View::load(store).changes(&request)),
            )),
            Self::Head => {
                let header = config.header(View::load(store).revision);
                Answer::unchanged(encode(Ok(header)))
            }
            Self::Scrub => Answer::unchanged(encode(Ok(compact::scrub(store)))),
        }
    }
}

impl Answer {
    fn unchanged(output: Vec<u8>) -> Self {
        Self {
            output,
            revision: 0,
            changed: Vec::new(),
        }
    }
}

fn read<S: Store, Q: Message + Default, R: Message + WithHeader>(
    config: Config,
    store: &S,
    input: &[u8],
    apply: impl FnOnce(&View<'_, S>, Q) -> Result<R, Status>,
) -> Answer {
    let response = decode(input).and_then(|request| apply(&View::load(store), request));
    Answer::unchanged(encode_with_header(config, response))
}

fn write<S: Store, Q: Message + Default, R: Message + WithHeader>(
    config: Config,
    store: &mut S,
    input: &[u8],
    apply: impl FnOnce(&mut Write<'_, S>, Q) -> Result<R, Status>,
) -> Answer {
    let mut write = Write::begin(store);
    let response = decode(input).and_then(|request| apply(&mut write, request));
    let (meta, changed) = write.commit();
    Answer {
        output: encode_with_header(config, response),
        revision: meta.head as u64,
        changed,
    }
}

fn decode<Q: Message + Default>(input: &[u8]) -> Result<Q, Status> {
    Q::decode(input).map_err(|error| Status::malformed(&error))
}

fn encode_with_header<R: Message + WithHeader>(
    config: Config,
    response: Result<R, Status>,
) -> Vec<u8> {
    encode(response.map(|mut response| {
        let header = response.header_mut();
        let revision = header.as_ref().map_or(0, |header| header.revision);
        *header = Some(config.header(revision));
        response
    }))
}

fn encode(response: Result<impl Message, Status>) -> Vec<u8> {
    match response {
        Ok(response) => {
            let mut output = Vec::with_capacity(1 + response.encoded_len());
            output.push(0);
            response
                .encode(&mut output)
                .expect("a vector has room for it");
            output
        }
        Err(Status { code, message }) => [&[code], message.as_bytes()].concat(),
    }
}
