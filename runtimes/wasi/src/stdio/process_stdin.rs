//! An input over the standard input of the host's process, on Unix.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::net::Readiness;
use crate::stdio::input::{Input, retry_interrupted};

/// The size of the read-ahead buffer. At least the 8 KiB of the buffer in [`std::io::Stdin`], which
/// then reads into this one directly and retains nothing.
const BUFFER_BYTES: usize = 16 << 10;

/// An [`Input`] over [`io::stdin`], which asks `poll(2)` whether a read would block.
///
/// All reads happen on the guest's thread. A thread that all contexts share waits for readiness and
/// reads nothing, so that no input is lost when a context is dropped while it waits.
pub(crate) struct ProcessStdin {
    /// Identifies this input among those that wait.
    id: u64,
    buffer: Vec<u8>,
    /// How much of `buffer` the guest has read.
    position: usize,
    /// The end or error of a read ahead, for the next read of the guest.
    end: Option<io::Result<()>>,
    may_block: bool,
}

impl ProcessStdin {
    pub(crate) fn new() -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            buffer: Vec::new(),
            position: 0,
            end: None,
            may_block: false,
        }
    }

    fn buffered(&self) -> &[u8] {
        self.buffer.get(self.position..).unwrap_or_default()
    }

    /// Fills the empty buffer. 0 bytes are the end of the input.
    fn fill(&mut self) -> Poll<io::Result<usize>> {
        self.buffer.resize(BUFFER_BYTES, 0);
        let filled = read_if_ready(&mut self.buffer);
        let n_bytes = match &filled {
            Poll::Ready(Ok(n_bytes)) => *n_bytes,
            _ => 0,
        };
        self.buffer.truncate(n_bytes);
        self.position = 0;
        filled
    }

    fn try_read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.buffered().is_empty() {
            if let Some(end) = self.end.take() {
                return Poll::Ready(end.map(|()| 0));
            }
            if buf.len() >= BUFFER_BYTES {
                return read_if_ready(buf);
            }
            match self.fill() {
                Poll::Ready(Ok(1..)) => {}
                result => return result,
            }
        }
        let buffered = self.buffered();
        let n_bytes = buffered.len().min(buf.len());
        buf[..n_bytes].copy_from_slice(&buffered[..n_bytes]);
        self.position += n_bytes;
        Poll::Ready(Ok(n_bytes))
    }
}

impl Input for ProcessStdin {
    fn read(&mut self, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let may_block = mem::take(&mut self.may_block);
        loop {
            match self.try_read(buf) {
                Poll::Pending if may_block => block_until_ready(),
                result => return result,
            }
        }
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>, _n_bytes: u32) -> Poll<Readiness> {
        if self.buffered().is_empty() && self.end.is_none() {
            let end = match self.fill() {
                Poll::Ready(Ok(1..)) => None,
                Poll::Ready(end) => Some(end.map(|_| ())),
                Poll::Pending => match READINESS.register(self.id, cx.waker()) {
                    Ok(()) => return Poll::Pending,
                    Err(error) => Some(Err(error)),
                },
            };
            self.end = end;
        }
        Poll::Ready(match self.buffered().len() {
            // The read that follows returns the error, if it is one.
            0 => Readiness::END,
            n_bytes => Readiness::bytes(n_bytes as u64),
        })
    }

    fn may_block(&mut self) -> bool {
        self.may_block = true;
        true
    }
}

impl Drop for ProcessStdin {
    fn drop(&mut self) {
        READINESS.unregister(self.id);
    }
}

/// Reads if that does not block.
fn read_if_ready(buf: &mut [u8]) -> Poll<io::Result<usize>> {
    /// Held from the check to the end of the read, so that no other context takes the bytes in
    /// between.
    static READING: Mutex<()> = Mutex::new(());
    let _reading = lock(&READING);
    if is_ready(Some(&Timespec::default())) {
        Poll::Ready(retry_interrupted(|| io::stdin().lock().read(buf)))
    } else {
        Poll::Pending
    }
}

/// Whether a read would return at once: bytes, the end, or an error. Waits up to `timeout`, without
/// one until it is so or a signal interrupts the wait.
fn is_ready(timeout: Option<&Timespec>) -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut fds, timeout) {
        Ok(n_ready) => n_ready > 0,
        Err(rustix::io::Errno::INTR) => false,
        // The read returns an error of its own.
        Err(_) => true,
    }
}

fn block_until_ready() {
    while !is_ready(None) {}
}

/// Wakes the tasks that wait for the standard input.
struct ReadinessThread {
    state: Mutex<State>,
    registered: Condvar,
}

struct State {
    wakers: BTreeMap<u64, Waker>,
    is_started: bool,
}

static READINESS: ReadinessThread = ReadinessThread {
    state: Mutex::new(State {
        wakers: BTreeMap::new(),
        is_started: false,
    }),
    registered: Condvar::new(),
};

impl ReadinessThread {
    /// Wakes `waker` once, when the standard input is ready. Replaces the waker of the same `id`.
    fn register(&'static self, id: u64, waker: &Waker) -> io::Result<()> {
        let mut state = lock(&self.state);
        if !state.is_started {
            let thread = thread::Builder::new().name("wasi-stdin".to_owned());
            thread.spawn(|| self.serve())?;
            state.is_started = true;
        }
        let former = state.wakers.insert(id, waker.clone());
        drop(state);
        // Dropping a waker may run code of the host, which must not happen under the lock.
        drop(former);
        self.registered.notify_one();
        Ok(())
    }

    fn unregister(&self, id: u64) {
        let waker = lock(&self.state).wakers.remove(&id);
        drop(waker);
    }

    fn serve(&self) {
        loop {
            let mut state = lock(&self.state);
            while state.wakers.is_empty() {
                state = (self.registered.wait(state)).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            block_until_ready();
            let wakers = mem::take(&mut lock(&self.state).wakers);
            wakers.into_values().for_each(Waker::wake);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks with its data half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
