//! The host's half of the ABI for one instance.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::channel::oneshot;
use rangewatch_bus::{Batch, EmitError, RangeWatchBus, Selector};

use super::keys::Keys;
use super::page::Page;
use crate::abi::AbiError;
use crate::guest::callback_error::{CallbackError, CallbackErrorCause};
use crate::guest::emits::Emits;
use crate::guest::limits::Limits;
use crate::watches::group::{Group, WatchError};
use crate::watches::watch::Running;

/// The host's half of the range-watch ABI for one instance: the five imports, over the instance's
/// memory as bytes, and the callbacks that are due to it.
///
/// The managed way ([`Guest`](crate::Guest)) makes and drives it. In the linker way it lives in
/// the data of the embedder's own store; dropping it frees every watch of its guest.
#[derive(Debug)]
pub struct GuestAbi {
    group: Arc<Group>,
    page: PageState,
    /// What the running call has staged.
    staged: Option<Batch>,
    in_recv: bool,
    can_receive: bool,
    /// The error text that the host wrote last, which the guest may have left in place.
    host_text: &'static [u8],
}

impl GuestAbi {
    /// The ABI of a guest of its own: its watch ids are shared with no other instance. Its
    /// watches and flushes are bounded by [`Limits::default`].
    #[must_use]
    pub fn new(bus: &RangeWatchBus) -> Self {
        Self::of(Group::new(bus.clone(), Limits::default(), Emits::Immediate))
    }

    /// As [`new`](Self::new), but what the guest flushes is [staged](Emits::Staged): after a call
    /// of one of its exports that returned, [`commit`](Self::commit) emits it; after one that did
    /// not, drop the store or [`discard`](Self::discard). Callbacks commit by themselves.
    #[must_use]
    pub fn staged(bus: &RangeWatchBus) -> Self {
        Self::of(Group::new(bus.clone(), Limits::default(), Emits::Staged))
    }

    /// The ABI of one instance among the several of a group.
    pub(crate) fn of(group: Arc<Group>) -> Self {
        Self {
            group,
            page: PageState::Unknown,
            staged: None,
            in_recv: false,
            can_receive: false,
            host_text: b"",
        }
    }

