//! The bus and the crates that it is compared with, behind one interface.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use rangewatch_bus::{EventSubscription, RangeWatchBus, Selector};
use span_map::SpanMap;
use tokio::sync::mpsc;
use topic_stream::{MultiTopicReceiver, TopicStream};

/// The names that [`peer`] knows.
pub(crate) const NAMES: [&str; 3] = ["ours", "span-map and tokio mpsc", "topic-stream"];

const CAPACITY: usize = 16;

/// What a consumer receives: the value of an emit, its key and its payload.
pub(crate) type Received = (u64, Arc<[u8]>, Arc<[u8]>);

pub(crate) trait Peer {
    /// Ends the watcher of this number, if there is one, and begins it.
    fn watch(&mut self, i: usize);
    fn emit(&mut self, value: u64, key: &[u8], payload: &Arc<[u8]>);
    /// Receives with the watcher of this number, without waiting.
    fn receive(&mut self, i: usize) -> Option<Received>;
}

/// What watchers watch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    Keys,
    Prefixes,
    Ranges,
}

impl Watched {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Prefixes => "prefixes",
            Self::Ranges => "ranges",
        }
    }

    /// The key or the prefix of a watcher, or the start of its range.
    fn start(i: usize) -> String {
        format!("/registry/pods/ns-{:03}/pod-{:04}/", i / 100, i % 100)
    }

    /// The end of the range of a watcher.
    fn end(self, i: usize) -> String {
        let start = Self::start(i);
        match self {
            Self::Keys => start + "\0",
            Self::Prefixes => start.trim_end_matches('/').to_owned() + "0",
            Self::Ranges => start + "\u{7f}",
        }
    }

    /// A key that a watcher watches.
    pub(crate) fn emitted(self, i: usize) -> Arc<[u8]> {
        let key = match self {
            Self::Keys => Self::start(i),
            Self::Prefixes | Self::Ranges => Self::start(i) + "status",
        };
        key.into_bytes().into()
    }
}

/// A peer for watchers with the numbers below `n`; `None` if it cannot watch what it is to watch.
pub(crate) fn peer(name: &str, watched: Watched, n: usize) -> Option<Box<dyn Peer>> {
    Some(match (name, watched) {
        ("ours", _) => Box::new(Ours {
            bus: RangeWatchBus::builder().payloads().build().unwrap(),
            subs: none(n),
            watched,
        }),
        ("span-map and tokio mpsc", _) => Box::new(Spans {
            map: Mutex::new(SpanMap::new()),
            watchers: none(n),
            watched,
        }),
        ("topic-stream", Watched::Keys) => Box::new(Streams {
            bus: TopicStream::new(CAPACITY),
            subs: none(n),
        }),
        _ => return None,
    })
}

fn none<T>(n: usize) -> Vec<Option<T>> {
    (0..n).map(|_| None).collect()
}

struct Ours {
    bus: RangeWatchBus<Arc<[u8]>>,
    subs: Vec<Option<EventSubscription<Arc<[u8]>>>>,
    watched: Watched,
}

impl Peer for Ours {
    fn watch(&mut self, i: usize) {
        self.subs[i] = None;
        let selector = match self.watched {
            Watched::Keys => Selector::key(Watched::start(i)),
            Watched::Prefixes => Selector::prefix(Watched::start(i)),
            Watched::Ranges => Selector::from(Watched::start(i)..self.watched.end(i)),
        };
        let sub = self.bus.subscribe(selector).events(CAPACITY);
        self.subs[i] = Some(sub.unwrap());
    }

    fn emit(&mut self, value: u64, key: &[u8], payload: &Arc<[u8]>) {
        self.bus
            .emit_with(value, [(key, Arc::clone(payload))])
            .unwrap();
    }

    fn receive(&mut self, i: usize) -> Option<Received> {
        let event = self.subs[i].as_mut()?.try_recv().ok()?;
        let (key, payload) = event.entries().next()?;
        Some((event.value(), key.into(), Arc::clone(payload)))
    }
}

/// The index of databendlabs' `watcher`, and a channel for each watcher, as there.
struct Spans {
    map: Mutex<SpanMap<Arc<[u8]>, SpanSender>>,
    watchers: Vec<Option<SpanWatcher>>,
    watched: Watched,
}

struct SpanWatcher {
    sender: SpanSender,
    receiver: mpsc::Receiver<Received>,
}

/// The map orders what it stores.
#[derive(Clone)]
struct SpanSender {
    id: usize,
    sender: mpsc::Sender<Received>,
}

impl PartialEq for SpanSender {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for SpanSender {}

impl PartialOrd for SpanSender {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SpanSender {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl Spans {
    fn range(&self, i: usize) -> Range<Arc<[u8]>> {
        let bytes = |key: String| key.into_bytes().into();
        bytes(Watched::start(i))..bytes(self.watched.end(i))
    }
}

impl Peer for Spans {
    fn watch(&mut self, i: usize) {
        let range = self.range(i);
        let mut map = self.map.lock().unwrap();
        if let Some(watcher) = self.watchers[i].take() {
            map.remove(range.clone(), watcher.sender);
        }
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let sender = SpanSender { id: i, sender };
        map.insert(range, sender.clone());
        self.watchers[i] = Some(SpanWatcher { sender, receiver });
    }

    fn emit(&mut self, value: u64, key: &[u8], payload: &Arc<[u8]>) {
        let message = (value, Arc::from(key), Arc::clone(payload));
        for watcher in self.map.lock().unwrap().get(&message.1) {
            watcher.sender.try_send(message.clone()).unwrap();
        }
    }

    fn receive(&mut self, i: usize) -> Option<Received> {
        self.watchers[i].as_mut()?.receiver.try_recv().ok()
    }
}

struct Streams {
    bus: TopicStream<Arc<[u8]>, Received>,
    subs: Vec<Option<MultiTopicReceiver<Arc<[u8]>, Received>>>,
}

impl Peer for Streams {
    fn watch(&mut self, i: usize) {
        self.subs[i] = None;
        self.subs[i] = Some(self.bus.subscribe(&[Watched::start(i).into_bytes().into()]));
    }

    fn emit(&mut self, value: u64, key: &[u8], payload: &Arc<[u8]>) {
        let message = (value, Arc::from(key), Arc::clone(payload));
        let key = Arc::clone(&message.1);
        let emitted = self.bus.publish(&key, message).now_or_never();
        emitted.expect("there is room").unwrap();
    }

    fn receive(&mut self, i: usize) -> Option<Received> {
        self.subs[i].as_mut()?.recv().now_or_never()?
    }
}
