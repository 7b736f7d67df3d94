//! Waiting of a guest: what a call waits for, polled or with a blocked thread.

pub(crate) mod park;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use crate::Wasi;
use crate::descriptor::{Descriptors, Object};
use crate::stdio::input::READ_AHEAD_BYTES;
use crate::time::host::Instant;
use crate::time::timer::{MAX_DELAY, Timer};
use crate::wait::park::{Deadlock, Parker};

/// What one call of a guest waits for; the first to be ready ends the wait.
#[derive(Debug)]
pub(crate) struct Wait {
    streams: Vec<Awaited>,
    timeout: Option<SleepTimer>,
    /// The clocks as the call first read them, so that the time spent waiting counts.
    pub(crate) start_times: StartTimes,
    /// What the attempts of a call have done that is done in parts.
    pub(crate) done: Option<Done>,
    /// Whether a wait that only yields has yielded.
    has_yielded: bool,
    is_finished: bool,
}

/// The progress of a call that yields between its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// `random_get` has filled so many bytes.
    Filled { n_bytes: u32 },
    /// `fd_readdir` has written so many bytes, and continues at this position of the listing.
    Listed { n_bytes: u32, position: u64 },
}

/// One stream, and the operation that is to become possible on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Awaited {
    /// A read of up to `n_bytes`, which follows as soon as it is possible.
    Read { fd: i32, n_bytes: u32 },
    /// A receive of exactly `n_bytes` from a socket, or less when the peer sends no more.
    ReceiveAll { fd: i32, n_bytes: u32 },
    /// Readiness to read, or to accept a connection.
    Readable { fd: i32 },
    /// Readiness to write at least one byte.
    Writable { fd: i32 },
}

/// The clocks at the start of the call, in nanoseconds; `None` for a clock that it has not read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StartTimes {
    pub(crate) realtime_ns: Option<u64>,
    pub(crate) monotonic_ns: Option<u64>,
}

/// The timeout of a wait.
struct SleepTimer {
    duration: Duration,
    /// Created when it is first polled; a parked thread needs none.
    sleep: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// When a thread was first parked for this timeout.
    parked_since: Option<Instant>,
    has_elapsed: bool,
}

impl Wait {
    pub(crate) fn new(
        streams: Vec<Awaited>,
        duration: Option<Duration>,
        start_times: StartTimes,
    ) -> Self {
        Self {
            streams,
            timeout: duration.map(|duration| SleepTimer {
                duration,
                sleep: None,
                parked_since: None,
                has_elapsed: false,
            }),
            start_times,
            done: None,
            has_yielded: false,
            is_finished: false,
        }
    }

    /// A wait that only yields to other tasks or threads.
    pub(crate) fn for_yield() -> Self {
        Self::new(Vec::new(), None, StartTimes::default())
    }

    /// A wait that only yields, before the next part of a call.
    pub(crate) fn for_next_part(done: Done) -> Self {
        Self {
            done: Some(done),
            ..Self::for_yield()
        }
    }

    /// The duration of the timeout, if it has elapsed.
    pub(crate) fn slept(&self) -> Option<Duration> {
        let timeout = self.timeout.as_ref()?;
        timeout.has_elapsed.then_some(timeout.duration)
    }

    /// Resets the wait, for a call that was woken spuriously.
    pub(crate) fn rearm(mut self) -> Self {
        self.is_finished = false;
        self
    }

    pub(crate) fn for_stream(awaited: Awaited) -> Self {
        Self::new(vec![awaited], None, StartTimes::default())
    }

    fn is_yield(&self) -> bool {
        self.streams.is_empty() && self.timeout.is_none()
    }

