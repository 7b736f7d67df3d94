//! The state machine: a guest that writes, a pool of it that reads, and the group commit.

use std::fmt;
use std::future::ready;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use rangewatch::{
    CallError, ErrorChain, Guest, GuestBus, History, Limits, Module, RangeWatchBus, Runtime, Val,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::BoxError;
use crate::host::{self, Call, Emits, Recorded};
use crate::metrics::Metrics;
use crate::proto::etcdserverpb::ResponseHeader;
use crate::proto::rangewatch::etcd::ScrubResponse;
use crate::store::{Snapshot, Store, StoreError, Writes};
use crate::view::View;

/// The guest, built from `guest/`.
pub const GUEST: &[u8] = include_bytes!("../guest/etcd_guest.wasm");

/// Instances for requests that only read.
const N_READERS: u32 = 4;

/// Requests of one group at most.
const MAX_GROUP: usize = 1_024;
/// Bytes that the writes of one group may have before the next begins.
const MAX_GROUP_BYTES: usize = 16 << 20;
/// Requests that wait for the writer. Beyond that, callers wait to send theirs.
const MAX_WAITING: usize = 4_096;

/// The ids in the header of each response: of the cluster, and of its only member.
pub(crate) const CLUSTER_ID: u64 = 0x7261_6e67_6577_6174;
pub(crate) const MEMBER_ID: u64 = 0x6368_6275_735f_3031;
/// The name of the member.
pub(crate) const MEMBER_NAME: &str = "default";
/// There is no election, and so one term.
pub(crate) const RAFT_TERM: u64 = 2;

/// Operations of each branch of a transaction, and comparisons.
const MAX_TXN_OPS: u64 = 128;

/// A handle of the state machine. Clones share it; it ends when all are dropped.
#[derive(Clone)]
pub struct Machine {
    readers: Arc<Guest>,
    writer: mpsc::Sender<Request>,
    /// What clients see.
    published: Arc<RwLock<Snapshot>>,
    bus: RangeWatchBus<Recorded>,
    /// The writer has the store, so that it is closed when the writer has ended.
    store: Weak<Store>,
    metrics: Arc<Metrics>,
    stopping: watch::Receiver<bool>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (f.debug_struct("Machine").field("bus", &self.bus)).finish_non_exhaustive()
    }
}

struct Request {
    export: &'static str,
    input: Vec<u8>,
    reply: Reply,
}

type Answer = Result<Bytes, Status>;
type Reply = oneshot::Sender<Answer>;

impl Machine {
    /// Starts the guest on a runtime, over a store. Once `stopping` is true, requests that write
    /// are refused, and the task ends that is returned, with the store.
    ///
    /// # Errors
    ///
    /// The guest cannot be loaded or instantiated; the store cannot be read.
    pub async fn start(
        runtime: &dyn Runtime,
        store: Store,
        stopping: watch::Receiver<bool>,
    ) -> Result<(Self, JoinHandle<()>), BoxError> {
        let module = runtime.load(GUEST).await?;
        let snapshot = store.snapshot();
        let bus = RangeWatchBus::builder()
            .name("etcd")
            .payloads::<Recorded>()
            .payload_bytes(|change| change.as_ref().map_or(0, Bytes::len))
            .history(History::events(1 << 16).bytes(16 << 20))
            .head(head(&module, &snapshot).await?)
            .build()?;
        let store = Arc::new(store);
        let metrics = Arc::new(Metrics::new()?);
        let published = Arc::new(RwLock::new(snapshot.clone()));
        let (writer, requests) = mpsc::channel(MAX_WAITING);
        let groups = Groups {
            guest: guest(&module, &bus, 1).await?,
            store: Arc::clone(&store),
            metrics: Arc::clone(&metrics),
            published: Arc::clone(&published),
            base: snapshot,
            writes: Arc::default(),
            n_bytes: 0,
            replies: Vec::new(),
            emits: Vec::new(),
            committing: None,
            // The last server may have ended before its scrub.
            may_scrub: true,
        };
        let machine = Self {
            readers: Arc::new(guest(&module, &bus, N_READERS).await?),
            writer,
            published,
            bus,
            store: Arc::downgrade(&store),
            metrics,
            stopping: stopping.clone(),
        };
        drop(store);
        machine.metrics.count_keys(&machine).await?;
        let ended = tokio::spawn(groups.run(requests, stopping));
        Ok((machine, ended))
    }

