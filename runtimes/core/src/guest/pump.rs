//! The delivery of callbacks.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt, select};
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use rangewatch_bus::Ready;
use rangewatch_wasi::call::yield_now;

use crate::abi::gen1;
use crate::guest::call_error::CallError;
use crate::guest::inner::Inner;
use crate::guest::session::{Role, Session};
use crate::watches::watch::Watch;

/// The state that the workers of one pump share.
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
            // The first is the cause of the others.
            self.error.lock().get_or_insert(error);
        }
        self.n_running.fetch_sub(1, Ordering::Relaxed);
    }

    fn has_failed(&self) -> bool {
        self.error.lock().is_some()
    }

    /// Whether a worker has failed and the callbacks of the others have run to their end.
    fn is_over(&self) -> bool {
        self.has_failed() && self.n_running.load(Ordering::Relaxed) == 0
    }

    fn into_error(self) -> Option<CallError> {
        self.error.into_inner()
    }
}

/// Delivers to the watches of a guest. See [`Guest::pump`](crate::Guest::pump).
///
/// Resolves to `Ok` when the guest was dropped or closed, and to the error when the guest has no
/// instance left to run callbacks on.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{CallError, Guest};
///
/// # async fn example(guest: Guest) -> Result<(), CallError> {
/// let pump = guest.pump(); // spawn it on an executor, or run it beside other futures
/// let calls = async move {
///     guest.call("follow", &[]).await?;
///     guest.call("work", &[]).await
///     // The guest is dropped here, which ends the pump.
/// };
/// futures::future::try_join(calls, pump).await?;
/// # Ok(())
/// # }
/// ```
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
                let run = poll_fn(|cx| {
                    while let Poll::Ready(Some(())) = workers.poll_next_unpin(cx) {}
                    if workers.is_empty() || pump.is_over() {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                });
                // A guest that is dropped ends the callbacks that run, one that is closed waits for
                // them.
                select(run, pin!(inner.dropped.wait())).await;
                drop(workers);
                if inner.closing.is_set() {
                    return Ok(());
                }
                match pump.into_error().or_else(|| inner.callbacks().gone()) {
                    Some(error) => Err(error),
                    None => Ok(()),
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
    /// One of the concurrent workers of a pump, until the group ends or one of them has failed.
    async fn work(self: &Arc<Self>, pump: &PumpState) {
        while let Some(announced) = self.watches.started().due().await {
            if pump.has_failed() {
                return;
            }
            pump.enter();
            let result = self.run_next(Some(announced)).await;
            pump.leave(result.err());
            // Callbacks that cause each other would otherwise block the thread.
            yield_now().await;
        }
    }

    /// Runs the next callback, if one is due; `false` if none was. `announced` is what the caller
    /// waited for.
    pub(crate) async fn run_next(
        self: &Arc<Self>,
        announced: Option<Ready<'_, Watch>>,
    ) -> Result<bool, CallError> {
        // The instance first: a value counts as delivered when recv is entered, and until then
        // later ones of the burst are coalesced into it.
        let mut session = Session::lease(self, Role::Callbacks, gen1::RECV).await?;
        let running = match self.watches.next_callback(announced) {
            Ok(Some(running)) => running,
            Ok(None) => return Ok(false),
            // An owner has ended: no callback has run.
            Err(error) => {
                drop(session);
                self.report(error);
                return Ok(false);
            }
        };
        let (memory, state) = session.memory_and_state()?;
        let callback = match state.abi().enter(memory, running) {
            Ok(callback) => callback,
            // The guest has not run: its instance can be used again.
            Err(error) => {
                drop(session);
                self.report(error);
                return Ok(true);
            }
        };
        // The guest pays for its delivery.
        state.meter().add_to_next_call(callback.work());
        let Err(cause) = session.call_back(&callback).await else {
            return Ok(true);
        };
        drop(session);
        let error = callback.error(cause);
        drop(callback);
        self.report(error);
        Ok(true)
    }
}
