//! The functions of WASI that may have to wait, for backends.

use std::future::poll_fn;
use std::task::{Context, Poll};

use rangewatch_wasi::{Errno, Interrupt, Wasi};

use crate::engine::failure::HostTrap;
use crate::engine::host_function::no_unwind;

/// Makes one attempt of a function of WASI that the table marks `wait`.
///
/// Ready with what the function returns to the guest. Pending: await [`wasi_ready`], then make the
/// next attempt, over the memory as it is then.
///
/// # Errors
///
/// The [`HostTrap`] that the guest's call ends with: an exit, a signal, or a panic of the embedder.
pub fn wasi_attempt(
    function: &str,
    attempt: impl FnOnce() -> Result<(), Interrupt>,
) -> Result<Poll<i32>, HostTrap> {
    match no_unwind(function, attempt)? {
        Ok(()) => Ok(Poll::Ready(Errno::encode(Ok(())))),
        Err(Interrupt::Errno(errno)) => Ok(Poll::Ready(errno.code())),
        Err(Interrupt::Wait) => Ok(Poll::Pending),
        Err(Interrupt::Exit(exit)) => Err(HostTrap::Exit(exit)),
        Err(Interrupt::Raise(signal)) => Err(HostTrap::Function {
            function: function.to_owned(),
            source: signal.into(),
        }),
    }
}

/// Waits until the next attempt can be made, by the guest's [`Wasi::poll_ready`].
///
/// # Cancel safety
///
/// Cancel safe: the attempts so far have had no effect.
///
/// # Errors
///
/// The [`HostTrap`] of a panic of the embedder.
pub async fn wasi_ready(
    function: &str,
    mut poll_ready: impl FnMut(&mut Context<'_>) -> Poll<()>,
) -> Result<(), HostTrap> {
    poll_fn(|cx| match no_unwind(function, || poll_ready(cx)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// Makes attempts until the function returns to the guest, and holds the thread in between.
///
/// # Errors
///
/// As [`wasi_attempt`].
pub fn wasi_block(
    function: &str,
    wasi: &mut Wasi,
    memory: &mut [u8],
    mut attempt: impl FnMut(&mut Wasi, &mut [u8]) -> Result<(), Interrupt>,
) -> Result<i32, HostTrap> {
    loop {
        let attempted = wasi_attempt(function, || {
            let result = attempt(wasi, memory);
            if result == Err(Interrupt::Wait) {
                wasi.block();
            }
            result
        });
        if let Poll::Ready(code) = attempted? {
            return Ok(code);
        }
    }
}
