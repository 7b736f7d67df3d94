//! Clients that record what they do.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use etcd_example::proto::etcdserverpb::kv_client::KvClient;
use etcd_example::proto::etcdserverpb::request_op::Request;
use etcd_example::proto::etcdserverpb::response_op::Response;
use etcd_example::proto::etcdserverpb::watch_client::WatchClient;
use etcd_example::proto::etcdserverpb::watch_request::RequestUnion;
use etcd_example::proto::etcdserverpb::{
    RangeRequest, RangeResponse, WatchCreateRequest, WatchProgressRequest, WatchRequest,
    WatchResponse,
};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use crate::history::{Operation, Outcome, Session, Watcher, revision};

/// Bytes of a response at most.
const MAX_RESPONSE_BYTES: usize = 256 << 20;

/// What a client waits for a response. After that it connects again.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// Responses of a stream of watches between two requests for progress.
const PROGRESS_EVERY: usize = 10;

/// A connection of its own.
pub(crate) fn connect(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect_lazy()
}

/// A client that reads and writes.
pub(crate) struct Client {
    pub(crate) id: usize,
    address: SocketAddr,
    kv: KvClient<Channel>,
    began: Instant,
    pub(crate) operations: Vec<Operation>,
}

impl Client {
    pub(crate) fn new(id: usize, address: SocketAddr, began: Instant) -> Self {
        Self {
            id,
            address,
            kv: kv_client(address),
            began,
            operations: Vec::new(),
        }
    }

    /// Makes a request. Returns what was recorded.
    pub(crate) async fn call(&mut self, request: Request) -> &Operation {
        let call = self.began.elapsed();
        let in_time = timeout(CALL_DEADLINE, self.send(request.clone())).await;
        let outcome =
            match in_time.unwrap_or_else(|late| Err(Status::deadline_exceeded(late.to_string()))) {
                Ok(response) => Outcome::Acknowledged(response),
                Err(status) => match status.code() {
                    Code::InvalidArgument | Code::NotFound | Code::OutOfRange => Outcome::Refused,
                    _ => {
                        self.kv = kv_client(self.address);
                        Outcome::Unknown(status.to_string())
                    }
                },
            };
        let index = self.operations.len();
        self.operations.push(Operation {
            client: self.id,
            call,
            end: self.began.elapsed(),
            request,
            outcome,
        });
        &self.operations[index]
    }

    async fn send(&mut self, request: Request) -> Result<Response, Status> {
        Ok(match request {
            Request::RequestRange(range) => {
                Response::ResponseRange(self.kv.range(range).await?.into_inner())
            }
            Request::RequestPut(put) => Response::ResponsePut(self.kv.put(put).await?.into_inner()),
            Request::RequestDeleteRange(delete) => {
                Response::ResponseDeleteRange(self.kv.delete_range(delete).await?.into_inner())
            }
            Request::RequestTxn(txn) => Response::ResponseTxn(self.kv.txn(txn).await?.into_inner()),
        })
    }
}

fn kv_client(address: SocketAddr) -> KvClient<Channel> {
    KvClient::new(connect(address)).max_decoding_message_size(MAX_RESPONSE_BYTES)
}

/// A client that has several watches on one stream, and resumes them when it is lost.
pub(crate) struct Follower {
    address: SocketAddr,
    began: Instant,
    /// What it asked for at first.
    creates: Vec<WatchCreateRequest>,
    pub(crate) watchers: Vec<Watcher>,
}

impl Follower {
    pub(crate) fn new(
        address: SocketAddr,
        began: Instant,
        creates: Vec<WatchCreateRequest>,
    ) -> Self {
        Self {
            address,
            began,
            watchers: vec![Watcher::default(); creates.len()],
            creates,
        }
    }

    /// Watches until there is a last revision, and every watch has reached it.
    pub(crate) async fn follow(mut self, mut last: watch::Receiver<Option<i64>>) -> Vec<Watcher> {
        let mut is_at_end = false;
        while !is_at_end {
            let mut client = WatchClient::new(connect(self.address));
            client = client.max_decoding_message_size(MAX_RESPONSE_BYTES);
            let stream = timeout(CALL_DEADLINE, watch_stream(&mut client, self.resume()));
            // An error means that the connection was lost.
            if let Ok(Ok((requests, responses))) = stream.await {
                is_at_end = self.receive(requests, responses, &mut last).await;
            }
        }
        self.watchers
    }

