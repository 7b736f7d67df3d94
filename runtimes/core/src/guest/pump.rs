//! The delivery of callbacks.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;

use crate::abi;
use crate::engine::yield_now::yield_now;
use crate::guest::call_error::CallError;
use crate::guest::callback_error::{CallbackError, CallbackErrorCause};
use crate::guest::inner::Inner;
use crate::watches::ready::Ready;

/// What the strands of one pump know of each other.
#[derive(Default)]
struct PumpState {
    n_running: AtomicUsize,
    error: Mutex<Option<CallError>>,
}

impl PumpState {
    fn enter(&self) {
        self.n_running.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&self, error: Option<CallError>) {
        if let Some(error) = error {
            // The first says most.
            self.error.lock().get_or_insert(error);
        }
        self.n_running.fetch_sub(1, Ordering::Relaxed);
    }

    fn has_failed(&self) -> bool {
        self.error.lock().is_some()
    }

    /// Whether a strand has failed and the callbacks of the others have run to their end.
    fn is_over(&self) -> bool {
        self.has_failed() && self.n_running.load(Ordering::Relaxed) == 0
    }

    fn into_error(self) -> Option<CallError> {
        self.error.into_inner()
    }
}

/// Whoever was woken for a callback and did not take one leaves it to another that waits.
struct PassOn<'a>(&'a Ready);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// Delivers to the watches of a guest. See [`Guest::pump`](crate::Guest::pump).
///
/// Resolves to `Ok` when the guest was dropped or closed, and to the error when the guest has no
/// instance left to run callbacks on.
pub struct Pump {
    inner: BoxFuture<'static, Result<(), CallError>>,
}

impl Pump {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner: async move {
                let pump = PumpState::default();
                let mut workers: FuturesUnordered<_> = (0..inner.callbacks().size())
                    .map(|_| inner.work(&pump))
                    .collect();
                poll_fn(|cx| {
                    while let Poll::Ready(Some(())) = workers.poll_next_unpin(cx) {}
                    if workers.is_empty() || pump.is_over() {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
                drop(workers);
                match pump.into_error() {
                    Some(error) if !inner.group.ready().is_ended() => Err(error),
                    _ => Ok(()),
                }
            }
            .boxed(),
        }
    }
}

impl Future for Pump {
    type Output = Result<(), CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.poll_unpin(cx)
    }
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pump").finish_non_exhaustive()
    }
}

impl Inner {
    /// One of the concurrent strands of a pump, until one of them has failed.
    async fn work(&self, pump: &PumpState) {
        loop {
            self.group.ready().wait().await;
            if self.group.ready().is_ended() || pump.has_failed() {
                self.group.ready().pass_on();
                return;
            }
            pump.enter();
            let result = self.run_next().await;
            pump.leave(result.err());
            // Callbacks that cause each other would otherwise hold the thread between them.
            yield_now().await;
        }
    }

    /// Runs the next callback, if one is due; `false` if none was.
    pub(crate) async fn run_next(&self) -> Result<bool, CallError> {
        // The instance first: a value counts as delivered when recv is entered, and until then
        // later ones of the burst are merged into it.
        let pass_on = PassOn(self.group.ready());
        let mut lease = self.callbacks().lease(self, abi::RECV).await?;
        let (memory, state) = lease.instance().memory_and_state();
        let callback = match state.abi().next_callback(memory) {
            Ok(Some(callback)) => callback,
            Ok(None) => {
                lease.give_back();
                return Ok(false);
            }
            Err(error) => {
                lease.lose(&error);
                (self.on_callback_error)(error);
                return Ok(true);
            }
        };
        drop(pass_on);
        let cause = match lease.call(abi::RECV, &[]).await {
            Ok(_) => {
                let (memory, state) = lease.instance().memory_and_state();
                let report = state.abi().finish(memory, &callback);
                lease.give_back();
                match report {
                    Ok(None) => return Ok(true),
                    Ok(Some(text)) => CallbackErrorCause::Reported(text),
                    Err(error) => CallbackErrorCause::Abi(error),
                }
            }
            Err(error) => {
                lease.lose(&error);
                CallbackErrorCause::Call(error)
            }
        };
        let (id, value) = (callback.id().to_owned(), callback.value());
        drop(callback);
        (self.on_callback_error)(CallbackError { id, value, cause });
        Ok(true)
    }
}