    /// Calls an export of the guest that writes, and waits until what it wrote is on disk.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether the request takes effect.
    ///
    /// # Errors
    ///
    /// What the guest answers; `UNAVAILABLE` when the server stops; `INTERNAL` when the guest traps
    /// or the store fails: nothing has been written then.
    pub async fn write(&self, export: &'static str, input: Vec<u8>) -> Answer {
        let (reply, answer) = oneshot::channel();
        let request = Request {
            export,
            input,
            reply,
        };
        self.writer.send(request).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Calls an export of the guest that reads, on what was published when this was called.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is changed.
    ///
    /// # Errors
    ///
    /// What the guest answers; `INTERNAL` when it traps or the store fails.
    pub async fn read(&self, export: &'static str, input: Vec<u8>) -> Answer {
        let snapshot = self.published.read().clone();
        read(&self.readers, snapshot, export, input).await
    }

    /// [`read`](Self::read), from message to message.
    pub(crate) async fn read_message<R: Message + Default>(
        &self,
        export: &'static str,
        request: &impl Message,
    ) -> Result<R, Status> {
        decode(&self.read(export, request.encode_to_vec()).await?)
    }

    /// The bus, whose head is the revision that clients see.
    #[must_use]
    pub fn bus(&self) -> &RangeWatchBus<Recorded> {
        &self.bus
    }

    /// What the server counts.
    pub(crate) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Whether requests would be served: the guest reads, and the store takes commits.
    pub(crate) async fn is_healthy(&self) -> bool {
        let store = self.store.upgrade();
        let has_failed = store.is_none_or(|store| store.has_failed());
        !has_failed && self.read("head", Vec::new()).await.is_ok()
    }

    /// The bytes of the store.
    pub(crate) fn stored_bytes(&self) -> Result<i64, Status> {
        let Some(store) = self.store.upgrade() else {
            return Err(stopped());
        };
        let n_bytes = store.n_bytes();
        let n_bytes = n_bytes.map_err(|error| failed(&error))?;
        Ok(n_bytes.cast_signed())
    }

    /// Waits until the server stops.
    pub(crate) async fn stopping(&self) {
        stops(&mut self.stopping.clone()).await;
    }

    /// The revision that clients see.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.bus.head().map_or(0, u64::cast_signed)
    }
}

/// The requests that run one after the other, and are committed in groups: while one group is
/// written to the disk the next runs.
struct Groups {
    guest: Guest,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    published: Arc<RwLock<Snapshot>>,
    /// What was on disk before the group that is being committed.
    base: Snapshot,
    /// What the requests of this group have written.
    writes: Arc<Writes>,
    n_bytes: usize,
    replies: Vec<(Reply, Answer)>,
    emits: Vec<Emits>,
    committing: Option<Committing>,
    /// There may be records that a compaction made unreachable.
    may_scrub: bool,
}

/// A group that is written to the disk.
struct Committing {
    writes: Arc<Writes>,
    emits: Vec<Emits>,
    replies: Vec<(Reply, Answer)>,
    done: JoinHandle<Result<Snapshot, StoreError>>,
}

