//! An input over a blocking reader of the host.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::net::Readiness;
use crate::stdio::input::{Input, READ_AHEAD_BYTES, retry_interrupted};
use crate::wait::park::HAS_THREADS;

/// The maximum number of bytes per read on the reader's thread.
const MAX_FETCH_BYTES: u32 = 64 << 10;

/// An [`Input`] over a blocking [`Read`].
///
/// While the guest's thread may block, the reader is called on it. The first poll that must not
/// block moves the reader to a separate thread, which reads on request. A request is for at least
/// [`READ_AHEAD_BYTES`], so that a guest that reads single bytes does not switch threads for each.
/// On a host without threads the reader is always called on the only one.
pub(crate) struct BlockingReader {
    mode: Mode,
    may_block: bool,
}

enum Mode {
    Inline(Box<dyn Read + Send>),
    Thread(Arc<Shared>),
    /// The thread could not be started.
    Failed(io::ErrorKind),
}

/// The state that the guest and the reader's thread share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    requested: Condvar,
}

#[derive(Default)]
struct State {
    /// A request that the thread has not taken yet.
    n_bytes_requested: Option<usize>,
    /// Whether the thread has a request or is reading.
    is_fetching: bool,
    fetched: VecDeque<u8>,
    /// The end or error of the last read, returned to the guest once.
    end: Option<io::Result<()>>,
    waker: Option<Waker>,
    is_dropped: bool,
}

impl BlockingReader {
    pub(crate) fn new(reader: impl Read + Send + 'static) -> Self {
        Self {
            mode: Mode::Inline(Box::new(reader)),
            may_block: false,
        }
    }

    /// The state shared with the thread, which is started if there is none.
    fn shared(&mut self) -> Result<&Arc<Shared>, io::ErrorKind> {
        if let Mode::Inline(_) = self.mode {
            let failed = Mode::Failed(io::ErrorKind::Other);
            if let Mode::Inline(reader) = std::mem::replace(&mut self.mode, failed) {
                self.mode = match start(reader) {
                    Ok(shared) => Mode::Thread(shared),
                    Err(error) => Mode::Failed(error.kind()),
                };
            }
        }
        match &self.mode {
            Mode::Thread(shared) => Ok(shared),
            Mode::Failed(kind) => Err(*kind),
            Mode::Inline(_) => Err(io::ErrorKind::Other),
        }
    }
}

fn start(reader: Box<dyn Read + Send>) -> io::Result<Arc<Shared>> {
    let shared = Arc::new(Shared::default());
    let thread_shared = shared.clone();
    thread::Builder::new()
        .name("wasi-stdin".to_owned())
        .spawn(move || thread_shared.serve(reader))?;
    Ok(shared)
}

impl Input for BlockingReader {
    fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let may_block = std::mem::take(&mut self.may_block);
        match &mut self.mode {
            Mode::Inline(reader) if may_block || !HAS_THREADS => {
                Poll::Ready(read_once(reader, buf))
            }
            Mode::Inline(_) => Poll::Pending,
            Mode::Thread(shared) => shared.take(buf),
            Mode::Failed(kind) => Poll::Ready(Err((*kind).into())),
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>, n_bytes: u32) -> Poll<Readiness> {
        if !HAS_THREADS {
            return Poll::Ready(Readiness::bytes(1));
        }
        match self.shared() {
            Ok(shared) => shared.poll(
                cx,
                n_bytes.clamp(READ_AHEAD_BYTES, MAX_FETCH_BYTES) as usize,
            ),
            // The read that follows returns the error.
            Err(_) => Poll::Ready(Readiness::END),
        }
    }

    fn may_block(&mut self) -> bool {
        self.may_block = matches!(self.mode, Mode::Inline(_));
        self.may_block
    }
}

impl Drop for BlockingReader {
    fn drop(&mut self) {
        if let Mode::Thread(shared) = &self.mode {
            let mut state = shared.lock();
            state.is_dropped = true;
            let waker = state.waker.take();
            drop(state);
            shared.requested.notify_one();
            drop(waker);
        }
    }
}

impl Shared {
    /// The loop of the thread, until the input is dropped.
    fn serve(&self, mut reader: Box<dyn Read + Send>) {
        let mut buf = Vec::new();
        while let Some(n_bytes) = self.next_request() {
            buf.resize(n_bytes, 0);
            // If the reader panics, the guest must not wait without end.
            let result = catch_unwind(AssertUnwindSafe(|| read_once(&mut *reader, &mut buf)))
                .unwrap_or_else(|_| Err(io::Error::other("the reader of standard input panicked")));
            let waker = {
                let mut state = self.lock();
                state.is_fetching = false;
                match result {
                    Ok(0) => state.end = Some(Ok(())),
                    Ok(n_bytes) => state.fetched.extend(&buf[..n_bytes]),
                    Err(error) => state.end = Some(Err(error)),
                }
                state.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn next_request(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.is_dropped {
                return None;
            }
            if let Some(n_bytes) = state.n_bytes_requested.take() {
                return Some(n_bytes);
            }
            state = self
                .requested
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take(&self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if !state.fetched.is_empty() {
            return Poll::Ready(state.fetched.read(buf));
        }
        match state.end.take() {
            Some(end) => Poll::Ready(end.map(|()| 0)),
            None => Poll::Pending,
        }
    }

    fn poll(&self, cx: &Context<'_>, n_bytes: usize) -> Poll<Readiness> {
        let mut state = self.lock();
        if !state.fetched.is_empty() {
            return Poll::Ready(Readiness::bytes(state.fetched.len() as u64));
        }
        if state.end.is_some() {
            return Poll::Ready(Readiness::END);
        }
        let former = state.waker.replace(cx.waker().clone());
        if !state.is_fetching {
            state.is_fetching = true;
            state.n_bytes_requested = Some(n_bytes);
            self.requested.notify_one();
        }
        drop(state);
        drop(former);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The code under the lock cannot panic, so a poisoned lock guards consistent data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads once. A faulty reader may report more bytes than the buffer holds.
fn read_once(reader: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    Ok(retry_interrupted(|| reader.read(buf))?.min(buf.len()))
}
