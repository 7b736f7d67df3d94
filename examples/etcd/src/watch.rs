//! The service Watch: a stream is an [`EventSet`], served by the task that sends its responses.
//!
//! The bus carries what the guest has recorded of each change, so a watch that is up to date is
//! sent what it receives. A watch that began in the past has the guest read the changes from the
//! store until it is up to date, and so has every watch of a client that reads too slowly, once the
//! queue of its stream is full: it costs the others nothing.

use std::collections::{HashMap, VecDeque};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use prost::Message as _;
use rangewatch::bus::{ControlError, Event as Emit, EventSet, KeyRange, RecvError, TryRecvError};
use tokio::sync::mpsc;
use tokio::time::{self, Interval, MissedTickBehavior};
use tonic::{Request, Response, Status, Streaming};

use crate::host::Recorded;
use crate::machine::{self, Machine};
use crate::proto::etcdserverpb::watch_create_request::FilterType;
use crate::proto::etcdserverpb::watch_request::RequestUnion;
use crate::proto::etcdserverpb::watch_server::Watch;
use crate::proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use crate::proto::mvccpb::Event;
use crate::proto::mvccpb::event::EventType;
use crate::proto::rangewatch::etcd::{ChangesRequest, ChangesResponse};

/// Responses of a stream that wait for its client.
const MAX_RESPONSES: usize = 16;
/// Changes that wait behind them, and their bytes. The rest stays in the store.
const MAX_QUEUED: usize = 1_024;
const MAX_QUEUED_BYTES: usize = 4 << 20;
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
    type WatchStream = Responses;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (responses, ready) = mpsc::channel(MAX_RESPONSES);
        let mut ticks = time::interval(self.progress_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let events = EventSet::new(self.machine.bus(), MAX_QUEUED, MAX_QUEUED_BYTES);
        let events = events.map_err(|error| Status::unavailable(error.to_string()))?;
        let stream_of_client = Stream {
            machine: self.machine.clone(),
            responses,
            events,
            matched: Vec::new(),
            delivered: 0,
            shown: 0,
            watchers: HashMap::new(),
            due: VecDeque::new(),
            next_id: 0,
            wants_progress: false,
            max_fragment_bytes: self.max_fragment_bytes,
            _counted: Arc::clone(&self.machine.metrics().watch_streams),
        };
        Ok(Response::new(Responses {
            running: Some(Box::pin(stream_of_client.run(request.into_inner(), ticks))),
            ready,
        }))
    }
}

/// The responses of a stream. To poll them runs the stream: in the task that sends them, and only
/// while the client has room for one.
pub(crate) struct Responses {
    /// `None` once it has ended.
    running: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ready: mpsc::Receiver<Answer>,
}

type Answer = Result<WatchResponse, Status>;

impl tokio_stream::Stream for Responses {
    type Item = Answer;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        let this = &mut *self;
        if let Ok(response) = this.ready.try_recv() {
            return Poll::Ready(Some(response));
        }
        if let Some(running) = &mut this.running
            && running.as_mut().poll(cx).is_ready()
        {
            this.running = None;
        }
        match this.ready.try_recv() {
            Ok(response) => Poll::Ready(Some(response)),
            Err(_) if this.running.is_none() => Poll::Ready(None),
            Err(_) => Poll::Pending,
        }
    }
}

/// One stream of a client. It is dropped when the client has gone.
struct Stream {
    machine: Machine,
    responses: mpsc::Sender<Answer>,
    events: EventSet<i64, Recorded>,
    /// The watches of the event that is delivered.
    matched: Vec<i64>,
    /// Its revision.
    delivered: i64,
    /// The revision of the last header. Those of a stream do not go back.
    shown: i64,
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
    range: KeyRange,
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

impl Watcher {
    /// Whether there may be something to read.
    const fn is_due(&self) -> bool {
        self.next <= self.last
    }

    /// The events of a change that this watch is sent. `None`: the guest has to read them.
    fn events(&self, emit: &Emit<Recorded>) -> Option<Vec<Event>> {
        if self.prev_kv {
            return None;
        }
        let mut events = Vec::new();
        for (key, change) in emit.entries() {
            if !self.range.contains(key) {
                continue;
            }
            let event = Event::decode(change.clone()?).ok()?;
            if event.kv.as_ref()?.key != key {
                return None;
            }
            let is_left_out = match event.r#type() {
                EventType::Put => self.no_put,
                EventType::Delete => self.no_delete,
            };
            if !is_left_out {
                events.push(event);
            }
        }
        Some(events)
    }
}

/// The client has gone.
struct Gone;

