//! The instances of a guest.

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::engine::runtime::Instance;
use crate::guest::call_error::CallError;

/// A bounded number of instances, leased by one [`Session`](crate::Session) at a time, in the order
/// in which they were asked for.
pub(crate) struct Pool {
    state: Mutex<State>,
    /// The permits of those that wait, in their order.
    waiting: Semaphore,
    size: u32,
    /// Whether a lost instance is replaced. The single instance of a guest is not: its memory is
    /// the guest's state.
    renewable: bool,
}

struct State {
    idle: Vec<Box<dyn Instance>>,
    /// The permits that are free. While somebody waits there are none here: they are in the
    /// semaphore, which is slower.
    n_free: u32,
    n_waiting: u32,
    /// Whether the single instance was dropped to be replaced.
    is_recycled: bool,
    /// Why the single instance is gone.
    gone: Option<String>,
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
            state: Mutex::new(State {
                idle: Vec::new(),
                n_free: size,
                n_waiting: 0,
                is_recycled: false,
                gone: None,
            }),
            waiting: Semaphore::new(0),
            size,
            renewable,
        }
    }

    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// Takes a permit. No instance exists without one, and [`release`](Self::release) gives it
    /// back.
    pub(crate) async fn acquire(&self) -> Result<(), CallError> {
        {
            let mut state = self.state.lock();
            if state.n_free > 0 {
                state.n_free -= 1;
                return Ok(());
            }
        }
        let _waiting = Waiting::begin(self);
        match self.waiting.acquire().await {
            Ok(permit) => {
                permit.forget();
                Ok(())
            }
            Err(_) => Err(CallError::closed()),
        }
    }

    /// Takes a permit together with an idle instance, if both are there. It overtakes nobody: while
    /// somebody waits, no permit is free.
    #[inline]
    pub(crate) fn take_idle(&self) -> Option<Box<dyn Instance>> {
        let mut state = self.state.lock();
        if state.n_free == 0 {
            return None;
        }
        let instance = state.idle.pop()?;
        state.n_free -= 1;
        Some(instance)
    }

    pub(crate) fn release(&self) {
        self.release_with(|_| {});
    }

    /// Gives a leased instance back, and its permit.
    #[inline]
    pub(crate) fn give_back(&self, instance: Box<dyn Instance>) {
        self.release_with(|state| {
            state.is_recycled = false;
            state.idle.push(instance);
        });
    }

    #[inline]
    fn release_with(&self, update: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        update(&mut state);
        if state.n_waiting == 0 {
            state.n_free += 1;
            return;
        }
        // Not under the lock: it wakes a task. If nobody waits any more by then, the permit is
        // found by the next who waits.
        drop(state);
        self.waiting.add_permits(1);
    }

    /// An idle instance, or `None` where one has to be made.
    pub(crate) fn take(&self) -> Result<Option<Box<dyn Instance>>, CallError> {
        let mut state = self.state.lock();
        let idle = state.idle.pop();
        self.or_new(&state, idle)
    }

    /// As [`take`](Self::take), an instance of a command that has not been started. A pool makes
    /// one if there is none; the single instance of a guest is started only once.
    pub(crate) fn take_unstarted(&self) -> Result<Option<Box<dyn Instance>>, CallError> {
        // Declared before the guard of the lock, and so dropped after it: an instance has data of
        // the embedder, whose drop may use the guest.
        let _replaced;
        let mut state = self.state.lock();
        let is_unstarted = |instance: &mut Box<dyn Instance>| !instance.state().is_started;
        let unstarted = match state.idle.iter_mut().position(is_unstarted) {
            Some(index) => Some(state.idle.swap_remove(index)),
            None if !self.renewable && !state.idle.is_empty() => {
                return Err(CallError::AlreadyStarted);
            }
            None => {
                // The new one uses its permit.
                _replaced = state.idle.pop();
                None
            }
        };
        self.or_new(&state, unstarted)
    }

    fn or_new(
        &self,
        state: &State,
        idle: Option<Box<dyn Instance>>,
    ) -> Result<Option<Box<dyn Instance>>, CallError> {
        if idle.is_some() || self.renewable || state.is_recycled {
            return Ok(idle);
        }
        Err(state.gone().unwrap_or_else(|| CallError::Gone {
            reason: "it was not made".to_owned(),
        }))
    }

    /// The leased instance was dropped, so that the next use makes another.
    pub(crate) fn recycle(&self) {
        self.state.lock().is_recycled = true;
    }

    /// The leased instance was lost. Returns whether the guest is gone with it.
    pub(crate) fn lose(&self, reason: &str) -> bool {
        if !self.renewable {
            let mut state = self.state.lock();
            state.is_recycled = false;
            state.gone = Some(reason.to_owned());
        }
        !self.renewable
    }

    /// The error of calls after the single instance of a guest is gone.
    pub(crate) fn gone(&self) -> Option<CallError> {
        self.state.lock().gone()
    }

    /// Waits until no instance is leased, and drops them all.
    pub(crate) async fn close(&self) {
        let _waiting = Waiting::begin(self);
        // An error means that it is closed already.
        if let Ok(all) = self.waiting.acquire_many(self.size).await {
            all.forget();
            self.waiting.close();
            let idle = std::mem::take(&mut self.state.lock().idle);
            // Not under the lock.
            drop(idle);
        }
    }
}

