//! Blocking on a poll function by parking the thread.

use std::io;
use std::sync::Arc;
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

/// Unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A waker that unparks the calling thread.
pub(crate) fn thread_waker() -> Waker {
    Arc::new(Unpark(thread::current())).into()
}

/// Parks the thread until it is unparked, or `timeout` is over, or without a reason.
pub(crate) fn park(timeout: Option<Duration>) -> Result<(), Deadlock> {
    match timeout {
        Some(timeout) if HAS_THREADS => thread::park_timeout(timeout),
        None if HAS_THREADS => thread::park(),
        Some(timeout) if cfg!(target_os = "wasi") => thread::sleep(timeout),
        // JavaScript has no sleep that blocks: the caller reads the clock until the time is over.
        Some(_) => {}
        None => return Err(Deadlock),
    }
    Ok(())
}

/// Parks the thread until `poll` is ready.
pub(crate) fn block_on<R>(
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<R>>,
) -> io::Result<R> {
    let waker = thread_waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        match poll(&mut cx) {
            Poll::Ready(result) => return result,
            Poll::Pending => park(None)?,
        }
    }
}
