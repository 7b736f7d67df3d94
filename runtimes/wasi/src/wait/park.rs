//! Blocking on a poll function by parking the thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// Whether one thread of the host can wake another. WebAssembly without atomics has one thread.
pub(crate) const HAS_THREADS: bool =
    cfg!(any(not(target_family = "wasm"), target_feature = "atomics"));

/// What would end a wait can only happen on another thread, and this host has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlock;

impl From<Deadlock> for io::Error {
    fn from(_: Deadlock) -> Self {
        Self::new(
            io::ErrorKind::Deadlock,
            "this host has no other thread that could end the wait",
        )
    }
}

/// Parks the thread that made it, until its waker is woken.
pub(crate) struct Parker(Arc<Unpark>);

struct Unpark {
    thread: Thread,
    /// A stream may wake while it is polled.
    was_woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.was_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Unpark {
            thread: thread::current(),
            was_woken: AtomicBool::new(false),
        }))
    }

    pub(crate) fn waker(&self) -> Waker {
        self.0.clone().into()
    }

    /// Parks until the waker is woken, or `timeout` is over, or without a reason.
    pub(crate) fn park(&self, timeout: Option<Duration>) -> Result<(), Deadlock> {
        if self.0.was_woken.swap(false, Ordering::Acquire) {
            return Ok(());
        }
        match timeout {
            Some(timeout) if HAS_THREADS => thread::park_timeout(timeout),
            None if HAS_THREADS => thread::park(),
            Some(timeout) if cfg!(target_os = "wasi") => thread::sleep(timeout),
            // JavaScript has no sleep that blocks: the caller reads the clock until the time is
            // over.
            Some(_) => {}
            None => return Err(Deadlock),
        }
        Ok(())
    }
}

/// Parks the thread until `poll` is ready.
pub(crate) fn block_on<R>(
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<R>>,
) -> io::Result<R> {
    let parker = Parker::new();
    let waker = parker.waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        match poll(&mut cx) {
            Poll::Ready(result) => return result,
            Poll::Pending => parker.park(None)?,
        }
    }
}
