//! `poll_oneoff`: waiting for descriptors and timers.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::clock::{MONOTONIC, REALTIME};
use crate::costs::SUBSCRIPTION;
use crate::descriptor::Descriptors;
use crate::descriptor::rights;
use crate::net::Readiness;
use crate::stdio::input::READ_AHEAD_BYTES;
use crate::time::clock::{GuestClock, Sleep};
use crate::wait::{Awaited, StartTimes, Wait};
use crate::{Errno, Interrupt, MAX_SUBSCRIPTIONS, Wasi, memory};

/// Source: WASI preview1 witx, `subscription` and `event`: 48 and 32 bytes.
const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;

/// Source: WASI preview1 witx, `eventtype`.
const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;

/// Source: WASI preview1 witx, `subclockflags`.
const ABSTIME: u16 = 1;

/// Source: WASI preview1 witx, `eventrwflags`.
const HANGUP: u16 = 1;

/// Waits until one of the `nsubscriptions` at `subscriptions` occurs. Writes an event for each that
/// has occurred, in their order, to `events`, and the number of events to `nevents_out`.
///
/// A ready descriptor is reported immediately, before timers that have not elapsed. A subscription
/// that cannot occur is reported as an event with an error. Files, and streams that the host reads
/// or writes without waiting, are always ready. An input at its end is ready, with 0 bytes and
/// `HANGUP`. A listener is ready for reading, with 0 bytes, when a connection is pending. A
/// connected socket has `HANGUP` for reading when its peer sends no more, and for writing when it
/// receives no more. A relative timer counts from the first attempt of the call; one of 0, or an
/// absolute one in the past, elapses immediately. Times past the end of a clock saturate.
/// `precision` is ignored: no sleep is extended.
///
/// On a clock whose sleeps [elapse immediately](crate::Sleep::Elapsed) a call with a timer never
/// waits: the earliest timer elapses unless a descriptor is ready.
///
/// Source: WASI preview1 witx, `poll_oneoff`; POSIX `poll`.
///
/// # Errors
///
/// - [`Errno::Inval`]: no subscription, more than [`MAX_SUBSCRIPTIONS`], one of an unknown type, or
///   only timers that are longer than the host [allows](crate::WasiBuilder::max_sleep).
/// - [`Errno::Fault`]: the subscriptions, the events or the result are outside of the memory.
/// - [`Interrupt::Wait`]: nothing has occurred yet.
///
/// Errors in an event:
///
/// - [`Errno::Badf`]: the descriptor is not open, or not open for this direction.
/// - [`Errno::Notcapable`]: the descriptor is a socket without the right `POLL_FD_READWRITE`, or
///   without `FD_READ` or `FD_WRITE`.
/// - [`Errno::Inval`]: the clock is neither realtime (0) nor monotonic (1), or a clock flag is
///   unknown.
pub fn poll_oneoff(
    ctx: &mut Wasi,
    memory: &mut [u8],
    subscriptions: i32,
    events: i32,
    nsubscriptions: i32,
    nevents_out: i32,
) -> Result<(), Interrupt> {
    ctx.work.begin();
    let wait = ctx.take_wait();
    let n_subscriptions = nsubscriptions as u32;
    if n_subscriptions == 0 || n_subscriptions > MAX_SUBSCRIPTIONS {
        return Err(Errno::Inval.into());
    }
    ctx.work.add(SUBSCRIPTION * u64::from(n_subscriptions));
    let (events, nevents_out) = (events as u32, nevents_out as u32);
    memory::slice(memory, events, n_subscriptions * EVENT_BYTES)?;
    memory::slice(memory, nevents_out, 4)?;
    let table = memory::slice(
        memory,
        subscriptions as u32,
        n_subscriptions * SUBSCRIPTION_BYTES,
    )?;

    let mut poll = PollSet::new(wait.as_ref());
    for record in table.chunks_exact(SUBSCRIPTION_BYTES as usize) {
        poll.add(ctx, record)?;
    }
    if !poll.has_occurred() {
        if let Some(wait) = wait {
            // A spurious wake-up, which happens when a stream is shared: the same sleep continues.
            return Err(ctx.wait_for(wait.rearm()));
        }
        match poll.earliest_ns() {
            Some(ns) => {
                let duration = Duration::from_nanos(ns);
                if ctx.clock.sleep(duration) == Sleep::Wait {
                    if duration > ctx.max_sleep && poll.awaited.is_empty() {
                        return Err(Errno::Inval.into());
                    }
                    return Err(ctx.wait_for(Wait::new(
                        poll.awaited,
                        Some(duration),
                        poll.start_times,
                    )));
                }
                poll.elapse(ns);
            }
            None => return Err(ctx.wait_for(Wait::new(poll.awaited, None, poll.start_times))),
        }
    }

    let mut n_events = 0;
    for event in poll.events() {
        let record = memory::slice_mut(memory, events + n_events * EVENT_BYTES, EVENT_BYTES)?;
        record.copy_from_slice(&event);
        n_events += 1;
    }
    Ok(memory::write_u32(memory, nevents_out, n_events)?)
}

