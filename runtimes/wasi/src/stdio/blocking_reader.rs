//! A reader of the host that blocks, behind a guest that must not.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::net::Readiness;
use crate::stdio::input::{Input, retry_interrupted};

/// The most bytes that the thread of a reader reads at once.
const MAX_FETCH_BYTES: u32 = 64 << 10;

/// A [`Read`] as an [`Input`].
///
/// As long as the guest's thread may be held, the reader is called there. The first time it may not, the reader moves to
/// a thread of its own, which reads when it is asked to, and never more than it is asked for.
pub(crate) struct BlockingReader {
    place: Place,
    may_block: bool,
}

enum Place {
    Here(Box<dyn Read + Send>),
    Thread(Arc<Desk>),
    /// The thread could not be started.
    Lost(io::ErrorKind),
}

/// Where the guest and the thread meet.
#[derive(Default)]
struct Desk {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    /// What the thread is to read and has not begun.
    n_bytes_wanted: Option<usize>,
    /// Whether the thread is in the reader, or about to be.
    is_fetching: bool,
    fetched: VecDeque<u8>,
    /// How the last read ended, if not with bytes: 0 or an error, told to the guest once.
    end: Option<io::Result<()>>,
    waker: Option<Waker>,
    is_abandoned: bool,
}

impl BlockingReader {
    pub(crate) fn new(reader: impl Read + Send + 'static) -> Self {
        Self {
            place: Place::Here(Box::new(reader)),
            may_block: false,
        }
    }

    /// The desk of the thread, which is started now if there is none.
    fn desk(&mut self) -> Result<&Arc<Desk>, io::ErrorKind> {
        if let Place::Here(_) = self.place {
            let lost = Place::Lost(io::ErrorKind::Other);
            if let Place::Here(reader) = std::mem::replace(&mut self.place, lost) {
                self.place = match start(reader) {
                    Ok(desk) => Place::Thread(desk),
                    Err(error) => Place::Lost(error.kind()),
                };
            }
        }
        match &self.place {
            Place::Thread(desk) => Ok(desk),
            Place::Lost(kind) => Err(*kind),
            Place::Here(_) => Err(io::ErrorKind::Other),
        }
    }
}

fn start(reader: Box<dyn Read + Send>) -> io::Result<Arc<Desk>> {
    let desk = Arc::new(Desk::default());
    let of_thread = desk.clone();
    thread::Builder::new()
        .name("wasi-stdin".to_owned())
        .spawn(move || of_thread.serve(reader))?;
    Ok(desk)
}

impl Input for BlockingReader {
    fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let may_block = std::mem::take(&mut self.may_block);
        match &mut self.place {
            Place::Here(reader) if may_block => Poll::Ready(read_once(reader, buf)),
            Place::Here(_) => Poll::Pending,
            Place::Thread(desk) => desk.take(buf),
            Place::Lost(kind) => Poll::Ready(Err((*kind).into())),
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>, n_bytes: u32) -> Poll<Readiness> {
        match self.desk() {
            Ok(desk) => desk.poll(cx, n_bytes.clamp(1, MAX_FETCH_BYTES) as usize),
            // The read that follows says why.
            Err(_) => Poll::Ready(Readiness::END),
        }
    }

    fn may_block(&mut self) -> bool {
        self.may_block = matches!(self.place, Place::Here(_));
        self.may_block
    }
}

impl Drop for BlockingReader {
    fn drop(&mut self) {
        if let Place::Thread(desk) = &self.place {
            let mut state = desk.lock();
            state.is_abandoned = true;
            let waker = state.waker.take();
            drop(state);
            desk.asked.notify_one();
            drop(waker);
        }
    }
}

impl Desk {
    /// What the thread does, until nobody can ask any more.
    fn serve(&self, mut reader: Box<dyn Read + Send>) {
        let mut buf = Vec::new();
        while let Some(n_bytes) = self.next_request() {
            buf.resize(n_bytes, 0);
            // A reader that panics must not leave the guest waiting.
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
            if state.is_abandoned {
                return None;
            }
            if let Some(n_bytes) = state.n_bytes_wanted.take() {
                return Some(n_bytes);
            }
            state = self
                .asked
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
            state.n_bytes_wanted = Some(n_bytes);
            self.asked.notify_one();
        }
        drop(state);
        drop(former);
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics half way under the lock, so what a poisoned one guards is intact.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One successful read. A reader that claims more than it was given room for is wrong and must not be believed.
fn read_once(reader: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    Ok(retry_interrupted(|| reader.read(buf))?.min(buf.len()))
}