impl Stream {
    async fn run(mut self, mut requests: Streaming<WatchRequest>, mut ticks: Interval) {
        let machine = self.machine.clone();
        let mut stopping = pin!(machine.stopping());
        let mut is_open = true;
        loop {
            let has_due = !self.due.is_empty();
            let served = tokio::select! {
                biased;
                () = &mut stopping => return,
                request = requests.message(), if is_open => match request {
                    Ok(Some(request)) => self.request(request).await,
                    // A client that has said everything still reads.
                    Ok(None) => {
                        is_open = false;
                        Ok(())
                    }
                    // A request that is no message, or the client has gone.
                    Err(error) => {
                        let _ = self.responses.send(Err(error)).await;
                        return;
                    }
                },
                event = self.events.recv(&mut self.matched) => match event {
                    Ok(event) => self.deliver(&event).await,
                    Err(RecvError::Disconnected { resume }) => self.fall_behind(resume),
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
        let range = match &create.range_end[..] {
            [] => KeyRange::key(&key),
            [0] => KeyRange::unbounded(&key),
            end => match KeyRange::new(&key, end) {
                Ok(range) => range,
                Err(_) => return self.refuse("mvcc: watcher range is empty").await,
            },
        };
        let id = match create.watch_id {
            0 => self.free_id(),
            id if self.watchers.contains_key(&id) => {
                let reason = "mvcc: duplicate watch ID provided on the WatchStream";
                return self.refuse(reason).await;
            }
            id => id,
        };
        while let Err(error) = self.events.insert(id, range.clone()) {
            match error {
                // The queue was full: with what is in it goes the old set.
                ControlError::Ended => self.deliver_up_to(i64::MAX).await?,
                _ => return Err(Gone),
            }
        }
        // After the insertion, so that nothing is missed between the two.
        let head = self.machine.revision();
        let next = match create.start_revision {
            0 => head + 1,
            revision => revision.max(1),
        };
        let filters = |filter: FilterType| create.filters.contains(&filter.into());
        let watcher = Watcher {
            key,
            range_end: create.range_end,
            range,
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
        if watcher.is_due() {
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

    async fn refuse(&mut self, reason: &str) -> Result<(), Gone> {
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
        self.events.remove(&id);
        self.due.retain(|due| *due != id);
        self.watchers.remove(&id).is_some()
    }

    /// Sends a change to the watches that it matches.
    async fn deliver(&mut self, emit: &Emit<Recorded>) -> Result<(), Gone> {
        let revision = emit.value().cast_signed();
        self.delivered = revision;
        for id in std::mem::take(&mut self.matched) {
            let Some(watcher) = self.watchers.get_mut(&id) else {
                continue;
            };
            if revision < watcher.next {
                continue; // it was read, or comes before the start of the watch
            }
            if watcher.is_due() {
                watcher.last = revision;
            } else if let Some(events) = watcher.events(emit) {
                watcher.next = revision + 1;
                self.send_events(id, events, revision.max(self.shown))
                    .await?;
            } else {
                (watcher.next, watcher.last) = (revision, revision);
                self.due.push_back(id);
            }
        }
        Ok(())
    }

    /// Delivers what is queued, up to a revision.
    async fn deliver_up_to(&mut self, revision: i64) -> Result<(), Gone> {
        while self.delivered < revision {
            match self.events.try_recv(&mut self.matched) {
                Ok(emit) => self.deliver(&emit).await?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected { resume }) => return self.fall_behind(resume),
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    /// Begins with an empty queue. What was not in the full one is read from the store.
    fn fall_behind(&mut self, resume: u64) -> Result<(), Gone> {
        let events = EventSet::new(self.machine.bus(), MAX_QUEUED, MAX_QUEUED_BYTES);
        self.events = events.map_err(|_| Gone)?;
        for (id, watcher) in &self.watchers {
            let inserted = self.events.insert(*id, watcher.range.clone());
            inserted.map_err(|_| Gone)?;
        }
        let head = self.machine.revision();
        for (id, watcher) in &mut self.watchers {
            if watcher.is_due() {
                watcher.last = head;
                continue;
            }
            watcher.next = watcher.next.max(resume.cast_signed());
            watcher.last = head;
            if watcher.is_due() {
                self.due.push_back(*id);
            }
        }
        Ok(())
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
            // Source: etcd 3.4, whose header has no revision here.
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
        if watcher.is_due() {
            self.due.push_back(id);
        }
        let head = self.machine.revision();
        self.send_events(id, changes.events, head).await
    }

    /// Sends events, with a revision that is not before theirs.
    async fn send_events(
        &mut self,
        id: i64,
        events: Vec<Event>,
        revision: i64,
    ) -> Result<(), Gone> {
        let Some(watcher) = self.watchers.get_mut(&id).filter(|_| !events.is_empty()) else {
            return Ok(());
        };
        watcher.is_fresh = true;
        (self.machine.metrics().n_events).add(events.len() as u64);
        let max_bytes = watcher.fragment.then_some(self.max_fragment_bytes);
        let response = WatchResponse {
            events,
            ..response(id, revision)
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
            // In a task: nothing polls this stream while its client does not read, and a call that
            // is not polled would keep its guest from the others.
            let (machine, request_now) = (self.machine.clone(), request.clone());
            let read =
                tokio::spawn(async move { machine.read_message("changes", &request_now).await });
            let read = read.await;
            let read: ChangesResponse =
                read.map_err(|error| Status::internal(error.to_string()))??;
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
    async fn served(&mut self) -> Result<Option<i64>, Gone> {
        let head = self.machine.revision();
        self.deliver_up_to(head).await?;
        // A change may be delivered before it is the head of the bus.
        Ok(self.due.is_empty().then(|| head.max(self.delivered)))
    }

    /// Answers the client that has asked for progress, once nothing is due.
    async fn progress(&mut self) -> Result<(), Gone> {
        let Some(head) = self.served().await? else {
            return Ok(());
        };
        self.wants_progress = false;
        self.send(response(-1, head)).await
    }

    /// Tells the watches that have asked for it, and were sent nothing else, how far they are.
    async fn progress_of_each(&mut self) -> Result<(), Gone> {
        let Some(head) = self.served().await? else {
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

    async fn send(&mut self, response: WatchResponse) -> Result<(), Gone> {
        let header = response.header.as_ref();
        self.shown = self.shown.max(header.map_or(0, |header| header.revision));
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