/// The subscriptions of one call.
struct PollSet {
    entries: Vec<Entry>,
    awaited: Vec<Awaited>,
    start_times: StartTimes,
    /// The time that the call has slept.
    slept_ns: u64,
}

struct Entry {
    userdata: u64,
    kind: u8,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// A timer that elapses so many nanoseconds after the start of the call.
    Due(u64),
    Unready,
    Ready(Readiness),
    Failed(Errno),
}

impl PollSet {
    fn new(wait: Option<&Wait>) -> Self {
        Self {
            entries: Vec::new(),
            awaited: Vec::new(),
            start_times: wait.map(|wait| wait.start_times).unwrap_or_default(),
            slept_ns: wait
                .and_then(Wait::slept)
                .map_or(0, crate::time::clock::saturating_ns),
        }
    }

    fn add(&mut self, ctx: &mut Wasi, record: &[u8]) -> Result<(), Errno> {
        let kind = record[8];
        let state = match kind {
            CLOCK => match self.due_ns(&mut ctx.clock, record) {
                Ok(ns) => State::Due(ns),
                Err(errno) => State::Failed(errno),
            },
            FD_READ | FD_WRITE => {
                let fd = memory::u32_of(record, 16) as i32;
                match readiness(&mut ctx.descriptors, fd, kind == FD_WRITE) {
                    Ok(Poll::Ready(readiness)) => State::Ready(readiness),
                    Ok(Poll::Pending) => {
                        self.awaited.push(if kind == FD_WRITE {
                            Awaited::Writable { fd }
                        } else {
                            Awaited::Readable { fd }
                        });
                        State::Unready
                    }
                    Err(errno) => State::Failed(errno),
                }
            }
            _ => return Err(Errno::Inval),
        };
        self.entries.push(Entry {
            userdata: memory::u64_of(record, 0),
            kind,
            state,
        });
        Ok(())
    }

    /// The time between the start of the call and a timer, in nanoseconds. A clock is read at most
    /// once per call, and only for an absolute timer.
    fn due_ns(&mut self, clock: &mut GuestClock, record: &[u8]) -> Result<u64, Errno> {
        let id = memory::u32_of(record, 16) as i32;
        let timeout_ns = memory::u64_of(record, 24);
        let flags = u16::from_le_bytes([record[40], record[41]]);
        if flags & !ABSTIME != 0 {
            return Err(Errno::Inval);
        }
        let is_absolute = flags & ABSTIME != 0;
        let started_at_ns = match id {
            REALTIME if is_absolute => *self
                .start_times
                .realtime_ns
                .get_or_insert_with(|| clock.realtime_ns()),
            MONOTONIC if is_absolute => *self
                .start_times
                .monotonic_ns
                .get_or_insert_with(|| clock.monotonic_ns()),
            REALTIME | MONOTONIC => 0,
            _ => return Err(Errno::Inval),
        };
        Ok(timeout_ns.saturating_sub(started_at_ns))
    }

    fn has_occurred(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.state.has_occurred(self.slept_ns))
    }

    fn earliest_ns(&self) -> Option<u64> {
        let due = self.entries.iter().filter_map(|entry| match entry.state {
            State::Due(ns) => Some(ns),
            _ => None,
        });
        due.min()
    }

    fn elapse(&mut self, ns: u64) {
        self.slept_ns = ns;
    }

    fn events(&self) -> impl Iterator<Item = [u8; EVENT_BYTES as usize]> {
        self.entries
            .iter()
            .filter(|entry| entry.state.has_occurred(self.slept_ns))
            .map(Entry::event)
    }
}

impl State {
    fn has_occurred(self, slept_ns: u64) -> bool {
        match self {
            Self::Due(ns) => ns <= slept_ns,
            Self::Unready => false,
            Self::Ready(_) | Self::Failed(_) => true,
        }
    }
}

impl Entry {
    fn event(&self) -> [u8; EVENT_BYTES as usize] {
        let mut event = [0; EVENT_BYTES as usize];
        event[..8].copy_from_slice(&self.userdata.to_le_bytes());
        event[10] = self.kind;
        match self.state {
            State::Failed(errno) => event[8..10].copy_from_slice(&(errno as u16).to_le_bytes()),
            State::Ready(readiness) => {
                event[16..24].copy_from_slice(&readiness.n_bytes.to_le_bytes());
                let flags = if readiness.is_hung_up { HANGUP } else { 0 };
                event[24..26].copy_from_slice(&flags.to_le_bytes());
            }
            State::Due(_) | State::Unready => {}
        }
        event
    }
}

/// Whether the descriptor can be read or written without blocking.
fn readiness(
    descriptors: &mut Descriptors,
    fd: i32,
    is_for_writing: bool,
) -> Result<Poll<Readiness>, Errno> {
    // Checks once and registers no waker: a call that waits registers one later.
    let mut cx = Context::from_waker(Waker::noop());
    let descriptor = descriptors.get_mut(fd)?;
    let (polled, right) = if is_for_writing {
        (descriptor.poll_writable(&mut cx)?, rights::FD_WRITE)
    } else {
        let polled = descriptor.poll_readable(&mut cx, READ_AHEAD_BYTES)?;
        (polled, rights::FD_READ)
    };
    descriptor.require_to_poll(right)?;
    Ok(polled)
}
