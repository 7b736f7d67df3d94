//! Connections in the memory of the host.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Listener, MemorySocket, Socket, socket_pair};
use crate::Errno;

/// Makes a listener for a guest and a connector for the host. Up to `backlog` connections, at least
/// 1, are pending until the guest accepts them; each buffers up to `capacity_bytes` per direction.
///
/// # Examples
///
/// Forwarding TCP connections with the standard library takes two threads per connection. With the
/// feature `futures-io` it takes none: see `MemorySocket::relay`.
///
/// ```no_run
/// use std::io;
/// use std::net::{Shutdown, TcpListener};
/// use std::thread;
///
/// use rangewatch_wasi::net::loopback;
/// use rangewatch_wasi::{Errno, Wasi};
///
/// let (listener, connector) = loopback(128, 64 << 10);
/// let ctx = Wasi::builder().listener(listener).build()?;
///
/// let tcp = TcpListener::bind("127.0.0.1:8080")?;
/// thread::spawn(move || -> io::Result<()> {
///     loop {
///         let (mut from_peer, _) = tcp.accept()?;
///         // The backlog is full: refuse the connection, as an operating system does.
///         let Ok(connection) = connector.try_connect() else { continue };
///         let (mut from_guest, mut to_guest) = connection.split();
///         let mut to_peer = from_peer.try_clone()?;
///         thread::spawn(move || {
///             if io::copy(&mut from_peer, &mut to_guest).is_err() {
///                 to_guest.fail(Errno::Connreset); // an error, not the end of the stream
///             }
///         });
///         thread::spawn(move || {
///             io::copy(&mut from_guest, &mut to_peer)?;
///             to_peer.shutdown(Shutdown::Write)
///         });
///     }
/// });
/// # drop(ctx);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn loopback(backlog: usize, capacity_bytes: usize) -> (MemoryListener, Connector) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            n_connectors: 1,
            ..State::default()
        }),
        backlog: backlog.max(1),
        capacity_bytes,
    });
    let listener = MemoryListener {
        shared: shared.clone(),
    };
    (listener, Connector { shared })
}

/// The listening end of a [`loopback`], for
/// [`WasiBuilder::listener`](crate::WasiBuilder::listener). Dropping it refuses all connections,
/// pending ones included.
///
/// When all [connectors](Connector) are dropped, the guest can still accept the pending
/// connections; then `sock_accept` fails with [`Errno::Inval`].
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::net::{Listener, loopback};
///
/// let (mut listener, connector) = loopback(16, 64 << 10);
/// assert!(listener.accept().is_pending());
/// let connection = connector.try_connect()?;
/// assert!(listener.accept().is_ready());
/// # drop(connection);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct MemoryListener {
    shared: Arc<Shared>,
}

/// The connecting end of a [`loopback`]. Clones connect to the same listener.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::net::loopback;
///
/// let (listener, connector) = loopback(16, 64 << 10);
/// let ctx = Wasi::builder().listener(listener).build()?;
/// let connection = connector.try_connect()?;
/// drop(ctx); // drops the listener
/// assert!(connector.try_connect().is_err());
/// # drop(connection);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Connector {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    backlog: usize,
    capacity_bytes: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<MemorySocket>,
    acceptor: Option<Waker>,
    /// Wakers of the tasks that wait for space in the backlog, or for the listener to close.
    connecting: BTreeMap<u64, Waker>,
    /// How many tasks have waited so far; the source of their numbers.
    n_connects: u64,
    n_connectors: usize,
    is_listener_gone: bool,
}

impl Connector {
    /// Connects. Waits while the backlog is full. Returns the host's end, which accepts bytes even
    /// before the guest accepts the connection.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: when the future is dropped, no connection is made.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): the guest has closed the listener,
    /// or has ended.
    pub async fn connect(&self) -> io::Result<MemorySocket> {
        let mut connecting = Connecting {
            shared: &self.shared,
            number: None,
        };
        poll_fn(|cx| connecting.poll(cx.waker())).await
    }

