//! The clients: those that put and those that watch, each with a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use etcd_example::proto::etcdserverpb::kv_client::KvClient;
use etcd_example::proto::etcdserverpb::watch_client::WatchClient;
use etcd_example::proto::etcdserverpb::watch_request::RequestUnion;
use etcd_example::proto::etcdserverpb::{
    PutRequest, RangeRequest, WatchCreateRequest, WatchRequest, WatchResponse,
};
use futures::future::try_join_all;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::server::Server;
use crate::{BoxError, Result};

/// Bytes of a value. It begins with the number of the put.
const VALUE_BYTES: usize = 256;
/// Keys of each folder.
const KEYS_PER_FOLDER: u64 = 10;

/// The keys are in folders, as many as there are watches.
pub(crate) fn folder(number: u64) -> Vec<u8> {
    format!("/registry/pods/ns-{number:05}/").into_bytes()
}

fn key(number: u64, n_folders: u64) -> Vec<u8> {
    let mut key = folder(number % n_folders);
    let pod = number / n_folders % KEYS_PER_FOLDER;
    key.extend(format!("pod-{pod:05}").bytes());
    key
}

/// What all clients of a server know.
#[derive(Debug)]
pub(crate) struct Puts {
    began: Instant,
    /// When each put began, in nanoseconds since `began`.
    started: Vec<AtomicU64>,
    next: AtomicU64,
}

impl Puts {
    /// Room for that many puts.
    pub(crate) fn new(n_puts: u64) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            started: (0..n_puts).map(|_| AtomicU64::new(0)).collect(),
            next: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Clients that put, one request after the other.
#[derive(Debug)]
pub(crate) struct Writers {
    clients: Vec<KvClient<Channel>>,
    puts: Arc<Puts>,
    n_folders: u64,
}

impl Writers {
    pub(crate) async fn connect(
        server: &Server,
        n_clients: usize,
        puts: &Arc<Puts>,
        n_folders: u64,
    ) -> Result<Self> {
        let channels = try_join_all((0..n_clients).map(|_| server.connect())).await?;
        Ok(Self {
            clients: channels.into_iter().map(KvClient::new).collect(),
            puts: Arc::clone(puts),
            n_folders,
        })
    }

    /// Puts that many more, as fast as the server answers, or one by each client in each `pace`.
    pub(crate) async fn put(&self, n_puts: u64, pace: Option<Duration>) -> Result<Duration> {
        let began = Instant::now();
        let end = self.puts.next.load(Ordering::Relaxed) + n_puts;
        let mut clients = JoinSet::new();
        for (nth, client) in self.clients.iter().enumerate() {
            let (mut client, puts, n_folders) =
                (client.clone(), Arc::clone(&self.puts), self.n_folders);
            let offset =
                pace.unwrap_or_default() * u32::try_from(nth)? / u32::try_from(self.clients.len())?;
            clients.spawn(async move {
                let mut due = tokio::time::Instant::now() + offset;
                loop {
                    if let Some(pace) = pace {
                        tokio::time::sleep_until(due).await;
                        due += pace;
                    }
                    // The last ones of the clients end one too far, and give it back together.
                    let number = puts.next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return Ok(());
                    }
                    let mut value = number.to_le_bytes().to_vec();
                    value.resize(VALUE_BYTES, b'x');
                    let request = PutRequest {
                        key: key(number, n_folders),
                        value,
                        ..PutRequest::default()
                    };
                    puts.started[number as usize].store(puts.now(), Ordering::Relaxed);
                    client.put(request).await?;
                }
            });
        }
        joined(clients).await?;
        self.puts.next.store(end, Ordering::Relaxed);
        Ok(began.elapsed())
    }
}

/// Clients that read.
#[derive(Debug)]
pub(crate) struct Readers(Vec<KvClient<Channel>>);

impl Readers {
    pub(crate) async fn connect(server: &Server, n_clients: usize) -> Result<Self> {
        let channels = try_join_all((0..n_clients).map(|_| server.connect())).await?;
        Ok(Self(channels.into_iter().map(KvClient::new).collect()))
    }

    /// Reads `n_keys` keys from a random one on, `n_reads` times in all.
    pub(crate) async fn read(&self, n_reads: u64, n_keys: i64, n_folders: u64) -> Result<Duration> {
        let began = Instant::now();
        let n_clients = self.0.len() as u64;
        let mut clients = JoinSet::new();
        for (nth, client) in (0..).zip(&self.0) {
            let mut client = client.clone();
            clients.spawn(async move {
                for number in (nth..n_reads).step_by(usize::try_from(n_clients)?) {
                    let request = RangeRequest {
                        key: key(number * 7_919 % (n_folders / 2), n_folders),
                        range_end: if n_keys == 1 { Vec::new() } else { vec![0] },
                        limit: n_keys,
                        ..RangeRequest::default()
                    };
                    let read = client.range(request).await?.into_inner();
                    if read.kvs.len() as i64 != n_keys {
                        return Err(format!("{} keys, not {n_keys}", read.kvs.len()).into());
                    }
                }
                Ok(())
            });
        }
        joined(clients).await?;
        Ok(began.elapsed())
    }
}

