//! How a call runs on a leased instance, and how it ends.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use rangewatch_bus::timer::Sleep;

use crate::abi::{Callback, gen1};
use crate::engine::error_chain::ErrorChain;
use crate::engine::exports::Export;
use crate::engine::failure::{Failure, TrapKind};
use crate::engine::host_cx::HostCx;
use crate::engine::host_function::{no_unwind, panicked, run_hook};
use crate::engine::runtime::{Called, GuestState, Instance};
use crate::engine::val::Val;
use crate::guest::call_end::{CallEnd, CallOutcome};
use crate::guest::call_error::CallError;
use crate::guest::callback_error::CallbackErrorCause;
use crate::guest::session::{Session, dropped};

impl Session {
    /// Calls an export. The instance is lost after an error.
    #[inline]
    pub(crate) async fn call_or_lose(
        &mut self,
        export: Export<'_>,
        args: &[Val],
    ) -> Result<Vec<Val>, CallError> {
        let begun = match self.begin(export, args) {
            Begun::Ended(values) => return Ok(values),
            begun => begun,
        };
        let results = self.end(export.name, begun).await;
        if let Err(error) = &results {
            self.lose(&ErrorChain::new(error));
        }
        results
    }

    /// Calls an export. The instance is kept after an error: the caller has to lose it.
    pub(crate) async fn call_and_keep(
        &mut self,
        export: Export<'_>,
        args: &[Val],
    ) -> Result<Vec<Val>, CallError> {
        let begun = self.begin(export, args);
        self.end(export.name, begun).await
    }

    /// Begins a call. Most calls end here.
    fn begin(&mut self, export: Export<'_>, args: &[Val]) -> Begun {
        let running = RunningCall::new(self, export.name);
        let session = &mut *running.session;
        let sleep = session.limit_time();
        let called = match session.instance() {
            Ok(instance) => instance.call(export, args),
            Err(gone) => return Begun::Uncommitted(Box::new(Err(gone))),
        };
        let begun = match called {
            Called::Ended(ended) => match (session.flush(export.name), ended) {
                (false, Ok(values)) => {
                    running.end(None);
                    return Begun::Ended(values);
                }
                (_, ended) => Begun::Uncommitted(Box::new(session.results(export.name, ended))),
            },
            Called::Suspended => Begun::Suspended(sleep),
        };
        running.goes_on();
        begun
    }

    /// Runs the rest of a call.
    async fn end(&mut self, export: &str, begun: Begun) -> Result<Vec<Val>, CallError> {
        let results = match begun {
            Begun::Ended(values) => return Ok(values),
            Begun::Uncommitted(results) => Ok(results),
            Begun::Suspended(sleep) => Err(sleep),
        };
        let running = RunningCall::new(self, export);
        let session = &mut *running.session;
        let results = match results {
            Ok(results) => *results,
            Err(sleep) => {
                let results = session.resume(export, sleep).await;
                session.flush(export);
                results
            }
        };
        if session.has_to_ask(&results) {
            running.goes_on();
            return self.end_by_hook(export, results).await;
        }
        let results = session.commit_or_discard(export, results);
        running.end(results.as_ref().err());
        results
    }

