//! The instances of a guest.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::engine::runtime::Instance;
use crate::guest::call_error::CallError;

/// A bounded number of instances, leased by one [`Session`](crate::Session) at a time, in the order
/// in which they were asked for.
pub(crate) struct Pool {
    permits: Semaphore,
    size: u32,
    idle: Mutex<Vec<Box<dyn Instance>>>,
    /// Whether a lost instance is replaced. The single instance of a guest is not: its memory is
    /// the guest's state.
    renewable: bool,
    /// Whether the single instance was dropped to be replaced.
    is_recycled: AtomicBool,
    gone: Mutex<Option<String>>,
}

impl Pool {
    /// A pump has a future for each callback instance, and each instance has a memory.
    pub(crate) const MAX_SIZE: u32 = 4096;

    /// A pool of one instance, which is added when it has been made.
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
            is_recycled: AtomicBool::new(false),
            gone: Mutex::new(None),
        }
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// Takes a permit, which [`release`](Self::release) gives back. No instance exists without one.
    pub(crate) async fn acquire(&self) -> Result<(), CallError> {
        // Overtakes no waiter: permits that are given back go to waiters first.
        if let Ok(permit) = self.permits.try_acquire() {
            permit.forget();
            return Ok(());
        }
        match self.permits.acquire().await {
            Ok(permit) => {
                permit.forget();
                Ok(())
            }
            Err(_) => Err(CallError::closed()),
        }
    }

    /// Takes a permit together with an idle instance, if both are there.
    #[inline]
    pub(crate) fn take_idle(&self) -> Option<Box<dyn Instance>> {
        let permit = self.permits.try_acquire().ok()?;
        let instance = self.idle.lock().pop()?;
        permit.forget();
        Some(instance)
    }

    #[inline]
    pub(crate) fn release(&self) {
        self.permits.add_permits(1);
    }

    /// An idle instance, or `None` where one has to be made.
    pub(crate) fn take(&self) -> Result<Option<Box<dyn Instance>>, CallError> {
        let idle = self.idle.lock().pop();
        self.or_new(idle)
    }

    /// As [`take`](Self::take), an instance of a command that has not been started. A pool makes
    /// one if there is none; the single instance of a guest is started only once.
    pub(crate) fn take_unstarted(&self) -> Result<Option<Box<dyn Instance>>, CallError> {
        let (unstarted, replaced) = {
            let mut idle = self.idle.lock();
            let unstarted = idle
                .iter_mut()
                .position(|instance| !instance.memory_and_state().1.is_started);
            match unstarted {
                Some(index) => (Some(idle.swap_remove(index)), None),
                None if !self.renewable && !idle.is_empty() => {
                    return Err(CallError::AlreadyStarted);
                }
                // The new one uses its permit.
                None => (None, idle.pop()),
            }
        };
        // Not under the lock: an instance has data of the embedder, whose drop may use the guest.
        drop(replaced);
        self.or_new(unstarted)
    }

    fn or_new(
        &self,
        idle: Option<Box<dyn Instance>>,
    ) -> Result<Option<Box<dyn Instance>>, CallError> {
        if idle.is_some() || self.renewable || self.is_recycled.load(Ordering::Relaxed) {
            return Ok(idle);
        }
        Err(self.gone().unwrap_or_else(|| CallError::Gone {
            reason: "it was not made".to_owned(),
        }))
    }

    #[inline]
    pub(crate) fn give_back(&self, instance: Box<dyn Instance>) {
        self.is_recycled.store(false, Ordering::Relaxed);
        self.idle.lock().push(instance);
    }

    /// The leased instance was dropped, so that the next use makes another.
    pub(crate) fn recycle(&self) {
        self.is_recycled.store(true, Ordering::Relaxed);
    }

    /// The leased instance was lost. Returns whether the guest is gone with it.
    pub(crate) fn lose(&self, reason: String) -> bool {
        if !self.renewable {
            self.is_recycled.store(false, Ordering::Relaxed);
            *self.gone.lock() = Some(reason);
        }
        !self.renewable
    }

    /// The error of calls after the single instance of a guest is gone.
    pub(crate) fn gone(&self) -> Option<CallError> {
        let reason = self.gone.lock().clone()?;
        Some(CallError::Gone { reason })
    }

    /// Waits until no instance is leased, and drops them all.
    pub(crate) async fn close(&self) {
        // An error means that it is closed already.
        if let Ok(all) = self.permits.acquire_many(self.size).await {
            all.forget();
            self.permits.close();
            let idle = std::mem::take(&mut *self.idle.lock());
            // Not under the lock.
            drop(idle);
        }
    }
}
