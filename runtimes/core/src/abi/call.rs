//! How a backend calls the functions of the ABI.
//!
//! A backend expands [`for_each_abi_function`](crate::for_each_abi_function). It calls each
//! function through [`attempt`], and one that the table marks `wait` through [`attempt`] and
//! [`poll_ready`], or through [`block`] where the guest cannot be suspended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::abi::{AbiError, GuestAbi, Outcome};
use crate::engine::failure::HostTrap;
use crate::engine::host_function::no_unwind;

/// Makes one attempt of a function.
///
/// # Errors
///
/// The [`HostTrap`] that the guest's call ends with: misuse of the ABI, an emit that the bus
/// refused, or a panic of the embedder's code that an emit woke.
#[inline]
pub fn attempt(
    function: &str,
    f: impl FnOnce() -> Result<Outcome, AbiError>,
) -> Result<Outcome, HostTrap> {
    no_unwind(function, f)?.map_err(HostTrap::Abi)
}

/// Ready when the next attempt can be made.
///
/// # Errors
///
/// The [`HostTrap`] of a panic of the executor's waker.
pub fn poll_ready(
    function: &str,
    abi: &mut GuestAbi,
    cx: &mut Context<'_>,
) -> Poll<Result<(), HostTrap>> {
    match no_unwind(function, || abi.poll_ready(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

/// Makes attempts until the function returns to the guest, and blocks the thread between them. The
/// outcome has the [work](Outcome::work) of all attempts together.
///
/// # Errors
///
/// As [`attempt`]; and where a function waits on a target without threads, as nothing could end the
/// wait.
#[inline]
pub fn block(
    function: &str,
    abi: &mut GuestAbi,
    memory: &mut [u8],
    mut f: impl FnMut(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>,
) -> Result<Outcome, HostTrap> {
    let mut work = 0_u64;
    loop {
        let outcome = attempt(function, || f(abi, memory))?;
        if outcome.state().is_ready() {
            return Ok(outcome.after(work));
        }
        work = work.saturating_add(outcome.work());
        park_until_ready(function, abi)?;
    }
}

/// Blocks the thread until the next attempt can be made.
#[cold]
fn park_until_ready(function: &str, abi: &mut GuestAbi) -> Result<(), HostTrap> {
    let unpark = Arc::new(Unpark {
        thread: std::thread::current(),
        was_woken: AtomicBool::new(false),
    });
    let waker = Waker::from(unpark.clone());
    while abi
        .poll_ready(&mut Context::from_waker(&waker))
        .is_pending()
    {
        if unpark.was_woken.swap(false, Ordering::Acquire) {
            continue;
        }
        // WebAssembly without atomics has one thread, which nothing would unpark.
        if cfg!(all(target_family = "wasm", not(target_feature = "atomics"))) {
            return Err(HostTrap::Function {
                function: function.to_owned(),
                source: "it waits in a call that cannot be suspended, and this host has no other \
                         thread that could end the wait"
                    .into(),
            });
        }
        std::thread::park();
    }
    Ok(())
}

struct Unpark {
    thread: Thread,
    /// It may be woken while it is polled.
    was_woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.was_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