    /// Ends a call that the commit hook commits, in a future of its own: most guests have no hook.
    fn end_by_hook<'a>(
        &'a mut self,
        export: &'a str,
        results: Result<Vec<Val>, CallError>,
    ) -> BoxFuture<'a, Result<Vec<Val>, CallError>> {
        Box::pin(async move {
            let running = RunningCall::new(self, export);
            let committed = running.session.commit_by_hook(export).await;
            let results = committed.and(results);
            running.end(results.as_ref().err());
            results
        })
    }

    /// Runs a callback that was entered, and commits what it staged unless the guest reports an
    /// error. The instance is lost after every error but a report.
    pub(crate) async fn call_back(
        &mut self,
        callback: &Callback,
    ) -> Result<(), CallbackErrorCause> {
        let recv = self.export(gen1::RECV).map_err(CallbackErrorCause::Call)?;
        let running = RunningCall::new(self, recv.name);
        let session = &mut *running.session;
        let returned = session.run(recv, &[]).await;
        session.flush(recv.name);
        let report = match (&returned, session.memory_and_state()) {
            (Ok(_), Ok((memory, state))) => state.abi().take_report(memory, callback),
            _ => Ok(None),
        };
        let outcome = match report {
            Ok(None) => {
                let committed = if session.has_to_ask(&returned) {
                    let committed = Box::pin(session.commit_by_hook(gen1::RECV)).await;
                    committed.and(returned)
                } else {
                    session.commit_or_discard(gen1::RECV, returned)
                };
                committed.map(drop).map_err(CallbackErrorCause::Call)
            }
            Ok(Some(text)) => Err(CallbackErrorCause::Reported(text)),
            Err(error) => Err(CallbackErrorCause::Abi(error)),
        };
        if let Err(CallbackErrorCause::Call(error)) = &outcome {
            running.end(Some(error));
            self.lose(&ErrorChain::new(error));
            return outcome;
        }
        if let Ok((_, state)) = session.memory_and_state() {
            state.abi().discard();
        }
        running.end_as(match outcome {
            Ok(()) => CallOutcome::Returned,
            Err(_) => CallOutcome::Reported,
        });
        // After the hooks, which may ask for the owner and the id of the watch.
        if let Ok((_, state)) = self.memory_and_state() {
            state.abi().leave();
        }
        outcome
    }

    /// Runs a call to its end. What the guest wrote is not flushed.
    pub(crate) async fn run(
        &mut self,
        export: Export<'_>,
        args: &[Val],
    ) -> Result<Vec<Val>, CallError> {
        let sleep = self.limit_time();
        match self.instance()?.call(export, args) {
            Called::Ended(ended) => self.results(export.name, ended),
            Called::Suspended => self.resume(export.name, sleep).await,
        }
    }

    /// The limit of time of a call that begins now, if there is one.
    #[inline]
    fn limit_time(&self) -> Option<(Duration, Sleep)> {
        let limit = self.guest.config.limits.max_wall_time()?;
        Some((limit, self.guest.config.timer.sleep(limit)))
    }

    /// Runs a call that was suspended to its end, within its limit of time.
    async fn resume(
        &mut self,
        export: &str,
        sleep: Option<(Duration, Sleep)>,
    ) -> Result<Vec<Val>, CallError> {
        let Some(instance) = &mut self.instance else {
            return Err(self.gone());
        };
        let ended = match sleep {
            None => instance.resume().await,
            Some((limit, sleep)) => match select(instance.resume(), sleep).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => {
                    return Err(CallError::TimedOut {
                        export: export.to_owned(),
                        limit,
                    });
                }
            },
        };
        self.results(export, ended)
    }

    /// Flushes what the guest wrote in a call. Returns whether there is something to commit.
    #[inline]
    fn flush(&mut self, export: &str) -> bool {
        let Some(instance) = &mut self.instance else {
            return false;
        };
        let config = &self.guest.config;
        let state = instance.state();
        state.abi().leave_group();
        if config.has_wasi() {
            self.guest.flush(state.wasi(), export);
        }
        config.has_hook || state.abi().n_staged() > 0
    }

    /// What a call has returned.
    fn results(
        &mut self,
        export: &str,
        ended: Result<Vec<Val>, Failure>,
    ) -> Result<Vec<Val>, CallError> {
        ended.map_err(|failure| match (failure, self.memory_and_state()) {
            (
                Failure::Trap {
                    kind: kind @ TrapKind::Unreachable,
                    source,
                },
                Ok((memory, state)),
            ) => CallError::Trap {
                export: export.to_owned(),
                kind,
                message: state.abi().take_panic_text(memory),
                source,
            },
            (failure, _) => {
                let max_fuel = self.guest.config.limits.max_fuel_per_call();
                CallError::new(export, failure).with_fuel_limit(max_fuel)
            }
        })
    }

    /// Whether the commit hook decides about what a call has staged.
    #[inline]
    fn has_to_ask(&self, results: &Result<Vec<Val>, CallError>) -> bool {
        self.guest.config.has_hook && self.instance.is_some() && has_ended_well(results)
    }

    /// Commits what a call has staged, if it has ended well, and drops it if not.
    #[inline]
    fn commit_or_discard(
        &mut self,
        export: &str,
        results: Result<Vec<Val>, CallError>,
    ) -> Result<Vec<Val>, CallError> {
        let Some(instance) = &mut self.instance else {
            return results;
        };
        let abi = instance.state().abi();
        if !has_ended_well(&results) {
            return results.map_err(|error| match abi.discard() {
                0 => error,
                n_emits => CallError::Discarded {
                    n_emits,
                    source: Box::new(error),
                },
            });
        }
        let n_emits = abi.n_staged();
        if n_emits == 0 {
            return results;
        }
        // An emit wakes subscribers, and a waker is code of the embedder.
        no_unwind("commit", || abi.commit())
            .map_err(|panic| CallError::new(export, panic.into()))?
            .map_err(|source| CallError::Refused {
                export: export.to_owned(),
                n_emits,
                source,
            })?;
        results
    }

    /// Lets the commit hook decide about what a call has staged.
    async fn commit_by_hook(&mut self, export: &str) -> Result<(), CallError> {
        let guest = self.guest.clone();
        let Some(hook) = guest.config.bus.hook() else {
            return Ok(());
        };
        let instance = self.instance()?;
        let abi = instance.memory_and_state().1.abi();
        let (n_emits, emits) = (abi.n_staged(), abi.take_for_hook());
        let mut cx = BetweenCalls(instance);
        // The future is made in its own: making it is code of the embedder, too.
        let committing = AssertUnwindSafe(async { hook.commit(&mut cx, emits).await });
        let committed = match committing.catch_unwind().await {
            Ok(committed) => committed,
            Err(panic) => Err(panicked("the commit hook", &*panic).into()),
        };
        committed.map_err(|source| CallError::NotCommitted {
            export: export.to_owned(),
            n_emits,
            source,
        })
    }
}

