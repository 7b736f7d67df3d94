//! Through sockets whose buffers are small.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use rangewatch_http::{EventStreams, WatchRoute};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Event, Parser, app_of, bus_of};

/// A server that runs until it is dropped, or shut down.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    fn start(app: Router) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(4 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serve = axum::serve(listener, app).with_graceful_shutdown(async move {
            let _ = stopped.await;
        });
        Self {
            address,
            stop,
            task: tokio::spawn(serve.into_future()),
        }
    }

    async fn connect(&self, query: &str) -> Connection {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        let request = format!("GET /watch?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Connection {
            stream,
            received: Vec::new(),
            parser: Parser::default(),
            has_ended: false,
        }
    }
}

/// A client of HTTP/1.1 that knows nothing but responses in chunks.
struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    parser: Parser,
    has_ended: bool,
}

impl Connection {
    /// Reads at most `max` bytes; returns whether there were any.
    async fn read(&mut self, max: usize) -> bool {
        let mut buffer = vec![0; max];
        let read = tokio::time::timeout(Duration::from_secs(60), self.stream.read(&mut buffer));
        let n = read
            .await
            .expect("there is something to read in time")
            .unwrap_or(0);
        self.received.extend_from_slice(&buffer[..n]);
        n > 0
    }

    /// The next event; `None` at the end of the response, or of the connection.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.parser.next() {
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            if !self.take_chunk() && !self.read(64 << 10).await {
                return None;
            }
        }
    }

    /// Takes the head of the response, or a whole chunk.
    fn take_chunk(&mut self) -> bool {
        if self.received.starts_with(b"HTTP/1.1") {
            let Some(end) = self
                .received
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
            else {
                return false;
            };
            assert!(self.received.starts_with(b"HTTP/1.1 200 OK"));
            self.received.drain(..end + 4);
            return true;
        }
        let Some(end) = self.received.windows(2).position(|bytes| bytes == b"\r\n") else {
            return false;
        };
        let size = std::str::from_utf8(&self.received[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if self.received.len() < end + 2 + size + 2 {
            return false;
        }
        self.parser.push(&self.received[end + 2..end + 2 + size]);
        self.received.drain(..end + 2 + size + 2);
        self.has_ended = size == 0;
        true
    }

    /// The events up to the first that `is_last`.
    async fn until(&mut self, is_last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        let read = async {
            while !events.last().is_some_and(&is_last) {
                events.push(self.next().await.expect("the stream has not ended"));
            }
        };
        let deadline = Duration::from_secs(60);
        let read = tokio::time::timeout(deadline, read).await;
        read.expect("the last event arrives in time");
        events
    }
}

/// Waits until `is_true`.
async fn wait_until(what: &str, is_true: impl Fn() -> bool) {
    let wait = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    assert!(waited.is_ok(), "{what} did not happen in time");
}

#[tokio::test]
async fn a_client_that_disconnects_leaves_no_subscription() {
    let bus = bus_of(100);
    let streams = EventStreams::builder().build();
    let server = Server::start(app_of(&bus, &streams));
    let mut connections = Vec::new();
    for _ in 0..10 {
        let mut connection = server.connect("all").await;
        assert_eq!(connection.next().await.unwrap().name, "progress");
        connections.push(connection);
    }
    assert_eq!((bus.n_subscriptions(), streams.stats().n_open()), (10, 10));
    connections.truncate(3);
    // Without an emit or a heartbeat that would fail to be written.
    wait_until("the drop", || bus.n_subscriptions() == 3).await;
    assert_eq!(streams.stats().n_open(), 3);
}

#[tokio::test]
async fn a_client_that_does_not_read_delays_no_other_and_learns_what_it_has_missed() {
    let bus = bus_of(2_000);
    let streams = EventStreams::builder().build();
    let route = WatchRoute::public(&bus, &streams)
        .unwrap()
        .queue(64, 16 << 10);
    let server = Server::start(route.router());
    let mut healthy = server.connect("key=healthy").await;
    let mut stalled = server.connect("prefix=flood").await;
    assert_eq!(healthy.next().await.unwrap().id, "start");
    wait_until("the subscription", || bus.n_subscriptions() == 2).await;

    let key = format!("flood/{}", "x".repeat(1_000));
    let mut value = 0;
    let mut flood = Vec::new();
    // Until the buffers of its socket and its queue are full, and the history has moved on.
    while bus.stats().n_parked() == 0 || bus.stats().deliveries().pending() < 4_000 {
        assert!(
            value < 100_000,
            "the server holds what its client does not read"
        );
        value += 1;
        bus.emit(value, [&key]).unwrap();
        flood.push(value);
        if value % 100 == 0 {
            value += 1;
            bus.emit(value, ["healthy"]).unwrap();
            let received = healthy.until(|event| event.name.is_empty()).await;
            assert_eq!(received.last().unwrap().id, value.to_string());
        }
        // One byte at a time.
        if value % 97 == 0 {
            assert!(stalled.read(1).await);
        }
    }
    let floor = bus.floor().unwrap();

    let events = stalled.until(|event| event.name == "compacted").await;
    let (compacted, before) = events.split_last().unwrap();
    assert_eq!(compacted.id, (floor - 1).to_string());
    let received = before.iter().filter(|event| event.name.is_empty());
    let received: Vec<u64> = received.map(|event| event.id.parse().unwrap()).collect();
    let flood = flood.into_iter().take(received.len());
    assert!(flood.eq(received.iter().copied()), "no gap before the miss");
    assert!(
        *received.last().unwrap() < floor - 1,
        "something was missed"
    );
    assert_eq!(stalled.next().await, None);
    assert!(stalled.has_ended, "the response ended as it should");
}

#[tokio::test]
async fn a_graceful_shutdown_does_not_wait_for_streams() {
    let bus = bus_of(2_000);
    let streams = EventStreams::builder()
        .stall_timeout(Duration::from_secs(1))
        .build();
    let server = Server::start(app_of(&bus, &streams));
    let mut reader = server.connect("key=k").await;
    assert_eq!(reader.next().await.unwrap().id, "start");
    let stalled = server.connect("prefix=flood").await;
    wait_until("the subscription", || bus.n_subscriptions() == 2).await;
    let key = format!("flood/{}", "x".repeat(8_000));
    // The server runs in each of the pauses: the queue fills because the socket is full.
    for value in 1.. {
        bus.emit(value, [&key]).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(bus.n_subscriptions(), 2, "not stalled for so long");
        if bus.stats().n_parked() > 0 {
            break;
        }
    }

    streams.shutdown();
    server.stop.send(()).unwrap();
    assert_eq!(
        reader.until(|event| event.name == "shutdown").await.len(),
        1
    );
    assert_eq!(reader.next().await, None);
    let ended = tokio::time::timeout(Duration::from_secs(60), server.task).await;
    ended.expect("the server has ended").unwrap().unwrap();
    assert_eq!(
        (streams.stats().n_stalled(), streams.stats().n_open()),
        (1, 0)
    );
    drop(stalled);
}
