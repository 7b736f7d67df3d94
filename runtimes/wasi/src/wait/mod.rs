//! What a guest waits for, and the two ways of waiting.

pub(crate) mod park;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use crate::Wasi;
use crate::descriptor::{Descriptors, Object};
use crate::stdio::input::READ_AHEAD_BYTES;
use crate::time::timer::{MAX_DELAY, Timer};
use crate::wait::park::thread_waker;

/// What one call of a guest waits for: whichever of these comes first.
#[derive(Debug)]
pub(crate) struct Wait {
    streams: Vec<Awaited>,
    timeout: Option<SleepTimer>,
    /// The clocks as they were when the call began, so that the time it has waited counts.
    pub(crate) start_times: StartTimes,
    /// Whether a wait for nothing but a turn has given the thread away.
    has_yielded: bool,
    is_over: bool,
}

/// One stream, and what is to become possible on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Awaited {
    /// Reading up to so many bytes, which will be done as soon as it is possible.
    Read { fd: i32, n_bytes: u32 },
    /// Receiving so many bytes from a socket, and no less unless there are no more.
    ReceiveAll { fd: i32, n_bytes: u32 },
    /// To know whether there is something to read, or a connection to accept.
    Readable { fd: i32 },
    /// Writing at least one byte.
    Writable { fd: i32 },
}

/// Nanoseconds of the clocks that the call has read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StartTimes {
    pub(crate) realtime_ns: Option<u64>,
    pub(crate) monotonic_ns: Option<u64>,
}

/// The end of a sleep.
struct SleepTimer {
    duration: Duration,
    /// Made when it is first awaited: a thread that is parked needs none.
    sleep: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// When a thread was first parked until then.
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
            has_yielded: false,
            is_over: false,
        }
    }

    /// For nothing but the turn of others.
    pub(crate) fn for_yield() -> Self {
        Self::new(Vec::new(), None, StartTimes::default())
    }

    /// How long the call has slept, if that is what has ended the wait.
    pub(crate) fn slept(&self) -> Option<Duration> {
        let timeout = self.timeout.as_ref()?;
        timeout.has_elapsed.then_some(timeout.duration)
    }

    /// The same wait once more, for a call that was woken for nothing.
    pub(crate) fn rearm(mut self) -> Self {
        self.is_over = false;
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
        if self.is_over {
            return Poll::Ready(());
        }
        if self.is_yield() {
            if self.has_yielded {
                self.is_over = true;
                return Poll::Ready(());
            }
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.is_over = self.poll_streams(descriptors, cx);
        if let Some(timeout) = &mut self.timeout {
            self.is_over |= timeout.poll(timer, cx).is_ready();
        }
        if self.is_over {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Whether one of the streams is ready. If none is, each of them has the waker.
    fn poll_streams(&self, descriptors: &mut Descriptors, cx: &mut Context<'_>) -> bool {
        self.streams
            .iter()
            .any(|awaited| awaited.poll(descriptors, cx).is_ready())
    }

    fn block(&mut self, descriptors: &mut Descriptors) {
        if self.is_yield() {
            thread::yield_now();
            self.is_over = true;
        }
        if let [Awaited::Read { fd, .. }] = self.streams[..] {
            self.is_over |= allow_blocking_read(descriptors, fd);
        }
        let waker = thread_waker();
        let mut cx = Context::from_waker(&waker);
        while !self.is_over {
            self.is_over = self.poll_streams(descriptors, &mut cx);
            match self.timeout.as_mut().map(SleepTimer::remaining) {
                Some(Duration::ZERO) => self.is_over = true,
                _ if self.is_over => {}
                Some(rest) => thread::park_timeout(rest),
                None => thread::park(),
            }
        }
    }
}

impl Awaited {
    /// Ready also when the stream will never be: the call then learns why.
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

/// Whether the next read of the input may hold the thread, as that is the only thing it would be doing.
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

    /// How long a thread is still to be parked, however often it was woken for nothing. At zero, the alarm has rung.
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
    /// Ready when the call that answered [`Interrupt::Wait`](crate::Interrupt::Wait) can be made again; at once when
    /// there was none.
    ///
    /// Until then the waker of `cx` is registered with everything that the guest waits for: a stream or a socket of the host,
    /// or the [`Timer`](crate::Timer). A context that is dropped takes all of it along. A call that is not made again, because
    /// the host has given the guest up, has read nothing; drop its context, whose streams may be in the middle of
    /// something.
    ///
    /// # Examples
    ///
    /// What a backend does with a function that the table marks `wait`:
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

    /// Holds the thread until the call that answered [`Interrupt::Wait`](crate::Interrupt::Wait) can be made again.
    ///
    /// The thread is parked, on the same things that [`poll_ready`](Self::poll_ready) would await, except that a sleep
    /// needs no [`Timer`](crate::Timer). A guest that only wants to read from a [reader](crate::Stdin::reader) of the host
    /// is not parked: the call that follows reads, and blocks as long as the reader does.
    pub fn block(&mut self) {
        if let Some(wait) = &mut self.wait {
            wait.block(&mut self.descriptors);
        }
    }

    /// Whether a call of `function` can answer [`Interrupt::Wait`](crate::Interrupt::Wait) in this context at all.
    ///
    /// A backend may save the cost of a function that can wait where none will. The answer never changes.
    #[must_use]
    pub fn may_wait(&self, function: &str) -> bool {
        match function {
            "fd_read" => self.streams.reads,
            "fd_write" => self.streams.writes,
            "sock_accept" => self.streams.accepts,
            "sock_recv" | "sock_send" => self.streams.receives_and_sends,
            "poll_oneoff" | "sched_yield" => true,
            _ => false,
        }
    }

    /// What the call that begins had to wait for, when it is the second attempt of one that waited.
    ///
    /// A wait that did not come to its end belongs to a call that the host has given up.
    pub(crate) fn take_wait(&mut self) -> Option<Wait> {
        let wait = self.wait.take()?;
        wait.is_over.then_some(*wait)
    }

    pub(crate) fn wait_for(&mut self, wait: Wait) -> crate::Interrupt {
        self.wait = Some(Box::new(wait));
        crate::Interrupt::Wait
    }
}
