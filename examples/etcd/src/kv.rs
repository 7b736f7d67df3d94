//! The service KV: the guest reads the requests and writes the responses.

use bytes::Bytes;
use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::machine::Machine;
use crate::proto::etcdserverpb::request_op::Request as Op;
use crate::proto::etcdserverpb::{RequestOp, TxnRequest};
use crate::proto::kv::k_v_server::KV;

pub(crate) struct KvService {
    pub(crate) machine: Machine,
    /// Bytes of a request that writes.
    pub(crate) max_request_bytes: usize,
}

/// What etcd adds to the size of a request for what is around it.
const OVERHEAD: usize = 512 << 10;
/// Bytes of a message that are received at most, to say how large it is.
pub(crate) const MAX_RECEIVED: usize = 64 << 20;

type Answer = Result<Response<Bytes>, Status>;

impl KvService {
    async fn read(&self, export: &'static str, request: Request<Bytes>) -> Answer {
        let answer = self.machine.read(export, request.into_inner().into()).await;
        answer.map(Response::new)
    }

    async fn write(&self, export: &'static str, request: Request<Bytes>) -> Answer {
        let request = request.into_inner();
        let max_message = self.max_request_bytes.saturating_add(OVERHEAD);
        if request.len() > max_message {
            let text = format!(
                "grpc: received message larger than max ({} vs. {max_message})",
                request.len()
            );
            return Err(Status::resource_exhausted(text));
        }
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
        self.read("range", request).await
    }

    async fn put(&self, request: Request<Bytes>) -> Answer {
        self.write("put", request).await
    }

    async fn delete_range(&self, request: Request<Bytes>) -> Answer {
        self.write("delete_range", request).await
    }

    async fn txn(&self, request: Request<Bytes>) -> Answer {
        let txn = TxnRequest::decode(request.get_ref().clone());
        match txn {
            Ok(txn) if only_reads(&txn) => self.read("txn", request).await,
            // The guest says what is wrong with one that cannot be read.
            _ => self.write("txn", request).await,
        }
    }

    async fn compact(&self, request: Request<Bytes>) -> Answer {
        self.write("compact", request).await
    }
}

/// Whether neither branch of a transaction writes.
fn only_reads(txn: &TxnRequest) -> bool {
    let reads = |op: &RequestOp| match &op.request {
        Some(Op::RequestRange(_)) | None => true,
        Some(Op::RequestTxn(txn)) => only_reads(txn),
        Some(Op::RequestPut(_) | Op::RequestDeleteRange(_)) => false,
    };
    txn.success.iter().chain(&txn.failure).all(reads)
}