    /// Connects, if there is space in the backlog.
    ///
    /// # Errors
    ///
    /// - [`WouldBlock`](io::ErrorKind::WouldBlock): the backlog is full.
    /// - [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): the guest has closed the
    ///   listener, or has ended.
    pub fn try_connect(&self) -> io::Result<MemorySocket> {
        match self.shared.connect(self.shared.lock()) {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// A task that waits for space in the backlog. Dropping it removes its waker: if a guest never
/// accepts, the wakers of cancelled connects must not accumulate.
struct Connecting<'c> {
    shared: &'c Shared,
    /// The key of its waker in the list, once registered.
    number: Option<u64>,
}

impl Connecting<'_> {
    fn poll(&mut self, waker: &Waker) -> Poll<io::Result<MemorySocket>> {
        let mut state = match self.shared.connect(self.shared.lock()) {
            Ok(result) => return Poll::Ready(result),
            Err(state) => state,
        };
        let number = *self.number.get_or_insert_with(|| {
            state.n_connects += 1;
            state.n_connects
        });
        let former = state.connecting.insert(number, waker.clone());
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let own = self.shared.lock().connecting.remove(&number);
            drop(own);
        }
    }
}

impl Shared {
    /// Connects, or returns the lock if the backlog is full.
    fn connect<'s>(
        &self,
        mut state: MutexGuard<'s, State>,
    ) -> Result<io::Result<MemorySocket>, MutexGuard<'s, State>> {
        if state.is_listener_gone {
            return Ok(Err(io::ErrorKind::ConnectionRefused.into()));
        }
        if state.waiting.len() >= self.backlog {
            return Err(state);
        }
        let (of_guest, of_host) = socket_pair(self.capacity_bytes);
        state.waiting.push_back(of_guest);
        let acceptor = state.acceptor.take();
        // A waker is foreign code: it runs without the lock.
        drop(state);
        if let Some(waker) = acceptor {
            waker.wake();
        }
        Ok(Ok(of_host))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The code under the lock cannot panic, so a poisoned lock guards consistent data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for MemoryListener {
    fn accept(&mut self) -> Poll<io::Result<Box<dyn Socket>>> {
        let mut state = self.shared.lock();
        let Some(socket) = state.waiting.pop_front() else {
            return match state.n_connectors {
                0 => Poll::Ready(Err(Errno::Inval.into())),
                _ => Poll::Pending,
            };
        };
        let connecting = mem::take(&mut state.connecting);
        drop(state);
        connecting.into_values().for_each(Waker::wake);
        Poll::Ready(Ok(Box::new(socket)))
    }

    fn poll_acceptable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.lock();
        if !state.waiting.is_empty() || state.n_connectors == 0 {
            return Poll::Ready(());
        }
        let former = state.acceptor.replace(cx.waker().clone());
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_listener_gone = true;
        let own = state.acceptor.take();
        let waiting = mem::take(&mut state.waiting);
        let connecting = mem::take(&mut state.connecting);
        drop(state);
        connecting.into_values().for_each(Waker::wake);
        drop((own, waiting));
    }
}

impl Clone for Connector {
    fn clone(&self) -> Self {
        self.shared.lock().n_connectors += 1;
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.n_connectors -= 1;
        let acceptor = match state.n_connectors {
            0 => state.acceptor.take(),
            _ => None,
        };
        drop(state);
        if let Some(waker) = acceptor {
            waker.wake();
        }
    }
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt_end("MemoryListener", f)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt_end("Connector", f)
    }
}

impl Shared {
    fn fmt_end(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_waiting = self.lock().waiting.len();
        f.debug_struct(name)
            .field("n_waiting", &n_waiting)
            .field("backlog", &self.backlog)
            .finish_non_exhaustive()
    }
}