    /// Begins a session of each watch where the last one ended.
    fn resume(&mut self) -> Vec<WatchCreateRequest> {
        let call = self.began.elapsed();
        let watches = self.watchers.iter_mut().zip(&self.creates).enumerate();
        let requests = watches.map(|(id, (watcher, create))| {
            let next = watcher.sessions.last().map(Session::next);
            let request = WatchCreateRequest {
                watch_id: id as i64 + 1,
                start_revision: next.unwrap_or(create.start_revision),
                ..create.clone()
            };
            watcher.sessions.push(Session {
                call,
                request: request.clone(),
                responses: Vec::new(),
            });
            request
        });
        requests.collect()
    }

    /// Receives until the stream ends, or every watch has reached the last revision: then it
    /// returns true.
    async fn receive(
        &mut self,
        requests: mpsc::Sender<WatchRequest>,
        mut responses: Streaming<WatchResponse>,
        last: &mut watch::Receiver<Option<i64>>,
    ) -> bool {
        // One that waits to be sent will do.
        let ask = || {
            let progress = RequestUnion::ProgressRequest(WatchProgressRequest {});
            let _ = requests.try_send(request(progress));
        };
        let mut end = None;
        for n in 1.. {
            tokio::select! {
                response = responses.message() => {
                    let Ok(Some(response)) = response else { break };
                    let is_of_all = response.watch_id == -1;
                    if is_of_all && end.is_some_and(|end| revision(&response) >= end) {
                        self.record(response);
                        return true;
                    }
                    self.record(response);
                }
                known = last.wait_for(Option::is_some), if end.is_none() => {
                    end = known.ok().and_then(|end| *end);
                    ask();
                }
            }
            if n % PROGRESS_EVERY == 0 {
                ask();
            }
        }
        false
    }

    /// Notes a response. One without a watch is of each of the stream.
    fn record(&mut self, response: WatchResponse) {
        let time = self.began.elapsed();
        let one = usize::try_from(response.watch_id - 1).ok();
        for (index, watcher) in self.watchers.iter_mut().enumerate() {
            if one.is_none_or(|one| one == index)
                && let Some(session) = watcher.sessions.last_mut()
            {
                session.responses.push((time, response.clone()));
            }
        }
    }
}

/// Requests of a stream of watches, and its responses.
pub(crate) type WatchStream = (mpsc::Sender<WatchRequest>, Streaming<WatchResponse>);

/// Begins a stream with these watches.
pub(crate) async fn watch_stream(
    client: &mut WatchClient<Channel>,
    creates: Vec<WatchCreateRequest>,
) -> Result<WatchStream, Status> {
    let (requests, stream) = mpsc::channel(creates.len() + 1);
    for create in creates {
        // The channel has room for them.
        let _ = requests.try_send(request(RequestUnion::CreateRequest(create)));
    }
    let responses = client.watch(ReceiverStream::new(stream)).await?;
    Ok((requests, responses.into_inner()))
}

fn request(union: RequestUnion) -> WatchRequest {
    WatchRequest {
        request_union: Some(union),
    }
}

/// Reads every key, again and again until a connection is not lost.
pub(crate) async fn everything(client: &mut Client) -> RangeResponse {
    let (key, range_end) = prefix_range("");
    let range = RangeRequest {
        key,
        range_end,
        ..RangeRequest::default()
    };
    loop {
        let operation = client.call(Request::RequestRange(range.clone())).await;
        if let Some(Response::ResponseRange(range)) = operation.response() {
            return range.clone();
        }
    }
}

/// What the server has from revision 1 to the last one.
pub(crate) async fn changes(address: SocketAddr, began: Instant, last: Option<i64>) -> Watcher {
    let create = WatchCreateRequest {
        prev_kv: true,
        ..prefix("", 1)
    };
    let follower = Follower::new(address, began, vec![create]);
    let (_sender, last) = watch::channel(last);
    follower.follow(last).await.remove(0)
}

/// A watch of all keys with a prefix, from a revision on.
pub(crate) fn prefix(prefix: &str, start_revision: i64) -> WatchCreateRequest {
    let (key, range_end) = prefix_range(prefix);
    WatchCreateRequest {
        key,
        range_end,
        start_revision,
        ..WatchCreateRequest::default()
    }
}

/// The range of the keys with a prefix, as clients of etcd ask for it.
pub(crate) fn prefix_range(prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let key = prefix.as_bytes().to_vec();
    match key.split_last() {
        Some((last, others)) => {
            let end = [others, &[last + 1]].concat();
            (key, end)
        }
        None => (vec![0], vec![0]),
    }
}