impl State {
    fn gone(&self) -> Option<CallError> {
        let reason = self.gone.clone()?;
        Some(CallError::Gone { reason })
    }
}

/// Somebody waits for permits, which are in the semaphore meanwhile.
struct Waiting<'p>(&'p Pool);

impl<'p> Waiting<'p> {
    fn begin(pool: &'p Pool) -> Self {
        let mut state = pool.state.lock();
        state.n_waiting += 1;
        let n_free = std::mem::take(&mut state.n_free);
        drop(state);
        pool.waiting.add_permits(n_free as usize);
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Self(pool) = self;
        let mut state = pool.state.lock();
        state.n_waiting -= 1;
        if state.n_waiting == 0 {
            state.n_free += pool.waiting.forget_permits(pool.size as usize) as u32;
        }
    }
}

/// A permit, which is released when this is dropped.
pub(crate) struct Permit<'p>(Option<&'p Pool>);

impl<'p> Permit<'p> {
    /// The permit of a leased instance.
    pub(crate) fn new(pool: &'p Pool) -> Self {
        Self(Some(pool))
    }

    /// Gives the leased instance back with it.
    pub(crate) fn give_back(mut self, instance: Box<dyn Instance>) {
        if let Some(pool) = self.0.take() {
            pool.give_back(instance);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.0 {
            pool.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn poll(future: std::pin::Pin<&mut impl Future<Output = Result<(), CallError>>>) -> bool {
        let polled = future.poll(&mut Context::from_waker(Waker::noop()));
        polled
            .map(|acquired| acquired.expect("it is open"))
            .is_ready()
    }

    #[test]
    fn permits_go_to_those_that_wait_in_their_order() {
        let pool = Pool::renewable(1);
        assert!(poll(pin!(pool.acquire())));
        let mut first = pin!(pool.acquire());
        let mut second = pin!(pool.acquire());
        assert!(!poll(first.as_mut()));
        assert!(!poll(second.as_mut()));

        pool.release();
        assert!(!poll(pin!(pool.acquire())), "it overtakes");
        assert!(!poll(second.as_mut()), "it overtakes");
        assert!(poll(first.as_mut()));
        pool.release();
        assert!(poll(second.as_mut()));
    }

    #[test]
    fn a_wait_that_is_dropped_leaves_its_permit_to_others() {
        let pool = Pool::renewable(1);
        assert!(poll(pin!(pool.acquire())));
        let mut later = pin!(pool.acquire());
        {
            let mut dropped = pin!(pool.acquire());
            assert!(!poll(dropped.as_mut()));
            assert!(!poll(later.as_mut()));
            pool.release(); // for the first
        }
        assert!(poll(later.as_mut()));
        {
            let mut dropped = pin!(pool.acquire());
            assert!(!poll(dropped.as_mut()));
            pool.release();
        }
        assert_eq!(pool.state.lock().n_free, 1, "nobody waits for it");
        assert_eq!(pool.waiting.available_permits(), 0);
    }

    #[test]
    fn a_close_waits_for_all_permits() {
        let pool = Pool::renewable(2);
        assert!(poll(pin!(pool.acquire())));
        {
            let mut close = pin!(pool.close());
            let mut cx = Context::from_waker(Waker::noop());
            assert!(close.as_mut().poll(&mut cx).is_pending());
            pool.release();
            assert!(close.as_mut().poll(&mut cx).is_ready());
        }
        let mut cx = Context::from_waker(Waker::noop());
        let acquired = pin!(pool.acquire()).poll(&mut cx);
        assert!(acquired.map(|acquired| acquired.is_err()).is_ready());
    }
}
