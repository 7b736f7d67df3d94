//! One thread, a clock of its own, and an order of polls that a seed decides.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fastrand::Rng;
use rangewatch_bus::timer::{Sleep, Timer};

pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks, and the clock that they sleep by.
pub(crate) struct Executor {
    tasks: Vec<Option<Task>>,
    clock: Clock,
    random: Rng,
    n_steps: u64,
    trace: DefaultHasher,
}

/// A clock that moves when no task can be polled.
#[derive(Clone, Default)]
pub(crate) struct Clock {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Microseconds since the start.
    now: u64,
    /// The tasks that may be polled.
    ready: BTreeSet<usize>,
    /// When, and the number of the timer.
    timers: BinaryHeap<Reverse<(u64, u64)>>,
    /// The task of each timer that has not passed.
    wakers: BTreeMap<u64, Waker>,
    n_timers: u64,
}

impl Executor {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            tasks: Vec::new(),
            clock: Clock::default(),
            random: Rng::with_seed(seed),
            n_steps: 0,
            trace: DefaultHasher::new(),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        self.clock.lock().ready.insert(self.tasks.len());
        self.tasks.push(Some(Box::pin(task)));
    }

    /// Polls until `done`. `false` if that is not so after `max_time` of the clock.
    pub(crate) fn run_until(&mut self, max_time: Duration, done: impl Fn() -> bool) -> bool {
        let end = self.clock.lock().now + max_time.as_micros() as u64;
        let last_step = self.n_steps + 100_000;
        while !done() && self.n_steps < last_step {
            let (next, woken) = {
                let mut shared = self.clock.lock();
                match shared.ready.len() {
                    0 => match shared.advance(end) {
                        Some(woken) => (None, woken),
                        None => return false,
                    },
                    n => {
                        let at = self.random.usize(..n);
                        let next = shared.ready.iter().nth(at).copied();
                        if let Some(id) = next {
                            shared.ready.remove(&id);
                            (shared.now, id).hash(&mut self.trace);
                        }
                        (next, Vec::new())
                    }
                }
            };
            woken.into_iter().for_each(Waker::wake);
            if let Some(id) = next {
                self.poll(id);
            }
        }
        true
    }

    pub(crate) const fn n_steps(&self) -> u64 {
        self.n_steps
    }

    /// What was polled when, as a number.
    pub(crate) fn trace(&self) -> u64 {
        self.trace.finish()
    }

    fn poll(&mut self, id: usize) {
        self.n_steps += 1;
        let shared = Arc::clone(&self.clock.shared);
        let waker = Waker::from(Arc::new(TaskWaker { id, shared }));
        let Some(task) = &mut self.tasks[id] else {
            return;
        };
        let polled = task.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            self.tasks[id] = None;
        }
    }
}

struct TaskWaker {
    id: usize,
    shared: Arc<Mutex<Shared>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.shared).ready.insert(self.id);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Moves to the next timers. Returns whom to wake; `None` if there is nobody before `end`.
    fn advance(&mut self, end: u64) -> Option<Vec<Waker>> {
        let next = self.timers.peek().map(|Reverse((at, _))| *at);
        let Some(at) = next.filter(|at| *at <= end) else {
            self.now = end;
            return None;
        };
        self.now = at;
        let mut woken = Vec::new();
        while let Some(Reverse((due, timer))) = self.timers.peek().copied()
            && due <= at
        {
            self.timers.pop();
            woken.extend(self.wakers.remove(&timer));
        }
        Some(woken)
    }
}

impl Clock {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }

    /// Microseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        self.lock().now
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({} us)", self.now())
    }
}

impl Timer for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        let mut shared = self.lock();
        let due = shared.now + duration.as_micros() as u64;
        let timer = shared.n_timers;
        shared.n_timers += 1;
        shared.timers.push(Reverse((due, timer)));
        Box::pin(Sleeping {
            clock: self.clone(),
            due,
            timer,
        })
    }
}

struct Sleeping {
    clock: Clock,
    due: u64,
    timer: u64,
}

impl Future for Sleeping {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut shared = self.clock.lock();
        if shared.now >= self.due {
            return Poll::Ready(());
        }
        shared.wakers.insert(self.timer, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        let waker = self.clock.lock().wakers.remove(&self.timer);
        drop(waker);
    }
}
