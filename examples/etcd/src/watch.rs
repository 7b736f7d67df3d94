//! The service Watch: a stream is a set of wake subscriptions, and one task that serves them.
//!
//! A subscription says that something in its range has changed; the task then has the guest scan
//! the store from the revision that the watch has reached. A client that reads slowly makes its own
//! task wait, and its subscriptions merge what they miss: it costs the others nothing.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use rangewatch::Selector;
use rangewatch::bus::{Span, WakeSubscription, WatchSet};
use tokio::sync::mpsc;
use tokio::time::{self, Interval, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::machine::{self, Machine};
use crate::proto::etcdserverpb::watch_create_request::FilterType;
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::watch_server::Watch;
use crate::proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use crate::proto::rangewatch::etcd::{ChangesRequest, ChangesResponse};

/// Responses of a stream that wait for its client. The rest stays in the store.
const MAX_QUEUED: usize = 16;
/// Bytes of events that are read at once for one watch: what a client that did not ask for
/// fragments receives in one response.
const MAX_SCANNED: i64 = 64 << 20;

/// Calls of the guest that one response may take.
const MAX_SCANS: usize = 64;

pub(crate) struct WatchService {
    pub(crate) machine: Machine,
    pub(crate) progress_interval: Duration,
    /// Bytes of a response to a watch that asked for fragments.
    pub(crate) max_fragment_bytes: usize,
}

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (responses, stream) = mpsc::channel(MAX_QUEUED);
        let mut ticks = time::interval(self.progress_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let stream_of_client = Stream {
            machine: self.machine.clone(),
            responses,
            set: WatchSet::new(),
            watchers: HashMap::new(),
            due: VecDeque::new(),
            next_id: 0,
            wants_progress: false,
            max_fragment_bytes: self.max_fragment_bytes,
            _counted: Arc::clone(&self.machine.metrics().watch_streams),
        };
        tokio::spawn(stream_of_client.run(request.into_inner(), ticks));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// One stream of a client.
struct Stream {
    machine: Machine,
    responses: mpsc::Sender<Result<WatchResponse, Status>>,
    set: WatchSet<i64>,
    watchers: HashMap<i64, Watcher>,
    /// The watches that have something to read, in the order in which it was noticed.
    due: VecDeque<i64>,
    next_id: i64,
    /// Whether the client has asked for the progress of the stream.
    wants_progress: bool,
    max_fragment_bytes: usize,
    _counted: Arc<()>,
}

struct Watcher {
    key: Vec<u8>,
    range_end: Vec<u8>,
    /// The revision from which on nothing has been read.
    next: i64,
    /// The revision up to which there may be something to read.
    last: i64,
    no_put: bool,
    no_delete: bool,
    prev_kv: bool,
    fragment: bool,
    progress_notify: bool,
    /// Whether something was sent since the last tick.
    is_fresh: bool,
    _counted: Arc<()>,
}

/// The client has gone.
struct Gone;

impl Stream {
    async fn run(mut self, mut requests: Streaming<WatchRequest>, mut ticks: Interval) {
        let (machine, responses) = (self.machine.clone(), self.responses.clone());
        let mut stopping = pin!(machine.stopping());
        let mut is_open = true;
        loop {
            let has_due = !self.due.is_empty();
            let served = tokio::select! {
                biased;
                () = responses.closed() => return,
                () = &mut stopping => return,
                request = requests.message(), if is_open => match request {
                    Ok(Some(request)) => self.request(request).await,
                    // A client that has said everything still reads.
                    Ok(None) => {
                        is_open = false;
                        Ok(())
                    }
                    Err(_) => return,
                },
                (id, span) = self.set.recv() => match span {
                    Ok(span) => {
                        self.noticed(id, span);
                        Ok(())
                    }
                    // The server stops.
                    Err(_) => return,
                },
                _ = ticks.tick() => self.progress_of_each().await,
                () = std::future::ready(()), if has_due => self.serve_next().await,
            };
            if served.is_err() || (self.wants_progress && self.progress().await.is_err()) {
                return;
            }
        }
    }

    async fn request(&mut self, request: WatchRequest) -> Result<(), Gone> {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create).await,
            Some(RequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id).await,
            Some(RequestUnion::ProgressRequest(_)) => {
                self.wants_progress = true;
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn create(&mut self, create: WatchCreateRequest) -> Result<(), Gone> {
        let key = match create.key.is_empty() {
            true => vec![0],
            false => create.key,
        };
        let selector = match &create.range_end[..] {
            [] => Selector::key(&key),
            [0] => Selector::from_key(&key),
            end if key[..] < *end => Selector::range(&key, end),
            _ => return self.refuse("mvcc: watcher range is empty").await,
        };
        let id = match create.watch_id {
            0 => self.free_id(),
            id if self.watchers.contains_key(&id) => {
                let reason = "mvcc: duplicate watch ID provided on the WatchStream";
                return self.refuse(reason).await;
            }
            id => id,
        };
        let Ok(subscription) = self.machine.bus().subscribe(selector).wake() else {
            return self.refuse("etcdserver: too many watches").await;
        };
        // After the subscription, so that nothing is missed between the two.
        let head = self.machine.revision();
        let next = match create.start_revision {
            0 => head + 1,
            revision => revision.max(1),
        };
        self.set.insert(id, subscription);
        let filters = |filter: FilterType| create.filters.contains(&filter.into());
        let watcher = Watcher {
            key,
            range_end: create.range_end,
            next,
            last: head,
            no_put: filters(FilterType::Noput),
            no_delete: filters(FilterType::Nodelete),
            prev_kv: create.prev_kv,
            fragment: create.fragment,
            progress_notify: create.progress_notify,
            is_fresh: false,
            _counted: Arc::clone(&self.machine.metrics().watches),
        };
        if watcher.next <= watcher.last {
            self.due.push_back(id);
        }
        self.watchers.insert(id, watcher);
        self.send(WatchResponse {
            created: true,
            ..response(id, head)
        })
        .await
    }

    /// The next id that the client has not chosen itself.
    fn free_id(&mut self) -> i64 {
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    async fn refuse(&self, reason: &str) -> Result<(), Gone> {
        self.send(WatchResponse {
            created: true,
            canceled: true,
            cancel_reason: reason.to_owned(),
            ..response(-1, self.machine.revision())
        })
        .await
    }

    async fn cancel(&mut self, id: i64) -> Result<(), Gone> {
        if !self.remove(id) {
            return Ok(());
        }
        self.send(WatchResponse {
            canceled: true,
            ..response(id, self.machine.revision())
        })
        .await
    }

    fn remove(&mut self, id: i64) -> bool {
        self.set.remove(&id);
        self.due.retain(|due| *due != id);
        self.watchers.remove(&id).is_some()
    }

    /// Notes that a watch may have something to read.
    fn noticed(&mut self, id: i64, span: Span) {
        let Some(watcher) = self.watchers.get_mut(&id) else {
            return;
        };
        let last = span.last().cast_signed();
        let was_due = watcher.next <= watcher.last;
        watcher.last = watcher.last.max(last);
        if !was_due {
            // What lies between was of other keys.
            watcher.next = watcher.next.max(span.first().cast_signed());
            if watcher.next <= watcher.last {
                self.due.push_back(id);
            }
        }
    }

    /// Reads what is due to the watch that has waited longest, and sends it.
    async fn serve_next(&mut self) -> Result<(), Gone> {
        let Some(id) = self.due.pop_front() else {
            return Ok(());
        };
        let Some(watcher) = self.watchers.get(&id) else {
            return Ok(());
        };
        let mut request = ChangesRequest {
            key: watcher.key.clone(),
            range_end: watcher.range_end.clone(),
            from: watcher.next,
            to: watcher.last,
            prev_kv: watcher.prev_kv,
            no_put: watcher.no_put,
            no_delete: watcher.no_delete,
            max_bytes: MAX_SCANNED,
        };
        let changes = match self.changes(&mut request).await {
            Ok(changes) => changes,
            Err(error) => {
                // An error means that the client has gone, too.
                let _ = self.responses.send(Err(error)).await;
                return Err(Gone);
            }
        };
        if changes.compact_revision > 0 {
            self.remove(id);
            return self
                .send(WatchResponse {
                    canceled: true,
                    compact_revision: changes.compact_revision,
                    ..response(id, 0)
                })
                .await;
        }
        let Some(watcher) = self.watchers.get_mut(&id) else {
            return Ok(());
        };
        watcher.next = changes.next;
        if watcher.next <= watcher.last {
            self.due.push_back(id);
        }
        if changes.events.is_empty() {
            return Ok(());
        }
        watcher.is_fresh = true;
        (self.machine.metrics().n_events).add(changes.events.len() as u64);
        let max_bytes = watcher.fragment.then_some(self.max_fragment_bytes);
        let response = WatchResponse {
            events: changes.events,
            ..response(id, self.machine.revision())
        };
        for response in fragments(response, max_bytes) {
            self.send(response).await?;
        }
        Ok(())
    }

    /// Reads the changes that a request asks for. The guest bounds the work of one call, so that
    /// this takes several, up to a number that lets other watches have their turn.
    async fn changes(&self, request: &mut ChangesRequest) -> Result<ChangesResponse, Status> {
        let mut changes = ChangesResponse::default();
        for _ in 0..MAX_SCANS {
            let read = self
                .machine
                .read("changes", request.encode_to_vec())
                .await?;
            let read = ChangesResponse::decode(read);
            let read = read.map_err(|error| Status::internal(error.to_string()))?;
            request.max_bytes -= read
                .events
                .iter()
                .map(|event| event.encoded_len() as i64)
                .sum::<i64>();
            request.from = read.next;
            changes.next = read.next;
            changes.events.extend(read.events);
            if read.compact_revision > 0 && changes.events.is_empty() {
                changes.compact_revision = read.compact_revision;
            }
            if read.compact_revision > 0 || read.next > request.to || request.max_bytes <= 0 {
                break;
            }
        }
        Ok(changes)
    }

    /// The revision up to which every watch has been served; `None` if one is due.
    fn served(&mut self) -> Option<i64> {
        // Before the spans: what was emitted up to here is in them. The set hears of them later, so
        // each subscription is asked.
        let head = self.machine.revision();
        let ids = self.watchers.keys().copied().collect::<Vec<_>>();
        for id in ids {
            if let Some(Ok(span)) = self.set.with(&id, WakeSubscription::try_recv) {
                self.noticed(id, span);
            }
        }
        self.due.is_empty().then_some(head)
    }

    /// Answers the client that has asked for progress, once nothing is due.
    async fn progress(&mut self) -> Result<(), Gone> {
        let Some(head) = self.served() else {
            return Ok(());
        };
        self.wants_progress = false;
        self.send(response(-1, head)).await
    }

    /// Tells the watches that have asked for it, and were sent nothing else, how far they are.
    async fn progress_of_each(&mut self) -> Result<(), Gone> {
        let Some(head) = self.served() else {
            return Ok(());
        };
        let mut idle = Vec::new();
        for (id, watcher) in &mut self.watchers {
            if !std::mem::take(&mut watcher.is_fresh)
                && watcher.progress_notify
                && watcher.next <= head + 1
            {
                idle.push(*id);
            }
        }
        for watch_id in idle {
            self.send(response(watch_id, head)).await?;
        }
        Ok(())
    }

    async fn send(&self, response: WatchResponse) -> Result<(), Gone> {
        self.responses.send(Ok(response)).await.map_err(|_| Gone)
    }
}

/// A response of which nothing but the header and the id is set.
fn response(watch_id: i64, revision: i64) -> WatchResponse {
    WatchResponse {
        header: Some(machine::header(revision)),
        watch_id,
        ..WatchResponse::default()
    }
}

/// Splits a response between events, so that none has more bytes than that unless one event has.
fn fragments(mut response: WatchResponse, max_bytes: Option<usize>) -> Vec<WatchResponse> {
    let Some(max_bytes) = max_bytes.filter(|&max| response.encoded_len() > max) else {
        return vec![response];
    };
    let events = std::mem::take(&mut response.events);
    response.fragment = true;
    let head = response;
    let mut fragments = vec![head.clone()];
    let mut n_bytes = head.encoded_len();
    for event in events {
        let event_bytes = event.encoded_len() + 8;
        if n_bytes + event_bytes > max_bytes
            && fragments.last().is_some_and(|last| !last.events.is_empty())
        {
            fragments.push(head.clone());
            n_bytes = head.encoded_len();
        }
        n_bytes += event_bytes;
        if let Some(last) = fragments.last_mut() {
            last.events.push(event);
        }
    }
    if let Some(last) = fragments.last_mut() {
        last.fragment = false;
    }
    fragments
}