impl Groups {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut is_open = true;
        while is_open || self.committing.is_some() || !self.replies.is_empty() {
            let has_room = self.replies.len() < MAX_GROUP && self.n_bytes < MAX_GROUP_BYTES;
            // A group begins when nobody else waits to be part of it.
            let is_due = !self.is_empty() && (!has_room || requests.is_empty());
            if self.committing.is_none() && is_due {
                self.commit();
            }
            // One step for each group, so that no request waits for more.
            if self.may_scrub && self.is_empty() && !requests.is_closed() {
                self.scrub().await;
                continue;
            }
            tokio::select! {
                biased;
                committed = committed(&mut self.committing) => self.end_commit(committed),
                // Those that wait already are served.
                () = stops(&mut stopping), if !requests.is_closed() => {
                    requests.close();
                }
                request = requests.recv(), if is_open && has_room => match request {
                    Some(request) => self.execute(request).await,
                    None => is_open = false,
                },
            }
        }
    }

    /// Whether the group has nothing to commit.
    fn is_empty(&self) -> bool {
        self.replies.is_empty() && self.writes.is_empty()
    }

    async fn execute(&mut self, request: Request) {
        let Request {
            export,
            input,
            reply,
        } = request;
        let answer = self.call(export, input).await;
        self.may_scrub |= export == "compact" && answer.is_ok();
        self.replies.push((reply, answer));
    }

    /// Removes some of what compactions made unreachable. After an error the next compaction goes
    /// on.
    async fn scrub(&mut self) {
        let answer = self.call("scrub", Vec::new()).await;
        let response = answer.ok().map(ScrubResponse::decode);
        self.may_scrub = matches!(response, Some(Ok(ScrubResponse { more: true })));
    }

    /// Calls an export over what the earlier calls have written. Nothing of one that fails remains.
    async fn call(&mut self, export: &str, input: Vec<u8>) -> Answer {
        let committing = self
            .committing
            .as_ref()
            .map(|group| Arc::clone(&group.writes));
        let layers = committing.into_iter().chain([Arc::clone(&self.writes)]);
        let (call, mut written) = Call::writing(View::new(self.base.clone(), layers.collect()));
        let caller = self.guest.caller().context(call);
        let answer = answer(caller.call_bytes(export, input).await);
        if answer.is_ok()
            && let Ok(written) = written.try_recv()
        {
            self.n_bytes += written.n_bytes;
            Arc::make_mut(&mut self.writes).extend(written.writes);
            self.emits.push(written.emits);
        }
        answer
    }

    /// Begins to commit the group.
    fn commit(&mut self) {
        self.n_bytes = 0;
        let writes = std::mem::take(&mut self.writes);
        let (store, metrics) = (Arc::clone(&self.store), Arc::clone(&self.metrics));
        let (base, to_write) = (self.base.clone(), Arc::clone(&writes));
        let done = tokio::task::spawn_blocking(move || {
            if to_write.is_empty() {
                return Ok(base);
            }
            let begun = Instant::now();
            let synced = store.commit(&to_write)?;
            metrics.committed(&to_write, begun.elapsed(), synced);
            Ok(store.snapshot())
        });
        self.committing = Some(Committing {
            writes,
            emits: std::mem::take(&mut self.emits),
            replies: std::mem::take(&mut self.replies),
            done,
        });
    }

    fn end_commit(&mut self, (group, committed): (Committing, Result<Snapshot, StoreError>)) {
        match committed {
            Ok(snapshot) => {
                self.base = snapshot.clone();
                // While this one is published the disk works for the next.
                if !self.is_empty() {
                    self.commit();
                }
                // Before the emits: who hears of a revision can read it.
                *self.published.write() = snapshot;
                publish(group.emits);
                for (reply, answer) in group.replies {
                    // An error means that the client has gone.
                    let _ = reply.send(answer);
                }
            }
            // What ran meanwhile has seen what is not there.
            Err(error) => {
                tracing::error!(error = %ErrorChain::new(&error), "a commit failed");
                self.writes = Arc::default();
                self.emits.clear();
                self.n_bytes = 0;
                self.may_scrub = false;
                fail(group.replies, &error);
                fail(std::mem::take(&mut self.replies), &error);
            }
        }
    }
}

async fn stops(stopping: &mut watch::Receiver<bool>) {
    // An error means that nobody can say it any more.
    let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
}

fn stopped() -> Status {
    Status::unavailable("etcdserver: server stopped")
}

/// Waits until a group is committed. Without one it never resolves.
async fn committed(
    committing: &mut Option<Committing>,
) -> (Committing, Result<Snapshot, StoreError>) {
    let done = match committing {
        Some(group) => (&mut group.done).await,
        None => std::future::pending().await,
    };
    let group = committing.take().expect("it was waited for");
    (group, done.unwrap_or_else(|panic| Err(panic.into())))
}