/// A call that has begun. Most end well; the others need no room.
enum Begun {
    /// It has ended well and has nothing to commit.
    Ended(Vec<Val>),
    /// It has failed, or has to be committed.
    Uncommitted(Box<Result<Vec<Val>, CallError>>),
    /// It is suspended. With its limit of time.
    Suspended(Option<(Duration, Sleep)>),
}

fn has_ended_well(results: &Result<Vec<Val>, CallError>) -> bool {
    match results {
        Ok(_) => true,
        Err(CallError::Exit { exit, .. }) => exit.code() == 0,
        Err(_) => false,
    }
}

/// The context of the commit hook, which runs when the guest does not.
struct BetweenCalls<'a>(&'a mut dyn Instance);

impl HostCx for BetweenCalls<'_> {
    fn memory_and_state(&mut self) -> (&mut [u8], &mut GuestState) {
        self.0.memory_and_state()
    }

    fn fuel_left(&mut self) -> Option<u64> {
        None
    }
}

/// A call that runs. Dropped before it has ended, it loses the instance: the memory is in an
/// unknown state.
struct RunningCall<'s, 'e> {
    session: &'s mut Session,
    export: &'e str,
    has_ended: bool,
}

impl<'s, 'e> RunningCall<'s, 'e> {
    fn new(session: &'s mut Session, export: &'e str) -> Self {
        Self {
            session,
            export,
            has_ended: false,
        }
    }

    #[inline]
    fn end(self, error: Option<&CallError>) {
        self.end_as(error.map_or(CallOutcome::Returned, CallOutcome::Failed));
    }

    /// The call goes on in another of these.
    fn goes_on(mut self) {
        self.has_ended = true;
    }

    fn end_as(mut self, outcome: CallOutcome<'_>) {
        self.has_ended = true;
        self.session.on_call_end(self.export, outcome);
        if self.session.has_context {
            self.session.drop_context();
        }
    }
}

impl Drop for RunningCall<'_, '_> {
    fn drop(&mut self) {
        if self.has_ended || self.session.instance.is_none() {
            return;
        }
        let guest = self.session.guest.clone();
        if let Ok((_, state)) = self.session.memory_and_state() {
            // Nothing else can reach the writers of the guest.
            guest.flush(state.wasi(), self.export);
        }
        self.session.on_call_end(self.export, CallOutcome::Dropped);
        self.session.lose(&dropped(self.export));
    }
}

impl Session {
    #[inline]
    fn on_call_end(&mut self, export: &str, outcome: CallOutcome<'_>) {
        for hook in &self.guest.config.on_call_end {
            let Some(instance) = &mut self.instance else {
                return;
            };
            let (memory, state) = instance.memory_and_state();
            // Also run while a future is dropped, where a panic would abort the process.
            run_hook("on_call_end", || {
                hook(&mut CallEnd::new(export, outcome, memory, state));
            });
        }
    }
}