/// Streams that watch, each some of the folders.
#[derive(Debug)]
pub(crate) struct Watchers {
    received: Arc<Received>,
    tasks: JoinSet<Result<()>>,
    /// Those that nobody reads.
    stalled: Vec<WatchStream>,
}

#[derive(Debug, Default)]
struct Received {
    /// The nanoseconds that each event took, from the begin of its put.
    latencies: Mutex<Vec<f64>>,
    /// How many are waited for.
    awaited: AtomicUsize,
    is_complete: Notify,
}

impl Received {
    fn push(&self, events: impl IntoIterator<Item = f64>) {
        let mut latencies = self.latencies.lock();
        latencies.extend(events);
        if latencies.len() >= self.awaited.load(Ordering::Relaxed) {
            self.is_complete.notify_one();
        }
    }
}

#[derive(Debug)]
struct WatchStream {
    /// Without it the client has said everything.
    _requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Watchers {
    /// Opens `n_streams` streams of together `n_watches`, each of one folder, and waits until all
    /// are created.
    pub(crate) async fn open(
        server: &Server,
        n_streams: usize,
        n_watches: u64,
        puts: &Arc<Puts>,
    ) -> Result<Self> {
        let received = Arc::new(Received::default());
        let mut tasks = JoinSet::new();
        for nth in 0..n_streams as u64 {
            let folders = (nth..n_watches).step_by(n_streams);
            let mut stream = open(server, folders.map(folder)).await?;
            let (puts, received) = (Arc::clone(puts), Arc::clone(&received));
            tasks.spawn(async move {
                while let Some(response) = stream.responses.message().await? {
                    let now = puts.now();
                    let mut of_response = Vec::with_capacity(response.events.len());
                    for event in response.events {
                        let value = event.kv.unwrap_or_default().value;
                        let number = value.first_chunk().ok_or("a value of somebody else")?;
                        let started = &puts.started[u64::from_le_bytes(*number) as usize];
                        of_response.push((now - started.load(Ordering::Relaxed)) as f64);
                    }
                    received.push(of_response);
                }
                Err(BoxError::from("a stream of watches has ended"))
            });
        }
        Ok(Self {
            received,
            tasks,
            stalled: Vec::new(),
        })
    }

    /// Opens streams that watch everything and read nothing.
    pub(crate) async fn stall(&mut self, server: &Server, n_streams: usize) -> Result<()> {
        for _ in 0..n_streams {
            self.stalled
                .push(open(server, std::iter::once(b"/".to_vec())).await?);
        }
        Ok(())
    }

    /// Waits for that many events since the start, and returns the nanoseconds that each took from
    /// the begin of its put, those before `since` left out.
    pub(crate) async fn received(&mut self, since: usize, n_events: usize) -> Result<Vec<f64>> {
        self.received.awaited.store(n_events, Ordering::Relaxed);
        while self.received.latencies.lock().len() < n_events {
            tokio::select! {
                () = self.received.is_complete.notified() => {}
                Some(ended) = self.tasks.join_next() => {
                    ended??;
                    return Err("a stream of watches has ended".into());
                }
            }
        }
        let all = self.received.latencies.lock();
        match all.len() {
            n if n == n_events => Ok(all[since..].to_vec()),
            n => Err(format!("{n} events of {n_events}").into()),
        }
    }
}

/// Opens a stream that watches prefixes.
async fn open(server: &Server, prefixes: impl Iterator<Item = Vec<u8>>) -> Result<WatchStream> {
    let (requests, to_send) = mpsc::channel(1);
    let mut client = WatchClient::new(server.connect().await?);
    // The server answers when it has a request.
    let watch = client.watch(ReceiverStream::new(to_send));
    let prefixes: Vec<_> = prefixes.collect();
    let n_watches = prefixes.len();
    let create = async {
        for prefix in prefixes {
            let mut range_end = prefix.clone();
            if let Some(last) = range_end.last_mut() {
                *last += 1;
            }
            let create = WatchCreateRequest {
                key: prefix,
                range_end,
                ..WatchCreateRequest::default()
            };
            let request = WatchRequest {
                request_union: Some(RequestUnion::CreateRequest(create)),
            };
            requests.send(request).await?;
        }
        Ok::<_, BoxError>(())
    };
    let read = async {
        let mut responses = watch.await?.into_inner();
        for _ in 0..n_watches {
            let response = responses.message().await?;
            if !response.is_some_and(|response| response.created) {
                return Err("a watch is not created".into());
            }
        }
        Ok(responses)
    };
    let ((), responses) = tokio::try_join!(create, read)?;
    Ok(WatchStream {
        _requests: requests,
        responses,
    })
}

async fn joined(mut clients: JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}
