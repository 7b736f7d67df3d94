//! Connections that are made in the memory of the host.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Listener, MemorySocket, Socket, socket_pair};
use crate::Errno;

/// A listener for a guest, and what the host connects to it with. Up to `backlog` connections, at least 1, wait to be accepted;
/// each holds up to `capacity_bytes` in either direction.
///
/// # Examples
///
/// Bytes that come over the network, as std has it, which takes two threads for each connection. With the feature `futures-io`
/// it takes none: see `MemorySocket::relay`.
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
///         // A guest that does not accept has its connections refused, as an operating system does it.
///         let Ok(connection) = connector.try_connect() else { continue };
///         let (mut from_guest, mut to_guest) = connection.split();
///         let mut to_peer = from_peer.try_clone()?;
///         thread::spawn(move || {
///             if io::copy(&mut from_peer, &mut to_guest).is_err() {
///                 to_guest.fail(Errno::Connreset); // not the end of what the peer sends
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

/// The end of a [`loopback`] that accepts, for [`WasiBuilder::listener`](crate::WasiBuilder::listener). Dropping it refuses all
/// connections, those included that wait to be accepted.
///
/// When all [connectors](Connector) are dropped, the connections that wait are still accepted, and then it is closed:
/// `sock_accept` is [`Errno::Inval`].
pub struct MemoryListener {
    shared: Arc<Shared>,
}

/// The end of a [`loopback`] that connects. Clones connect to the same listener.
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
    /// Those that wait for a place among the waiting, or to hear that there is none.
    connecting: BTreeMap<u64, Waker>,
    /// How many have waited so far, which numbers them.
    n_connects: u64,
    n_connectors: usize,
    is_listener_gone: bool,
}

impl Connector {
    /// Connects, and waits for a place among the connections that are not accepted yet. Answers the host's end, which can be
    /// written to before the guest accepts.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: when the future is dropped, there is no connection.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): the guest has closed the listener, or has ended.
    pub async fn connect(&self) -> io::Result<MemorySocket> {
        let mut connecting = Connecting {
            shared: &self.shared,
            number: None,
        };
        poll_fn(|cx| connecting.poll(cx.waker())).await
    }

    /// Connects, if there is a place among the connections that are not accepted yet.
    ///
    /// # Errors
    ///
    /// - [`WouldBlock`](io::ErrorKind::WouldBlock): there is none.
    /// - [`ConnectionRefused`](io::ErrorKind::ConnectionRefused): the guest has closed the listener, or has ended.
    pub fn try_connect(&self) -> io::Result<MemorySocket> {
        match self.shared.connect(self.shared.lock()) {
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

/// One that waits for a place. Dropping it takes it off the list: a guest that never accepts must not make its host keep the
/// wakers of all who have given up.
struct Connecting<'c> {
    shared: &'c Shared,
    /// Under which its waker is on the list, if it has been.
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
    /// Connects, or answers the lock if there is no place.
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
        // A waker is code of others.
        drop(state);
        if let Some(waker) = acceptor {
            waker.wake();
        }
        Ok(Ok(of_host))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics half way under the lock, so what a poisoned one guards is intact.
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
