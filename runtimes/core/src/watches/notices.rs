//! The notices of one owner of generation 2: every value of each of its watches, in order.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use foldhash::quality::RandomState;
use parking_lot::Mutex;
use rangewatch_bus::{KeyRange, QueueBudget, RecvError};

use super::feed::Feed;
use super::guest_watches::{GuestWatches, WatchError};
use super::namespace::Namespace;
use super::shrink::shrunk;
use super::watch::Watch;
use crate::abi::{AbiError, Outcome};
use crate::guest::callback_error::{CallbackError, CallbackErrorCause};
use crate::guest::ids::OwnerId;
use crate::guest::limits::Limits;

/// The notices of one owner.
///
/// The bus queues the emits that match a watch of the owner, bounded. They are resolved to watches
/// when a batch is delivered: an emit is a notice of the watches that are started, and a value that
/// is held for those that are only open.
///
/// In the watch set of the guest, which knows one value for each watch, the owner is one more
/// watch, its *bell*: it rings when there may be something to deliver, and it is paused while a
/// batch is delivered, so that the batches of an owner never overlap.
///
/// Lock order: the ids of the namespace, the state below, a watch, then the watch set and those of
/// the buses.
pub(crate) struct Notices {
    /// Rings the bell.
    waker: Waker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` before the first `open`, and after the end.
    bell: Option<Watch>,
    /// `None` before the first `open`, and after the end, an overflow or the close of the bus.
    feed: Option<Box<dyn Feed>>,
    /// The open watches.
    members: HashMap<Watch, Member, RandomState>,
    /// The values that are held for all members.
    n_held: usize,
    /// Notices that are resolved.
    resolved: VecDeque<Notice>,
    /// The bytes of those that a start has added.
    resolved_bytes: usize,
    /// Whether the feed is empty and its waker is registered.
    is_drained: bool,
    end: Option<End>,
    /// The work of what was resolved for the delivery that is next.
    work: u64,
    /// Scratch buffer.
    matched: Vec<Watch>,
}

enum Member {
    /// Open, with the values that it holds.
    Held(Vec<u64>),
    Started,
}

/// Why nothing follows after the resolved notices.
#[derive(Clone, Copy)]
enum End {
    /// The bound was exceeded, first by the notice of this value.
    Overflow(u64),
    /// The bus is closed.
    Closed,
}

struct Notice {
    value: u64,
    watches: Vec<Watch>,
    /// The first of the watches that was not delivered.
    next: usize,
    /// What counts against the limits. 0 for one that was taken out of the feed: there are few,
    /// because the next one is taken when they are delivered.
    n_bytes: usize,
}

impl Notice {
    /// Skips watches that were stopped. Whether one is left.
    fn is_due(&mut self) -> bool {
        while self.watches.get(self.next).is_some_and(Watch::is_stopped) {
            self.next += 1;
        }
        self.next < self.watches.len()
    }
}

/// The bytes of a notice of a value that `watch` has held.
fn notice_bytes(watch: &Watch) -> usize {
    size_of::<Notice>() + size_of::<Watch>() + watch.id().len()
}

/// What the owner has to deliver next.
pub(super) enum Next {
    /// A notice of this value.
    Value(u64),
    Nothing,
    /// Nothing was found so far; the bell rings again.
    Later,
    /// Nothing, and the owner has exceeded its bound: it has to be ended.
    Overflow(u64),
    /// Nothing, and the bus is closed: its watches have to be ended.
    Closed,
}

/// A batch that is delivered.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Those that were entered. One may be listed several times.
    pub(super) watches: Vec<Watch>,
    pub(super) n_notices: usize,
    /// The units of fuel that the delivery costs.
    pub(super) work: u64,
}

/// What a batch of one notice of one id has beside the id: the number of notices, the value, the
/// number of ids and the length of the id.
const BATCH_BYTES: usize = 2 + 8 + 2 + 2;

/// The id of a watch does not fit into the buffer of the guest.
pub(super) struct Unfit {
    id: Vec<u8>,
    value: u64,
    cap: usize,
}

impl Unfit {
    pub(super) fn into_error(self, owner: OwnerId) -> CallbackError {
        let id_bytes = BATCH_BYTES + self.id.len();
        // The buffer is a part of the guest's memory.
        let cap = self.cap as u32;
        CallbackError {
            owner,
            id: self.id,
            value: self.value,
            n_notices: 0,
            cause: CallbackErrorCause::Abi(AbiError::IdTooLong { id_bytes, cap }),
        }
    }
}

/// Units of work after which a delivery resolves no further emit.
pub(crate) const MAX_WORK: u64 = Limits::DEFAULT_FUEL_SLICE / 8;

impl Notices {
    pub(super) fn new(namespace: &Namespace) -> Self {
        Self {
            waker: namespace.guest().started().bell(namespace.id()),
            state: Mutex::default(),
        }
    }

    /// Whether `watch` is the bell.
    pub(super) fn has_bell(&self, watch: &Watch) -> bool {
        self.state.lock().bell.as_ref() == Some(watch)
    }

    /// Adds a watch, which is held. Without a range it matches nothing.
    pub(super) fn open(
        &self,
        namespace: &Arc<Namespace>,
        watch: &Watch,
        range: Option<KeyRange>,
    ) -> Result<(), WatchError> {
        let state = &mut *self.state.lock();
        if state.end.is_some() {
            return Err(WatchError::Closed);
        }
        let guest = namespace.guest();
        if state.bell.is_none() {
            state.feed = Some(guest.bus().feed(guest.limits(), guest.notice_budget())?);
            state.bell = Some(guest.started().insert_bell(namespace)?);
            // Registers the waker: there is no watch yet.
            state.pull(&self.waker, guest.limits(), &mut Vec::new());
        }
        if let (Some(feed), Some(range)) = (&mut state.feed, range) {
            feed.insert(watch, range).map_err(|_| WatchError::Closed)?;
        }
        let held = Member::Held(Vec::new());
        state.members.insert(watch.clone(), held);
        Ok(())
    }

    /// Starts a watch: what it holds is delivered, before what follows. Starting it again has no
    /// effect.
    pub(super) fn start(&self, watch: &Watch, guest: &GuestWatches) {
        let max_bytes = guest.limits().max_notice_bytes();
        let budget = guest.notice_budget();
        let has_held = {
            let state = &mut *self.state.lock();
            let Some(member @ Member::Held(_)) = state.members.get_mut(watch) else {
                return;
            };
            let Member::Held(values) = std::mem::replace(member, Member::Started) else {
                return;
            };
            state.n_held -= values.len();
            let has_held = !values.is_empty();
            let n_bytes = notice_bytes(watch);
            for value in values {
                if state.resolved_bytes + n_bytes > max_bytes || !budget.charge(n_bytes) {
                    state.overflow(value);
                    break;
                }
                state.resolved_bytes += n_bytes;
                state.push(value, vec![watch.clone()], n_bytes);
            }
            has_held
        };
        if has_held {
            self.ring();
        }
    }

    /// Removes a watch. Nothing that is delivered later names it.
    pub(super) fn stop(&self, watch: &Watch) {
        let state = &mut *self.state.lock();
        if let Some(Member::Held(values)) = state.members.remove(watch) {
            state.n_held -= values.len();
        }
        if let Some(capacity) = shrunk(state.members.len(), state.members.capacity()) {
            state.members.shrink_to(capacity);
        }
        if let Some(feed) = &mut state.feed {
            feed.remove(watch);
        }
    }

    /// Frees everything.
    pub(super) fn end(&self, namespace: &Namespace) {
        let ended = {
            let state = &mut *self.state.lock();
            if let Some(bell) = &state.bell {
                // A delivery of it that was taken enters nothing.
                bell.mark_stopped();
            }
            let end = state.end.or(Some(End::Closed));
            let ended = State {
                end,
                ..State::default()
            };
            std::mem::replace(state, ended)
        };
        let guest = namespace.guest();
        guest.notice_budget().release(ended.resolved_bytes);
        if let Some(bell) = &ended.bell {
            guest.started().remove(bell);
        }
    }

    /// The value to resume from, if the owner has ended by overflow.
    pub(super) fn overflow(&self) -> Option<u64> {
        match self.state.lock().end {
            Some(End::Overflow(resume)) => Some(resume),
            _ => None,
        }
    }

    /// Lowers the value to resume from.
    pub(super) fn resume_from(&self, resume: u64) {
        if let Some(End::Overflow(of_owner)) = &mut self.state.lock().end {
            *of_owner = resume.min(*of_owner);
        }
    }

    /// A value that is not greater than those that were not delivered; `None` if all were. Only
    /// before the end: it may take one out of the queue.
    pub(super) fn first_pending(&self) -> Option<u64> {
        let mut cx = Context::from_waker(&self.waker);
        // Dropped after the lock is released.
        let _emit;
        let state = &mut *self.state.lock();
        let mut queued = None;
        if let Some(feed) = &mut state.feed {
            match feed.poll_recv(&mut cx, &mut state.matched) {
                Poll::Ready(Ok(emit)) => {
                    queued = Some(emit.value);
                    _emit = emit;
                }
                Poll::Ready(Err(RecvError::Disconnected { resume })) => queued = Some(resume),
                _ => {}
            }
            state.matched.clear();
        }
        let overflow = match state.end {
            Some(End::Overflow(resume)) => Some(resume),
            _ => None,
        };
        let resolved = state.resolved.iter().map(|notice| notice.value);
        let pending = resolved.chain(state.held()).chain(queued);
        pending.chain(overflow).min()
    }

    /// Looks for something to deliver.
    pub(super) fn next(&self, guest: &GuestWatches) -> Next {
        // Dropped after the lock is released.
        let mut payloads = Vec::new();
        let state = &mut *self.state.lock();
        state.work = 0;
        loop {
            if let Some(value) = state.due(guest.notice_budget()) {
                return Next::Value(value);
            }
            match state.end {
                Some(End::Overflow(resume)) => return Next::Overflow(resume),
                Some(End::Closed) => return Next::Closed,
                None => {}
            }
            if state.work > MAX_WORK {
                return Next::Later;
            }
            match state.pull(&self.waker, guest.limits(), &mut payloads) {
                Some(pulled) => state.work += pulled,
                None if state.end.is_some() => {}
                None => return Next::Nothing,
            }
        }
    }

    /// Writes as many notices as fit into `buf` and returns their bytes.
    pub(super) fn encode(
        &self,
        guest: &GuestWatches,
        buf: &mut [u8],
        batch: &mut Batch,
    ) -> Result<usize, Unfit> {
        let mut payloads = Vec::new();
        let state = &mut *self.state.lock();
        let mut len = 2;
        let budget = guest.notice_budget();
        while batch.n_notices < usize::from(u16::MAX) {
            if state.due(budget).is_none() {
                if state.work > MAX_WORK {
                    break;
                }
                match state.pull(&self.waker, guest.limits(), &mut payloads) {
                    Some(pulled) => state.work += pulled,
                    None => break,
                }
                continue;
            }
            let Some(notice) = state.resolved.front_mut() else {
                break;
            };
            let n_entered = batch.watches.len();
            let left = buf.get_mut(len..).unwrap_or_default();
            let n_bytes = notice.encode(left, batch);
            if batch.watches.len() > n_entered {
                len += n_bytes;
                batch.n_notices += 1;
            }
            if notice.next == notice.watches.len() {
                state.pop(budget);
            } else if batch.n_notices > 0 {
                break;
            } else {
                let id = notice.watches[notice.next].id().to_owned();
                notice.next += 1;
                let (value, cap) = (notice.value, buf.len());
                return Err(Unfit { id, value, cap });
            }
        }
        if let Some(n_notices) = buf.first_chunk_mut() {
            *n_notices = (batch.n_notices as u16).to_be_bytes();
        }
        let len = len.min(buf.len());
        batch.work = std::mem::take(&mut state.work) + len as u64 / Outcome::BYTES_PER_UNIT;
        Ok(len)
    }

    /// Removes the notice that is next.
    pub(super) fn skip(&self, guest: &GuestWatches) {
        self.state.lock().pop(guest.notice_budget());
    }

    /// Rings the bell, unless there is nothing left to deliver.
    pub(super) fn ring_unless_drained(&self) {
        let is_drained = {
            let state = self.state.lock();
            state.is_drained && state.resolved.is_empty() && state.end.is_none()
        };
        if !is_drained {
            self.ring();
        }
    }

    fn ring(&self) {
        self.waker.wake_by_ref();
    }

    /// The open watches.
    pub(super) fn watches(&self) -> Vec<Watch> {
        self.state.lock().members.keys().cloned().collect()
    }
}

impl State {
    /// The value of the next notice that is resolved and of a watch that was not stopped.
    fn due(&mut self, budget: &QueueBudget) -> Option<u64> {
        while let Some(notice) = self.resolved.front_mut() {
            if notice.is_due() {
                return Some(notice.value);
            }
            self.pop(budget);
        }
        None
    }

    fn push(&mut self, value: u64, watches: Vec<Watch>, n_bytes: usize) {
        self.resolved.push_back(Notice {
            value,
            watches,
            next: 0,
            n_bytes,
        });
    }

    fn pop(&mut self, budget: &QueueBudget) {
        if let Some(notice) = self.resolved.pop_front() {
            self.resolved_bytes -= notice.n_bytes;
            budget.release(notice.n_bytes);
        }
        if self.resolved.is_empty() {
            self.resolved = VecDeque::new();
        }
    }

    /// Resolves the next emit, and returns the work of that; `None` if there is none.
    fn pull(
        &mut self,
        waker: &Waker,
        limits: &Limits,
        payloads: &mut Vec<Box<dyn Send>>,
    ) -> Option<u64> {
        let feed = self.feed.as_mut().filter(|_| self.end.is_none())?;
        let polled = feed.poll_recv(&mut Context::from_waker(waker), &mut self.matched);
        self.is_drained = polled.is_pending();
        let emit = match polled {
            Poll::Pending => return None,
            Poll::Ready(Ok(emit)) => emit,
            Poll::Ready(Err(RecvError::Disconnected { resume })) => {
                self.overflow(resume);
                return None;
            }
            Poll::Ready(Err(_)) => {
                self.end = Some(End::Closed);
                return None;
            }
        };
        payloads.extend(emit.payloads);
        let n_matched = self.matched.len();
        let mut started = Vec::new();
        for watch in self.matched.drain(..) {
            match self.members.get_mut(&watch) {
                Some(Member::Started) => started.push(watch),
                Some(Member::Held(values)) => {
                    values.push(emit.value);
                    self.n_held += 1;
                }
                None => {}
            }
        }
        if !started.is_empty() {
            self.push(emit.value, started, 0);
        }
        if self.n_held > limits.max_notices() {
            self.overflow(emit.value);
        }
        Some(Outcome::notice_work(emit.n_keys, n_matched))
    }

    /// Ends with an overflow at `value`. Held values are not delivered any more.
    fn overflow(&mut self, value: u64) {
        let resume = self.held().fold(value, u64::min);
        self.end = Some(End::Overflow(resume));
    }

    /// The values that are held.
    fn held(&self) -> impl Iterator<Item = u64> {
        let held = self.members.values().flat_map(|member| match member {
            Member::Held(values) => &values[..],
            Member::Started => &[],
        });
        held.copied()
    }
}

impl Notice {
    /// Writes its value and as many of its ids as fit, and returns their bytes. Each watch that is
    /// written has been entered.
    fn encode(&mut self, buf: &mut [u8], batch: &mut Batch) -> usize {
        let (mut len, mut n_ids) = (10, 0_u16);
        while let Some(watch) = self.watches.get(self.next) {
            let id = watch.id();
            let Some(place) = buf.get_mut(len..len + 2 + id.len()) else {
                break;
            };
            if n_ids == u16::MAX {
                break;
            }
            self.next += 1;
            if watch.enter() {
                // An id has at most 65,535 bytes.
                place[..2].copy_from_slice(&(id.len() as u16).to_be_bytes());
                place[2..].copy_from_slice(id);
                len += 2 + id.len();
                n_ids += 1;
                batch.watches.push(watch.clone());
            }
        }
        if let Some(head) = buf.first_chunk_mut::<10>() {
            head[..8].copy_from_slice(&self.value.to_be_bytes());
            head[8..].copy_from_slice(&n_ids.to_be_bytes());
        }
        len
    }
}

/// Writes a batch of no notices, and returns its bytes.
pub(super) fn encode_empty(buf: &mut [u8]) -> usize {
    let len = buf.len().min(2);
    buf[..len].fill(0);
    len
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").finish_non_exhaustive()
    }
}
