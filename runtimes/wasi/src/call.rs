//! How a linker calls the functions of [`preview1`](crate::preview1), for any engine.
//!
//! The modules `link_wasmtime` and `link_wasmi` use these functions, and so can an adapter for
//! another engine: expand [`for_each_function`](crate::for_each_function), call a function
//! that the table marks `errno` or `never` through [`catch`], and one that it marks `wait` through
//! [`block`], or through [`attempt`] and [`ready`]. If your engine counts fuel, deduct what the
//! context's [meter](Wasi::meter) has after each attempt, and [yield](yield_now) when it says so.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use crate::wait::park::Deadlock;
use crate::{Errno, Exit, Interrupt, Signal, Wasi};

/// Why a call does not return to the guest. The adapter ends the guest's call with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(
    clippy::exhaustive_enums,
    reason = "an adapter must translate every variant"
)]
pub enum Trap {
    /// The guest exited.
    #[error(transparent)]
    Exit(Exit),
    /// The guest raised a signal against itself.
    #[error(transparent)]
    Signal(Signal),
    /// Code of the embedder panicked: a stream, a filesystem, a clock.
    #[error("the host's implementation of `{function}` panicked: {message}")]
    Panic {
        /// The function that the guest called.
        function: &'static str,
        /// The panic's message.
        message: String,
    },
    /// The guest waits in a call that cannot be suspended, on a host without threads: nothing could
    /// end the wait.
    #[error(
        "`{function}` waits for a stream in a call that cannot be suspended, and this host has no \
         other thread that could end the wait: await the call"
    )]
    Deadlock {
        /// The function that the guest called.
        function: &'static str,
    },
}

/// Calls `f` for the guest's call of `function`. A panic of the embedder's code becomes an error,
/// because not every engine can be unwound through.
///
/// # Errors
///
/// [`Trap::Panic`].
pub fn catch<R>(function: &'static str, f: impl FnOnce() -> R) -> Result<R, Trap> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| Trap::Panic {
        function,
        message: message(&*panic),
    })
}

/// Makes one attempt of a function that may wait.
///
/// Ready with the number to return to the guest. Pending: await [`ready`], then make the next
/// attempt with the same arguments and the current memory.
///
/// # Errors
///
/// A [`Trap`] of any kind.
pub fn attempt(
    function: &'static str,
    f: impl FnOnce() -> Result<(), Interrupt>,
) -> Result<Poll<i32>, Trap> {
    match catch(function, f)? {
        Ok(()) => Ok(Poll::Ready(Errno::encode(Ok(())))),
        Err(Interrupt::Errno(errno)) => Ok(Poll::Ready(errno.code())),
        Err(Interrupt::Wait) => Ok(Poll::Pending),
        Err(Interrupt::Exit(exit)) => Err(Trap::Exit(exit)),
        Err(Interrupt::Signal(signal)) => Err(Trap::Signal(signal)),
    }
}

/// Ready when the next attempt can be made.
///
/// # Errors
///
/// [`Trap::Panic`].
pub fn poll_ready(
    function: &'static str,
    ctx: &mut Wasi,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Trap>> {
    match catch(function, || ctx.poll_ready(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    }
}

/// Waits until the next attempt can be made. `poll_ready` calls [`Wasi::poll_ready`].
///
/// # Cancel safety
///
/// Cancel safe: the attempts so far had no effect.
///
/// # Errors
///
/// [`Trap::Panic`].
pub async fn ready(
    function: &'static str,
    mut poll_ready: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Result<(), Trap> {
    poll_fn(|cx| match catch(function, || poll_ready(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Yields once to the executor, so that other tasks run: for a guest whose slice of fuel is used
/// up.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Makes attempts until the function returns to the guest, and [blocks](Wasi::block) the thread
/// between them.
///
/// # Errors
///
/// As [`attempt`].
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{Wasi, call, preview1};
///
/// let mut ctx = Wasi::builder().build()?;
/// let errno = call::block("sched_yield", &mut ctx, &mut [], preview1::sched_yield)?;
/// assert_eq!(errno, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn block(
    function: &'static str,
    ctx: &mut Wasi,
    memory: &mut [u8],
    mut f: impl FnMut(&mut Wasi, &mut [u8]) -> Result<(), Interrupt>,
) -> Result<i32, Trap> {
    loop {
        let mut blocked = Ok(());
        let attempted = attempt(function, || {
            let result = f(ctx, memory);
            if result == Err(Interrupt::Wait) {
                blocked = ctx.try_block();
            }
            result
        });
        if let Poll::Ready(code) = attempted? {
            return Ok(code);
        }
        blocked.map_err(|Deadlock| Trap::Deadlock { function })?;
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no text)").to_owned()
}