    /// Sets the address of the guest's meta page: what the export [`PAGE`](super::PAGE) returned
    /// after the guest was initialized. `can_receive` says whether the guest exports
    /// [`RECV`](super::RECV).
    ///
    /// The page is read once. A page that the guest has not set up yet is read again when the guest
    /// calls an import; if it still is not set up then, that call is an error.
    ///
    /// # Errors
    ///
    /// [`AbiError::OutOfBounds`] when the page is not inside of the memory.
    pub fn attach(&mut self, memory: &[u8], page: u32, can_receive: bool) -> Result<(), AbiError> {
        self.page = PageState::At(page);
        self.can_receive = can_receive;
        match self.page(memory) {
            Ok(_) | Err(AbiError::PageNotSet { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the address of the guest's meta page is known.
    ///
    /// A command may call the imports while its `_start` runs. The linked functions then call the
    /// export [`PAGE`](super::PAGE), and [`attach`](Self::attach) what it returns.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        !matches!(self.page, PageState::Unknown)
    }

    /// The import [`FLUSH`](super::FLUSH): emits the keys of the buffer, as one emit. No keys, no
    /// emit.
    ///
    /// # Errors
    ///
    /// [`AbiError`]: a malformed list emits nothing; a bus that is closed refuses.
    pub fn flush(&mut self, memory: &[u8]) -> Result<(), AbiError> {
        let page = self.page(memory)?;
        let buf = page.buf(memory)?;
        if buf.is_empty() {
            return Ok(());
        }
        let max_bytes = self.group.limits().max_flush_bytes();
        if buf.len() > max_bytes {
            return Err(AbiError::FlushTooLarge {
                bytes: buf.len(),
                max_bytes,
            });
        }
        let keys = Keys::parse(buf)?;
        let value = page.val(memory)?;
        let (bus, limits) = (self.group.bus(), self.group.limits());
        match self.group.emits() {
            Emits::Immediate => match bus.emit(value, keys) {
                Ok(_) => Ok(()),
                Err(error @ EmitError::NotIncreasing { value, head }) if value == head => {
                    Err(AbiError::EmitNotStaged(error))
                }
                Err(error) => Err(AbiError::Emit(error)),
            },
            Emits::Staged => self
                .staged
                .get_or_insert_with(|| bus.batch(limits.max_staged_bytes()))
                .stage(value, keys)
                .map_err(|full| AbiError::StagedFull {
                    max_bytes: full.max_bytes,
                }),
        }
    }

    /// Lets what was [staged](Self::staged) take effect: all of it, or nothing. Does nothing if
    /// nothing was.
    ///
    /// # Errors
    ///
    /// [`AbiError::Emit`]: the bus refused; nothing was emitted, and what was staged is gone.
    pub fn commit(&mut self) -> Result<(), AbiError> {
        match self.staged.take() {
            Some(mut batch) => batch.commit().map(drop).map_err(AbiError::Emit),
            None => Ok(()),
        }
    }

    /// Forgets what was [staged](Self::staged). Returns how many emits it was.
    pub fn discard(&mut self) -> usize {
        self.staged.take().map_or(0, |batch| batch.n_emits())
    }

    /// How many emits are staged.
    #[must_use]
    pub fn n_staged(&self) -> usize {
        self.staged.as_ref().map_or(0, Batch::n_emits)
    }

    /// The import [`RESERVE`](super::RESERVE): takes the id of the buffer.
    ///
    /// # Errors
    ///
    /// [`AbiError`] for a malformed call. What the guest may handle itself (the id exists) it reads
    /// from its memory.
    pub fn reserve(&mut self, memory: &mut [u8]) -> Result<(), AbiError> {
        let page = self.page(memory)?;
        let result = id(page.buf(memory)?).and_then(|id| self.group.reserve(id));
        self.host_text = page.write_err(memory, text(result))?;
        Ok(())
    }

    /// The import [`OPEN`](super::OPEN): watches the range of the buffer and holds what it sees.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve); also [`AbiError::OpenKeys`].
    pub fn open(&mut self, memory: &mut [u8]) -> Result<(), AbiError> {
        let page = self.page(memory)?;
        let [id, from, to] = Keys::parse(page.buf(memory)?)?.three()?;
        let range_bytes = from.len() + to.len();
        let result = self.group.open(id, selector(from, to), range_bytes);
        self.host_text = page.write_err(memory, text(result))?;
        Ok(())
    }

    /// The import [`START`](super::START): delivers what an open watch held and will see.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve); also [`AbiError::NoRecv`].
    pub fn start(&mut self, memory: &mut [u8]) -> Result<(), AbiError> {
        let page = self.page(memory)?;
        if !self.can_receive {
            return Err(AbiError::NoRecv);
        }
        let result = id(page.buf(memory)?).and_then(|id| self.group.start(id));
        self.host_text = page.write_err(memory, text(result))?;
        Ok(())
    }

    /// The import [`STOP`](super::STOP): ends a watch and frees its id, at once.
    ///
    /// The id is free at once: a new watch of the same id does not wait for the callback of this
    /// one.
    ///
    /// When a callback of the watch is running on another instance of the group, the returned
    /// future resolves at its end, and the caller of `stop` must not go on before. Inside of any
    /// callback there is nothing to wait for.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    pub fn stop(&mut self, memory: &mut [u8]) -> Result<Option<Stopping>, AbiError> {
        let page = self.page(memory)?;
        let result = id(page.buf(memory)?).and_then(|id| self.group.stop(id, self.in_recv));
        let outcome = result.as_ref().map(|_| ()).map_err(|error| *error);
        self.host_text = page.write_err(memory, text(outcome))?;
        Ok(result.unwrap_or(None).map(Stopping))
    }

    /// Waits until [`next_callback`](Self::next_callback) has something to look at.
    ///
    /// The future does not borrow and keeps nothing alive. It resolves at once when the guest has
    /// ended, and never for a guest that does not watch.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let ready = self.group.ready().clone();
        async move { ready.wait().await }
    }

    /// Takes the next callback that is due and puts its arguments into the guest's memory. The
    /// caller then calls the export [`RECV`](super::RECV) and, when it returned,
    /// [`finish`](Self::finish); when it did not return, it drops the [`Callback`] and the
    /// instance.
    ///
    /// # Errors
    ///
    /// [`CallbackError`]: the arguments do not fit the guest's memory. The watch stays.
    pub fn next_callback(&mut self, memory: &mut [u8]) -> Result<Option<Callback>, CallbackError> {
        let Some(running) = self.group.next_callback() else {
            return Ok(None);
        };
        self.page(memory)
            .and_then(|page| page.deliver(memory, running.id(), running.value()))
            .map_err(|error| CallbackError {
                id: running.id().to_owned(),
                value: running.value(),
                cause: CallbackErrorCause::Abi(error),
            })?;
        self.in_recv = true;
        self.host_text = b"";
        Ok(Some(Callback { running }))
    }

    /// Ends a callback that returned, and commits what it has staged. Returns the error that the
    /// guest reported, if it did; its watch is closed then and the id is free.
    ///
    /// The error text of an import that the guest called and did not clear is no report.
    ///
    /// # Errors
    ///
    /// [`AbiError`]: the guest's `err` variables are outside of its memory, or the bus refused what
    /// was staged. Its watch is closed.
    pub fn finish(
        &mut self,
        memory: &mut [u8],
        callback: &Callback,
    ) -> Result<Option<String>, AbiError> {
        self.in_recv = false;
        let committed = self.commit();
        let report = self
            .page(memory)
            .and_then(|page| page.take_err(memory, self.host_text))
            .and_then(|report| committed.map(|()| report));
        if !matches!(report, Ok(None)) {
            self.group.close(&callback.running);
        }
        report
    }

    /// Takes the panic text of a guest whose call trapped: the error text that the guest wrote
    /// itself, as the guest SDK does, with control characters escaped and cut to 1,024 bytes.
    pub fn take_panic_text(&mut self, memory: &mut [u8]) -> Option<String> {
        let page = self.page(memory).ok()?;
        let text = page.take_err(memory, self.host_text).ok()??;
        let mut escaped = String::new();
        for c in text.chars() {
            let c = if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            };
            if escaped.len() + c.len() > PANIC_TEXT_BYTES {
                break;
            }
            escaped.push_str(&c);
        }
        Some(escaped)
    }

