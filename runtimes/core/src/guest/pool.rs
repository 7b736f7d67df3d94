//! The instances of a guest.

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::engine::error_chain::ErrorChain;
use crate::engine::failure::{Failure, TrapKind};
use crate::engine::module::START;
use crate::engine::runtime::Instance;
use crate::engine::val::Val;
use crate::guest::call_error::CallError;
use crate::guest::inner::Inner;

/// A bounded number of instances, leased for one call at a time, in the order in which they were
/// asked for.
pub(crate) struct Pool {
    permits: Semaphore,
    size: u32,
    idle: Mutex<Vec<Box<dyn Instance>>>,
    /// Whether a lost instance is replaced. The single instance of a guest is not: its memory is
    /// the guest's state.
    renewable: bool,
    gone: Mutex<Option<String>>,
}

impl Pool {
    /// A pump has a future for each callback instance, and each instance has a memory.
    pub(crate) const MAX_SIZE: u32 = 4096;

    /// A pool of one instance, which [`add_idle`](Self::add_idle) adds.
    pub(crate) fn single() -> Self {
        Self::new(1, false)
    }

    /// A pool of up to `size` instances, made when they are needed.
    pub(crate) fn renewable(size: u32) -> Self {
        Self::new(size, true)
    }

    fn new(size: u32, renewable: bool) -> Self {
        Self {
            permits: Semaphore::new(size as usize),
            size,
            idle: Mutex::default(),
            renewable,
            gone: Mutex::new(None),
        }
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    pub(crate) fn add_idle(&self, instance: Box<dyn Instance>) {
        self.idle.lock().push(instance);
    }

    /// Waits for a permit, then takes an idle instance or makes one, and starts it if it has to be
    /// started before it is used. No instance exists without a permit.
    pub(crate) async fn lease<'a>(
        &'a self,
        guest: &'a Inner,
        export: &str,
    ) -> Result<Lease<'a>, CallError> {
        let permit = self.permit().await?;
        let idle = self.idle.lock().pop();
        let mut lease = self.lease_with(guest, export, permit, idle).await?;
        if !lease.must_start(guest) {
            return Ok(lease);
        }
        match lease.start_before_use(guest).await {
            Ok(()) => Ok(lease),
            Err(error) => {
                lease.lose(&ErrorChain::new(&error));
                Err(CallError::not_started(export, error))
            }
        }
    }

    /// As [`lease`](Self::lease), an instance of a command that has not been started. A pool makes
    /// one if there is none; the single instance of a guest is started only once.
    pub(crate) async fn lease_unstarted<'a>(
        &'a self,
        guest: &'a Inner,
    ) -> Result<Lease<'a>, CallError> {
        let permit = self.permit().await?;
        let idle = {
            let mut idle = self.idle.lock();
            let unstarted = idle
                .iter_mut()
                .position(|instance| !instance.memory_and_state().1.is_started);
            match unstarted {
                Some(index) => Some(idle.swap_remove(index)),
                None if !self.renewable && !idle.is_empty() => {
                    return Err(CallError::AlreadyStarted);
                }
                // The new one takes its permit.
                None => {
                    idle.pop();
                    None
                }
            }
        };
        self.lease_with(guest, START, permit, idle).await
    }

    /// The error of calls after the single instance of a guest is gone.
    pub(crate) fn gone(&self) -> Option<CallError> {
        let reason = self.gone.lock().clone()?;
        Some(CallError::Gone { reason })
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, CallError> {
        // Overtakes no waiter: permits that are given back go to waiters first.
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let permit = self.permits.acquire().await;
        permit.map_err(|_| CallError::Gone {
            reason: "it was closed".to_owned(),
        })
    }

    async fn lease_with<'a>(
        &'a self,
        guest: &'a Inner,
        export: &str,
        permit: SemaphorePermit<'a>,
        idle: Option<Box<dyn Instance>>,
    ) -> Result<Lease<'a>, CallError> {
        let instance = match idle {
            Some(instance) => instance,
            None if self.renewable => {
                guest
                    .new_instance()
                    .await
                    .map_err(|source| CallError::Instantiate {
                        export: export.to_owned(),
                        source: Box::new(source),
                    })?
            }
            None => {
                let reason = self.gone.lock().clone().unwrap_or_default();
                return Err(CallError::Gone { reason });
            }
        };
        Ok(Lease {
            pool: self,
            guest,
            instance: Some(instance),
            calling: None,
            reason: String::new(),
            _permit: permit,
        })
    }

    /// Waits until no instance is leased, and drops them all.
    pub(crate) async fn close(&self) {
        // An error means that it is closed already.
        if let Ok(all) = self.permits.acquire_many(self.size).await {
            all.forget();
            self.permits.close();
            self.idle.lock().clear();
        }
    }
}

/// A leased instance. A lease that is dropped without [`give_back`](Self::give_back) drops the
/// instance: a call that failed or was dropped midway has left its memory in an unknown state.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    guest: &'a Inner,
    instance: Option<Box<dyn Instance>>,
    /// The export that is being called.
    calling: Option<&'a str>,
    /// Why the instance is dropped.
    reason: String,
    // After the instance in drop order: the permit is free when the instance is gone.
    _permit: SemaphorePermit<'a>,
}

impl<'a> Lease<'a> {
    pub(crate) fn instance(&mut self) -> &mut dyn Instance {
        &mut **self
            .instance
            .as_mut()
            .expect("only giving back takes it, which takes the lease")
    }

    /// Calls an export, flushes what the guest wrote, and commits what it staged if it returned or
    /// exited with code 0.
    pub(crate) async fn call(
        &mut self,
        export: &'a str,
        args: &[Val],
    ) -> Result<Vec<Val>, CallError> {
        self.calling = Some(export);
        let results = self.instance().call(export, args).await;
        self.calling = None;
        let guest = self.guest;
        let (memory, state) = self.instance().memory_and_state();
        guest.flush(state.wasi(), export);
        let abi = state.abi();
        let n_emits = abi.n_staged();
        let results = results.map_err(|failure| match failure {
            Failure::Trap {
                kind: kind @ TrapKind::Unreachable,
                source,
            } => CallError::Trap {
                export: export.to_owned(),
                kind,
                message: abi.take_panic_text(memory),
                source,
            },
            failure => CallError::new(export, failure),
        });
        let has_ended_well = match &results {
            Ok(_) => true,
            Err(CallError::Exit { exit, .. }) => exit.code() == 0,
            Err(_) => false,
        };
        if has_ended_well {
            abi.commit().map_err(|source| CallError::Refused {
                export: export.to_owned(),
                n_emits,
                source,
            })?;
        }
        results.map_err(|error| match abi.discard() {
            0 => error,
            n_emits => CallError::Discarded {
                n_emits,
                source: Box::new(error),
            },
        })
    }

    pub(crate) fn give_back(mut self) {
        if let Some(instance) = self.instance.take() {
            self.pool.idle.lock().push(instance);
        }
    }

    /// Drops the instance and says why.
    pub(crate) fn lose(mut self, why: &impl ToString) {
        self.reason = why.to_string();
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.instance.is_none() {
            return;
        }
        if let Some(export) = self.calling.take() {
            // Nothing else can reach the writers of the guest.
            let guest = self.guest;
            guest.flush(self.instance().memory_and_state().1.wasi(), export);
            self.reason = format!("a call of `{export}` was dropped before it returned");
        }
        self.instance = None;
        if !self.pool.renewable {
            *self.pool.gone.lock() = Some(std::mem::take(&mut self.reason));
            // Nothing can deliver to the guest's watches any more.
            self.guest.lose_watches();
        }
    }
}