    fn poll(
        &mut self,
        descriptors: &mut Descriptors,
        timer: &dyn Timer,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.is_finished {
            return Poll::Ready(());
        }
        if self.is_yield() {
            if self.has_yielded {
                self.is_finished = true;
                return Poll::Ready(());
            }
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.is_finished = self.poll_streams(descriptors, cx);
        if let Some(timeout) = &mut self.timeout {
            self.is_finished |= timeout.poll(timer, cx).is_ready();
        }
        if self.is_finished {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether one of the streams is ready. If none is, each has registered the waker.
    fn poll_streams(&self, descriptors: &mut Descriptors, cx: &mut Context<'_>) -> bool {
        self.streams
            .iter()
            .any(|awaited| awaited.poll(descriptors, cx).is_ready())
    }

    fn block(&mut self, descriptors: &mut Descriptors) -> Result<(), Deadlock> {
        if self.is_yield() {
            thread::yield_now();
            self.is_finished = true;
        }
        if let [Awaited::Read { fd, .. }] = self.streams[..] {
            self.is_finished |= allow_blocking_read(descriptors, fd);
        }
        let parker = Parker::new();
        let waker = parker.waker();
        let mut cx = Context::from_waker(&waker);
        while !self.is_finished {
            self.is_finished = self.poll_streams(descriptors, &mut cx);
            match self.timeout.as_mut().map(SleepTimer::remaining) {
                Some(Duration::ZERO) => self.is_finished = true,
                _ if self.is_finished => {}
                rest => parker.park(rest)?,
            }
        }
        Ok(())
    }
}

impl Awaited {
    /// Ready also when the stream can never become ready: the retried call then returns the error.
    fn poll(self, descriptors: &mut Descriptors, cx: &mut Context<'_>) -> Poll<()> {
        let (Self::Read { fd, .. }
        | Self::ReceiveAll { fd, .. }
        | Self::Readable { fd }
        | Self::Writable { fd }) = self;
        let Ok(descriptor) = descriptors.get_mut(fd) else {
            return Poll::Ready(());
        };
        let polled = match self {
            Self::Read { n_bytes, .. } => descriptor.poll_readable(cx, n_bytes),
            Self::ReceiveAll { n_bytes, .. } => {
                return match &mut descriptor.object {
                    Object::Socket(socket) => socket.poll_all(cx, n_bytes),
                    _ => Poll::Ready(()),
                };
            }
            Self::Readable { .. } => descriptor.poll_readable(cx, READ_AHEAD_BYTES),
            Self::Writable { .. } => descriptor.poll_writable(cx),
        };
        match polled {
            Ok(polled) => polled.map(drop),
            Err(_) => Poll::Ready(()),
        }
    }
}

/// Allows the next read of the input to block the thread, and returns whether it may: the call
/// waits for nothing else.
fn allow_blocking_read(descriptors: &mut Descriptors, fd: i32) -> bool {
    let input = descriptors
        .get_mut(fd)
        .and_then(|descriptor| descriptor.input());
    input.is_ok_and(|input| input.may_block())
}

impl SleepTimer {
    fn poll(&mut self, timer: &dyn Timer, cx: &mut Context<'_>) -> Poll<()> {
        let duration = self.duration.min(MAX_DELAY);
        let sleep = self.sleep.get_or_insert_with(|| timer.sleep(duration));
        let polled = sleep.as_mut().poll(cx);
        if polled.is_ready() {
            self.sleep = None;
            self.has_elapsed = true;
        }
        polled
    }

    /// The time that a thread still has to be parked, after any number of spurious wake-ups. At
    /// zero the timeout has elapsed.
    fn remaining(&mut self) -> Duration {
        let since = self.parked_since.get_or_insert_with(Instant::now);
        let rest = self.duration.saturating_sub(since.elapsed());
        self.has_elapsed |= rest.is_zero();
        rest
    }
}

impl fmt::Debug for SleepTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SleepTimer")
            .field("duration", &self.duration)
            .field("has_elapsed", &self.has_elapsed)
            .finish_non_exhaustive()
    }
}

impl Wasi {
    /// Polls until the call that returned [`Interrupt::Wait`](crate::Interrupt::Wait) can be
    /// retried. Ready immediately if no call waits.
    ///
    /// While pending, the waker of `cx` is registered with every stream, socket and
    /// [`Timer`](crate::Timer) that the call waits for. Dropping the context drops them. A host
    /// that does not retry the call should drop the context: the call has read nothing, but its
    /// streams may have a fetch in progress.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that polls this can be dropped and made again. The wait is stored in
    /// the context.
    ///
    /// # Examples
    ///
    /// The retry loop of a backend, for a function that the table marks `wait`:
    ///
    /// ```
    /// use std::future::poll_fn;
    ///
    /// use rangewatch_wasi::{Interrupt, Wasi, preview1};
    ///
    /// async fn sched_yield(ctx: &mut Wasi, memory: &mut [u8]) -> Result<(), Interrupt> {
    ///     loop {
    ///         match preview1::sched_yield(ctx, memory) {
    ///             Err(Interrupt::Wait) => poll_fn(|cx| ctx.poll_ready(cx)).await,
    ///             result => return result,
    ///         }
    ///     }
    /// }
    /// ```
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.wait {
            None => Poll::Ready(()),
            Some(wait) => wait.poll(&mut self.descriptors, &*self.timer, cx),
        }
    }

    /// Blocks the thread until the call that returned [`Interrupt::Wait`](crate::Interrupt::Wait)
    /// can be retried.
    ///
    /// The thread is parked until one of the events that [`poll_ready`](Self::poll_ready) would
    /// await. A sleep needs no [`Timer`](crate::Timer). For a guest that only waits to read from a
    /// blocking [reader](crate::Stdin::reader) this returns immediately: the retried call reads,
    /// and blocks as long as the reader does.
    ///
    /// On a target without threads this returns at once for a guest that waits only for streams
    /// that are not ready: nothing could make them so meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::{Interrupt, Wasi, preview1};
    ///
    /// let mut ctx = Wasi::builder().build()?;
    /// let result = loop {
    ///     match preview1::sched_yield(&mut ctx, &mut []) {
    ///         Err(Interrupt::Wait) => ctx.block(),
    ///         result => break result,
    ///     }
    /// };
    /// assert_eq!(result, Ok(()));
    /// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
    /// ```
    pub fn block(&mut self) {
        // The caller retries, as after any wake-up.
        let _ = self.try_block();
    }

    /// As [`block`](Self::block), with an error where the wait cannot end.
    pub(crate) fn try_block(&mut self) -> Result<(), Deadlock> {
        match &mut self.wait {
            None => Ok(()),
            Some(wait) => wait.block(&mut self.descriptors),
        }
    }

    /// The finished wait of the previous attempt, when the call that begins is its retry.
    ///
    /// A wait that has not finished belongs to a call that the host abandoned.
    pub(crate) fn take_wait(&mut self) -> Option<Wait> {
        let wait = self.wait.take()?;
        wait.is_finished.then_some(*wait)
    }

    pub(crate) fn wait_for(&mut self, wait: Wait) -> crate::Interrupt {
        self.wait = Some(Box::new(wait));
        crate::Interrupt::Wait
    }
}
