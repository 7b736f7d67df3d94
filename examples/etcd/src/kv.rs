//! The service KV: the guest reads the requests and writes the responses.

use bytes::Bytes;
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::machine::Machine;
use crate::proto::kv::k_v_server::KV;

pub(crate) struct KvService {
    pub(crate) machine: Machine,
    /// Bytes of a request that writes.
    pub(crate) max_request_bytes: usize,
}

/// Bytes by which etcd's limit of a message of gRPC is above that of a request.
const OVERHEAD: usize = 512 << 10;
/// Bytes of a message that are received at most: the error for one that is too large says how large
/// it is, as etcd's does.
pub(crate) const MAX_RECEIVED: usize = 64 << 20;

type Answer = Result<Response<Bytes>, Status>;

impl KvService {
    /// The message of a request, unless it is larger than etcd receives.
    fn message(&self, request: Request<Bytes>) -> Result<Bytes, Status> {
        let message = request.into_inner();
        let max_message = self.max_request_bytes.saturating_add(OVERHEAD);
        if message.len() > max_message {
            let text = format!(
                "grpc: received message larger than max ({} vs. {max_message})",
                message.len()
            );
            return Err(Status::resource_exhausted(text));
        }
        Ok(message)
    }

    async fn read(&self, export: &'static str, request: Bytes) -> Answer {
        let answer = self.machine.read(export, request.into()).await;
        answer.map(Response::new)
    }

    async fn write(&self, export: &'static str, request: Bytes) -> Answer {
        if request.len() > self.max_request_bytes {
            return Err(Status::invalid_argument("etcdserver: request is too large"));
        }
        let answer = self.machine.write(export, request.into()).await;
        answer.map(Response::new)
    }
}

#[tonic::async_trait]
impl KV for KvService {
    async fn range(&self, request: Request<Bytes>) -> Answer {
        self.read("range", self.message(request)?).await
    }

    async fn put(&self, request: Request<Bytes>) -> Answer {
        self.write("put", self.message(request)?).await
    }

    async fn delete_range(&self, request: Request<Bytes>) -> Answer {
        let request = self.message(request)?;
        self.write("delete_range", request).await
    }

    async fn txn(&self, request: Request<Bytes>) -> Answer {
        let request = self.message(request)?;
        match Txn::decode(request.clone()) {
            Ok(txn) if txn.only_reads() => self.read("txn", request).await,
            // The guest says what is wrong with one that cannot be read.
            _ => self.write("txn", request).await,
        }
    }

    async fn compact(&self, request: Request<Bytes>) -> Answer {
        self.write("compact", self.message(request)?).await
    }
}

/// The part of a transaction that says whether it writes: nothing is copied of the fields that are
/// missing here, so that it takes little memory, however many operations a client sends.
#[derive(Clone, PartialEq, prost::Message)]
struct Txn {
    #[prost(message, repeated, tag = "2")]
    success: Vec<Op>,
    #[prost(message, repeated, tag = "3")]
    failure: Vec<Op>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Op {
    #[prost(message, optional, tag = "2")]
    put: Option<()>,
    #[prost(message, optional, tag = "3")]
    delete_range: Option<()>,
    #[prost(message, optional, tag = "4")]
    txn: Option<Txn>,
}

impl Txn {
    /// Whether neither branch writes.
    fn only_reads(&self) -> bool {
        let mut ops = self.success.iter().chain(&self.failure);
        ops.all(|op| {
            op.put.is_none()
                && op.delete_range.is_none()
                && op.txn.as_ref().is_none_or(Self::only_reads)
        })
    }
}