fn publish(emits: Vec<Emits>) {
    for emits in emits {
        if let Err(error) = emits.publish() {
            // The bus is closed only when the server stops.
            tracing::error!(%error, "committed, and not published");
        }
    }
}

fn fail(replies: Vec<(Reply, Answer)>, error: &StoreError) {
    for (reply, _) in replies {
        let _ = reply.send(Err(failed(error)));
    }
}

/// The status of a request when the store has failed.
fn failed(error: &StoreError) -> Status {
    Status::internal(format!("etcdserver: {}", ErrorChain::new(error)))
}

/// A pool of guests on the bus.
async fn guest(
    module: &Module,
    bus: &RangeWatchBus<Recorded>,
    n_instances: u32,
) -> Result<Guest, BoxError> {
    // Runs when a call has succeeded. What it has staged is published after the commit.
    let bus = GuestBus::on_commit(bus, |cx, staged| {
        // `configure` is called without one, and stages nothing.
        let ended = cx
            .take_context::<Call>()
            .map_or(Ok(()), |call| call.end(staged));
        Box::pin(ready(ended))
    });
    let guest = Guest::builder(module, &bus)
        .host_module(host::module())
        .limits(limits())
        .pool(n_instances, 1)
        .on_instance(|session| {
            Box::pin(async move {
                let config = [CLUSTER_ID, MEMBER_ID, RAFT_TERM, MAX_TXN_OPS];
                let config = config.map(|field| Val::I64(field.cast_signed()));
                session.call("configure", &config).await?;
                Ok(())
            })
        })
        .instantiate()
        .await?;
    Ok(guest)
}

/// The header of a response.
pub(crate) fn header(revision: i64) -> ResponseHeader {
    ResponseHeader {
        cluster_id: CLUSTER_ID,
        member_id: MEMBER_ID,
        revision,
        raft_term: RAFT_TERM,
    }
}

fn limits() -> Limits {
    Limits::default()
        .fuel_per_call(10_000_000_000)
        // For responses of hundreds of MiB. What most calls do not need is given back.
        .memory_bytes(1 << 30)
        .recycle_bytes(64 << 20)
        .output_bytes(1 << 30)
        .staged_keys(1 << 20)
        .staged_bytes(256 << 20)
        .staged_matches(1 << 24)
}

/// The revision of a store, as its guest knows it.
async fn head(module: &Module, snapshot: &Snapshot) -> Result<u64, BoxError> {
    let bus = RangeWatchBus::builder().payloads().build()?;
    let guest = guest(module, &bus, 1).await?;
    let header = read(&guest, snapshot.clone(), "head", Vec::new()).await?;
    let header = ResponseHeader::decode(header)?;
    Ok(header.revision.cast_unsigned())
}

/// Calls an export that reads, on a snapshot.
async fn read(guest: &Guest, snapshot: Snapshot, export: &str, input: Vec<u8>) -> Answer {
    let call = Call::reading(View::new(snapshot, Vec::new()));
    let caller = guest.caller().context(call);
    answer(caller.call_bytes(export, input).await)
}

/// The message that the guest answers.
pub(crate) fn decode<M: Message + Default>(answer: &[u8]) -> Result<M, Status> {
    M::decode(answer).map_err(|error| Status::internal(error.to_string()))
}

/// What the guest answers: the code of the status in one byte, then the response or the message.
fn answer(called: Result<Vec<u8>, CallError>) -> Answer {
    let mut answer = match called {
        Ok(answer) => Bytes::from(answer),
        Err(error) => {
            tracing::error!(error = %ErrorChain::new(&error), "a call of the guest failed");
            return Err(Status::internal(format!(
                "etcdserver: {}",
                ErrorChain::new(&error)
            )));
        }
    };
    if answer.is_empty() {
        return Err(Status::internal("etcdserver: the guest answers nothing"));
    }
    match answer.split_to(1)[0] {
        0 => Ok(answer),
        code => {
            let message = String::from_utf8_lossy(&answer).into_owned();
            Err(Status::new(Code::from_i32(code.into()), message))
        }
    }
}

#[cfg(test)]
mod tests;