    fn page(&mut self, memory: &[u8]) -> Result<Page, AbiError> {
        match self.page {
            PageState::Unknown => Err(AbiError::NotAttached),
            PageState::At(address) => {
                let page = Page::read(memory, address)?;
                self.page = PageState::Read(page);
                Ok(page)
            }
            PageState::Read(page) => Ok(page),
        }
    }
}

/// What the host knows of a guest's meta page.
#[derive(Clone, Copy, Debug)]
enum PageState {
    Unknown,
    /// The address of the page.
    At(u32),
    Read(Page),
}

/// A callback that is due or running. Dropping it says that the callback has ended.
#[derive(Debug)]
pub struct Callback {
    running: Running,
}

impl Callback {
    /// The id of the watch.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        self.running.id()
    }

    /// The value: the first since the last callback of this watch was entered.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.running.value()
    }
}

/// Resolves when the last callback of a stopped watch has ended.
#[derive(Debug)]
pub struct Stopping(oneshot::Receiver<()>);

impl Future for Stopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The sender is dropped at the end of the callback, whichever way it ends.
        Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

/// Bytes of a panic text that are added to a trap: what the error text of the SDKs holds.
const PANIC_TEXT_BYTES: usize = 1024;

/// Bytes of an id: the most that a key list can hold. Without it the ids of a guest would be
/// bounded by its memory alone.
const MAX_ID_BYTES: usize = u16::MAX as usize;

/// The id in a guest's buffer.
fn id(buf: &[u8]) -> Result<&[u8], WatchError> {
    if buf.len() > MAX_ID_BYTES {
        return Err(WatchError::IdTooLong);
    }
    Ok(buf)
}

/// The range of `open`. Source: ABI.md; an empty end, or one equal to the start, means the one key;
/// an inverted range is accepted and matches nothing.
fn selector(from: &[u8], to: &[u8]) -> Option<Selector> {
    if to.is_empty() || from == to {
        Some(Selector::key(from))
    } else if from < to {
        Some(Selector::range(from, to))
    } else {
        None
    }
}

/// The exact error strings of the ABI; empty is success.
fn text(result: Result<(), WatchError>) -> &'static str {
    match result {
        Ok(()) => "",
        Err(WatchError::Exists) => "Watch exists",
        Err(WatchError::NotFound) => "Watch not found",
        Err(WatchError::AlreadyOpen) => "Watch already open",
        Err(WatchError::Closed) => "Watch closed",
        Err(WatchError::Limit) => "Watch limit reached",
        Err(WatchError::IdTooLong) => "id too long",
    }
}
