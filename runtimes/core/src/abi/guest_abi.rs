//! The host's half of the ABI for one instance.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::gathered::Gathered;
use super::page::Page;
use super::{AbiError, Generation, Outcome};
use crate::engine::shown::write_escaped;
use crate::guest::callback_error::{CallbackError, CallbackErrorCause};
use crate::guest::emits::Emits;
use crate::guest::guest_bus::{Batched, GuestBus};
use crate::guest::ids::GuestId;
use crate::guest::limits::Limits;
use crate::guest::staged::StagedEmits;
use crate::watches::guest_watches::{GuestWatches, WatchError};
use crate::watches::namespace::Namespace;
use crate::watches::owner::{Owner, OwnerError};
use crate::watches::watch::{Running, Watch};
use futures::FutureExt;
use futures::channel::oneshot;
use rangewatch_bus::EmitError;
use rangewatch_wasi::WorkMeter;

/// The host's half of the range-watch ABI for one instance: the state that the imported functions
/// share, and the callbacks that are due to the instance.
///
/// The managed way ([`Guest`](crate::Guest)) makes and drives it. In the linker way it lives in
/// the data of the embedder's own store. Dropping it frees every watch of its guest, unless other
/// instances share its [`Owner`]: see [`of_owner`](Self::of_owner).
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_runtime::abi::GuestAbi;
///
/// /// The data of the embedder's own store.
/// struct StoreData {
///     abi: GuestAbi,
/// }
///
/// let bus = RangeWatchBus::new();
/// let data = StoreData { abi: GuestAbi::new(&bus) };
/// assert_eq!(data.abi.n_ready(), 0);
/// ```
#[derive(Debug)]
pub struct GuestAbi {
    /// Calls run under this one.
    owner: Owner,
    /// The watch of the running callback, which runs under the owner of that watch.
    receiving: Option<Watch>,
    /// Whether the running callback is one of generation 2.
    receives_batch: bool,
    /// The group that the guest has selected, which the rest of its call runs under.
    group: Option<Arc<Namespace>>,
    generation: Generation,
    page: PageState,
    /// What the guest has queued and not yet flushed, in generation 2.
    gathered: Option<Box<Gathered>>,
    /// What the running call has staged.
    staged: Option<Batched>,
    can_receive: bool,
    /// The error text that the host wrote last, which the guest may have left in place.
    host_text: &'static [u8],
    /// Resolves at the end of the callback that a function waits for. The sender is dropped then,
    /// however the callback ends.
    waiting: Option<oneshot::Receiver<()>>,
    meter: WorkMeter,
    input: Vec<u8>,
    /// `None` outside of a call with bytes.
    output: Option<Vec<u8>>,
}

impl GuestAbi {
    /// The ABI of a guest of one instance, which shares its watch ids with no other. Each flush is
    /// emitted at once, and watches and flushes are bounded by [`Limits::default`].
    #[must_use]
    pub fn new(bus: impl Into<GuestBus>) -> Self {
        Self::with(bus, Limits::default(), Emits::Immediate)
    }

    /// As [`new`](Self::new), but flushes are [staged](Emits::Staged): after a call of an export
    /// that returned, [`commit`](Self::commit) emits them; after one that did not, drop the store
    /// or [`discard`](Self::discard). Callbacks commit by themselves.
    #[must_use]
    pub fn staged(bus: impl Into<GuestBus>) -> Self {
        Self::with(bus, Limits::default(), Emits::Staged)
    }

    /// As [`new`](Self::new) or [`staged`](Self::staged), with other limits. The limits on
    /// watches, flushes and staged bytes apply; the limits on fuel, memory and tables are those of
    /// the embedder's engine.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    /// use rangewatch_runtime::abi::GuestAbi;
    /// use rangewatch_runtime::{Emits, Limits};
    ///
    /// let bus = RangeWatchBus::new();
    /// let limits = Limits::default().watches(100).watch_bytes(64 << 10);
    /// let abi = GuestAbi::with(&bus, limits, Emits::Staged);
    /// # let _ = abi;
    /// ```
    #[must_use]
    pub fn with(bus: impl Into<GuestBus>, limits: Limits, emits: Emits) -> Self {
        Self::of_owner(&Owner::new(bus, limits, emits))
    }

    /// The ABI of one instance among the several of a guest, whose calls run under `owner`. All
    /// instances of the guest deliver to the watches of all of its owners: a callback runs on the
    /// instance that takes it, and a `stop` on another one waits for its end.
    ///
    /// A handle of the owner: dropping one of several does not end it.
    #[must_use]
    pub fn of_owner(owner: &Owner) -> Self {
        let mut meter = WorkMeter::default();
        meter.set_slice(owner.watches().limits().max_fuel_slice());
        Self {
            owner: owner.clone(),
            receiving: None,
            receives_batch: false,
            group: None,
            generation: Generation::One,
            page: PageState::Unknown,
            gathered: None,
            staged: None,
            can_receive: false,
            host_text: b"",
            waiting: None,
            meter,
            input: Vec::new(),
            output: None,
        }
    }

    /// Sets the owner that calls run under from now on, until it is set again. Callbacks run under
    /// the owners of their watches.
    ///
    /// # Errors
    ///
    /// [`OwnerError`]: the owner has ended, or belongs to another guest. Nothing has changed then.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    /// use rangewatch_runtime::abi::GuestAbi;
    ///
    /// let mut abi = GuestAbi::new(&RangeWatchBus::new());
    /// let own = abi.owner();
    /// let stream = own.of_same_guest();
    /// abi.set_owner(&stream)?; // before a call for the stream
    /// abi.set_owner(&own)?; // and back after it
    /// # Ok::<(), rangewatch_runtime::OwnerError>(())
    /// ```
    pub fn set_owner(&mut self, owner: &Owner) -> Result<(), OwnerError> {
        owner.check(&self.owner)?;
        drop(self.restore_owner(owner));
        Ok(())
    }

    /// Sets the owner of calls back to one that may have ended. Returns the one before.
    pub(crate) fn restore_owner(&mut self, owner: &Owner) -> Owner {
        let before = std::mem::replace(&mut self.owner, owner.clone());
        self.leave_group();
        before
    }

    /// The owner that the guest runs under now: in a callback that of its watch, else the one that
    /// was [set](Self::set_owner); of generation 2, the group that the guest has selected.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner.handle_of(self.namespace())
    }

    /// The generation of the guest.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Sets the generation of the guest, before its first call. The managed way does, and so does
    /// every function of [`gen2`](super::gen2). A linker of your own needs it for a guest that
    /// imports generation 2 under the module of generation 1, and opens a watch before it calls a
    /// function that only generation 2 has: see [`Generation::of_imports`].
    pub const fn set_generation(&mut self, generation: Generation) {
        self.generation = generation;
    }

    pub(crate) fn guest_id(&self) -> GuestId {
        self.watches().id()
    }

    /// The id of the watch whose callback runs; `None` outside of callbacks, and in a callback of
    /// generation 2, which may be of several watches.
    #[must_use]
    pub fn watch_id(&self) -> Option<&[u8]> {
        let watch = self.receiving.as_ref().filter(|_| !self.receives_batch)?;
        Some(watch.id())
    }

    /// Sets the address of the guest's meta page: what the export [`PAGE`](super::gen1::PAGE)
    /// returned after the guest was initialized. `can_receive` says whether the guest exports
    /// [`RECV`](super::gen1::RECV).
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

    /// Whether an import has to call the export [`PAGE`](super::gen1::PAGE) and
    /// [`attach`](Self::attach) what it returns, before it does anything else: true for the first
    /// import that a guest calls before it is attached, as a command may do in its `_start`.
    ///
    /// An import that the export itself calls gets `false`, and fails with
    /// [`AbiError::NotAttached`]: the two would otherwise call each other until the stack of the
    /// host overflows.
    #[must_use]
    pub fn must_attach(&mut self) -> bool {
        let must_attach = matches!(self.page, PageState::Unknown);
        if must_attach {
            self.page = PageState::Requested;
        }
        must_attach
    }

    /// Emits what was [staged](Self::staged): all of it, or nothing. Does nothing if nothing was
    /// staged.
    ///
    /// # Errors
    ///
    /// [`AbiError::Emit`] or [`AbiError::StagedTooManyMatches`]: the bus refused; nothing was
    /// emitted, and what was staged is gone. [`AbiError::CommitHook`]: the bus has a hook.
    pub fn commit(&mut self) -> Result<(), AbiError> {
        match self.staged.take() {
            None => Ok(()),
            Some(Batched::OfBus(mut batch)) => match batch.commit() {
                Ok(_) => Ok(()),
                Err(EmitError::TooManyMatched { max_matched }) => {
                    Err(AbiError::StagedTooManyMatches {
                        max_matches: max_matched,
                    })
                }
                Err(error) => Err(AbiError::Emit(error)),
            },
            Some(Batched::OfHook(_)) => Err(AbiError::CommitHook),
        }
    }

    /// Takes what the call has staged for the commit hook.
    pub(crate) fn take_for_hook(&mut self) -> StagedEmits {
        match self.staged.take() {
            Some(Batched::OfHook(emits)) => emits,
            _ => {
                let limits = self.watches().limits();
                StagedEmits::new(limits.max_staged_bytes(), limits.max_staged_matches())
            }
        }
    }

    /// Drops what was [staged](Self::staged) and returns the number of emits. What a guest of
    /// generation 2 has queued and not yet flushed stays. The wait of a function whose call was
    /// dropped ends.
    pub fn discard(&mut self) -> usize {
        self.waiting = None;
        self.staged.take().map_or(0, |batch| batch.n_emits())
    }

    /// Begins a call with bytes: the guest reads `input` and writes an output by the functions of
    /// [`io`](super::io). After the call, however it ended, call [`end_bytes`](Self::end_bytes).
    ///
    /// [`Guest::call_bytes`](crate::Guest::call_bytes) does both in the managed way.
    pub fn begin_bytes(&mut self, input: impl Into<Vec<u8>>) {
        self.input = input.into();
        self.output = Some(Vec::new());
    }

    /// Ends a call with bytes and returns what the guest has written; empty if none was begun.
    pub fn end_bytes(&mut self) -> Vec<u8> {
        self.input = Vec::new();
        self.output.take().unwrap_or_default()
    }

    /// The [work](Outcome::work) of the functions, which the linker of a backend deducts from the
    /// fuel of an engine that counts fuel.
    pub fn meter(&mut self) -> &mut WorkMeter {
        &mut self.meter
    }

    /// The number of staged emits.
    #[must_use]
    pub fn n_staged(&self) -> usize {
        self.staged.as_ref().map_or(0, |batch| batch.n_emits())
    }

    /// Ready when a function whose [`Outcome`] was pending can be called again.
    ///
    /// The waker of the last call is woken.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.waiting {
            Some(waiting) => waiting.poll_unpin(cx).map(drop),
            None => Poll::Ready(()),
        }
    }

    /// Waits until [`next_callback`](Self::next_callback) may have a callback.
    ///
    /// The future does not borrow and keeps nothing alive. It resolves at once when the guest has
    /// ended, and never for a guest that does not watch.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is taken.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let started = self.watches().started().clone();
        async move { drop(started.due().await) }
    }

    /// The number of watches that have something to deliver now; of generation 2, of owners.
    #[must_use]
    pub fn n_ready(&self) -> usize {
        self.watches().started().n_ready()
    }

    /// Takes the next callback that is due and writes its arguments into the guest's memory. The
    /// caller then calls the export [`RECV`](super::gen1::RECV) and, when it returned,
    /// [`finish`](Self::finish); when it did not return, it drops the [`Callback`] and the
    /// instance.
    ///
    /// # Errors
    ///
    /// [`CallbackError`]: the arguments do not fit the guest's memory, and the watch stays; or, of
    /// generation 2, an owner has ended by overflow. The instance is as it was: call this again for
    /// the next callback.
    #[expect(
        clippy::result_large_err,
        reason = "errors are rare, and the embedder reads their fields"
    )]
    pub fn next_callback(&mut self, memory: &mut [u8]) -> Result<Option<Callback>, CallbackError> {
        let Some(running) = self.watches().next_callback(None)? else {
            return Ok(None);
        };
        let callback = self.enter(memory, running)?;
        self.meter.add(callback.work());
        Ok(Some(callback))
    }

    /// Writes the arguments of a callback into the guest's memory.
    #[expect(
        clippy::result_large_err,
        reason = "errors are rare, and the embedder reads their fields"
    )]
    pub(crate) fn enter(
        &mut self,
        memory: &mut [u8],
        mut running: Running,
    ) -> Result<Callback, CallbackError> {
        if running.is_batch() {
            self.enter_batch(memory, &mut running)?;
        } else {
            self.page(memory)
                .and_then(|page| page.deliver(memory, running.id(), running.value()))
                .map_err(|error| running.error(CallbackErrorCause::Abi(error)))?;
        }
        self.receives_batch = running.is_batch();
        self.receiving = Some(running.watch().clone());
        self.host_text = b"";
        Ok(Callback { running })
    }

    #[cold]
    #[expect(
        clippy::result_large_err,
        reason = "errors are rare, and the embedder reads their fields"
    )]
    fn enter_batch(
        &mut self,
        memory: &mut [u8],
        running: &mut Running,
    ) -> Result<(), CallbackError> {
        self.leave_group();
        let page = match self.page(memory) {
            Ok(page) => page,
            Err(error) => return Err(running.skip_notice(error)),
        };
        let len = match page.begin_batch(memory, MAX_BATCH_BYTES) {
            Ok(buf) => running.encode(buf)?,
            Err(error) => return Err(running.skip_notice(error)),
        };
        page.end_batch(memory, len)
            .map_err(|error| running.error(CallbackErrorCause::Abi(error)))
    }

    /// Ends a callback that returned, and commits what it has staged. Returns the error that the
    /// guest reported, if it did; its watch is closed then, the id is free, and what the callback
    /// has staged is dropped. Of generation 2, these are the watches of the batch.
    ///
    /// The error text of an import that the guest called and did not clear is no report. A
    /// report of a callback whose owner has ended meanwhile is dropped, with what the callback has
    /// staged.
    ///
    /// # Errors
    ///
    /// [`AbiError`]: the guest's `err` variables are outside of its memory, or the bus refused what
    /// was staged. Its watch is closed, and what the callback has staged is dropped.
    pub fn finish(
        &mut self,
        memory: &mut [u8],
        callback: &Callback,
    ) -> Result<Option<String>, AbiError> {
        let report = self.take_report(memory, callback);
        self.leave();
        match report {
            Ok(None) => self.commit().inspect_err(|_| callback.running.forget())?,
            _ => drop(self.discard()),
        }
        report
    }

    /// Takes the error that the guest reported, if it did, in a callback that returned; its watch
    /// is closed then.
    pub(crate) fn take_report(
        &mut self,
        memory: &mut [u8],
        callback: &Callback,
    ) -> Result<Option<String>, AbiError> {
        let report = self
            .page(memory)
            .and_then(|page| page.take_err(memory, self.host_text));
        let watch = callback.running.watch();
        if !matches!(report, Ok(None)) {
            callback.running.forget();
        }
        // Nothing is left that the report of an ended owner could close.
        match report {
            Ok(Some(_)) if watch.namespace().is_ended() => {
                self.discard();
                Ok(None)
            }
            report => report,
        }
    }

    /// Ends a callback: the owner and the id of its watch are no longer those of the instance.
    pub(crate) fn leave(&mut self) {
        self.receiving = None;
        self.leave_group();
    }

    /// Takes the panic text of a guest whose call trapped: the error text that the guest wrote
    /// itself, as the guest SDK does, with control characters escaped and cut to 1,024 bytes.
    pub fn take_panic_text(&mut self, memory: &mut [u8]) -> Option<String> {
        let page = self.page(memory).ok()?;
        let text = page.take_err(memory, self.host_text).ok()??;
        let mut escaped = String::new();
        for c in text.chars() {
            let n_bytes = escaped.len();
            // A string accepts everything.
            let _ = write_escaped(&mut escaped, c);
            if escaped.len() > PANIC_TEXT_BYTES {
                escaped.truncate(n_bytes);
                break;
            }
        }
        Some(escaped)
    }

    pub(super) fn page(&mut self, memory: &[u8]) -> Result<Page, AbiError> {
        match self.page {
            PageState::Unknown | PageState::Requested => Err(AbiError::NotAttached),
            PageState::At(address) => {
                let page = Page::read(memory, address)?;
                self.page = PageState::Read(page);
                Ok(page)
            }
            PageState::Read(page) => Ok(page),
        }
    }

    /// Writes the result of a function of the ABI where the guest reads it.
    pub(super) fn write_err(
        &mut self,
        memory: &mut [u8],
        text: &'static str,
    ) -> Result<(), AbiError> {
        self.host_text = self.page(memory)?.write_err(memory, text)?;
        Ok(())
    }

    /// The namespace of the running call or callback.
    pub(super) fn namespace(&self) -> &Arc<Namespace> {
        match (&self.group, &self.receiving) {
            (Some(group), _) => group,
            (None, Some(watch)) => watch.namespace(),
            (None, None) => self.owner.namespace(),
        }
    }

    /// Opens the group of this id, unless it is open, and selects it.
    pub(super) fn enter_group(&mut self, id: &[u8]) -> Result<(), WatchError> {
        self.group = Some(self.namespace().group(id)?);
        Ok(())
    }

    /// Ends the group of this id and returns how many watches it had. If it was selected, the call
    /// runs under its own owner again.
    pub(super) fn end_group(&mut self, id: &[u8]) -> Result<usize, WatchError> {
        let (ended, n_watches) = self.namespace().end_group(id)?;
        if self.group.as_ref().is_some_and(|group| group.id() == ended) {
            self.leave_group();
        }
        Ok(n_watches)
    }

    /// The call or callback that has selected a group is over.
    pub(crate) fn leave_group(&mut self) {
        self.group = None;
    }

    /// Whether the guest has queued what it has not flushed.
    pub(crate) fn has_gathered(&self) -> bool {
        self.gathered.is_some()
    }

    pub(super) fn gathered(&self) -> Option<&Gathered> {
        self.gathered.as_deref()
    }

    pub(super) fn gather(&mut self, value: u64, keys: &[&[u8]], n_bytes: usize) {
        let gathered = self.gathered.get_or_insert_with(Box::default);
        gathered.push(value, keys, n_bytes);
    }

    pub(super) fn take_gathered(&mut self) -> Option<Box<Gathered>> {
        self.gathered.take()
    }

    pub(super) fn watches(&self) -> &GuestWatches {
        self.owner.watches()
    }

    pub(super) fn can_receive(&self) -> bool {
        self.can_receive
    }

    pub(super) fn is_in_recv(&self) -> bool {
        self.receiving.is_some()
    }

    pub(super) fn input(&self) -> &[u8] {
        &self.input
    }

    pub(super) fn write_output(&mut self, bytes: &[u8]) -> Result<(), AbiError> {
        let max_bytes = self.watches().limits().max_output_bytes();
        let output = self.output.as_mut().ok_or(AbiError::NoOutput)?;
        if bytes.len() > max_bytes - output.len().min(max_bytes) {
            return Err(AbiError::OutputTooLarge { max_bytes });
        }
        output.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn stage(&mut self, value: u64, keys: &[&[u8]]) -> Result<(), AbiError> {
        let watches = self.owner.watches();
        let staged = self.staged.get_or_insert_with(|| watches.batch());
        let max_keys = watches.limits().max_staged_keys();
        if staged.n_keys() + keys.len() > max_keys {
            return Err(AbiError::StagedTooManyKeys { max_keys });
        }
        staged
            .stage(value, keys)
            .map_err(|max_bytes| AbiError::StagedFull { max_bytes })
    }

    /// The outcome of a function that waits for the end of a running callback.
    pub(super) fn wait(&mut self, running: oneshot::Receiver<()>, work: u64) -> Outcome {
        self.waiting = Some(running);
        Outcome::pending(work)
    }

    /// The outcome of a function that is called again, after [`wait`](Self::wait).
    pub(super) fn retry(&mut self) -> Option<Outcome> {
        let mut waiting = self.waiting.take()?;
        if let Ok(None) = waiting.try_recv() {
            return Some(self.wait(waiting, 0));
        }
        Some(Outcome::done(0))
    }
}

/// The meta page of a guest, as far as the host has read it.
#[derive(Clone, Copy, Debug)]
enum PageState {
    Unknown,
    /// An import calls the export that returns the address of the page, or the export has failed.
    Requested,
    /// The address of the page.
    At(u32),
    Read(Page),
}

/// The result of `deliver` of a backend, which runs the callbacks that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The number of callbacks that ran.
    pub n_callbacks: usize,
    /// Whether more are due already.
    pub has_more: bool,
}

impl Delivered {
    /// `n_callbacks` ran, and `abi` says whether more are due.
    #[must_use]
    pub fn new(n_callbacks: usize, abi: &GuestAbi) -> Self {
        Self {
            n_callbacks,
            has_more: abi.n_ready() > 0,
        }
    }
}

/// A callback that is due or running. Dropping it ends the callback.
#[derive(Debug)]
pub struct Callback {
    running: Running,
}

impl Callback {
    /// The id of the watch; empty in generation 2, where a callback may be of several watches.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        self.running.id()
    }

    /// The value: the first since the last callback of this watch was entered; in generation 2 that
    /// of the first notice.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.running.value()
    }

    /// The number of notices, in generation 2; 0 in generation 1.
    #[must_use]
    pub fn n_notices(&self) -> usize {
        self.running.n_notices()
    }

    /// The units of fuel that its delivery costs.
    pub(crate) fn work(&self) -> u64 {
        self.running.work()
    }

    pub(crate) fn error(&self, cause: CallbackErrorCause) -> CallbackError {
        self.running.error(cause)
    }
}

/// Bytes of a batch at most, whatever the capacity of the guest's buffer is: bounds the time of a
/// delivery. An id of any length fits.
pub(super) const MAX_BATCH_BYTES: u32 = 80 << 10;

/// Bytes of a panic text that are added to a trap: what the error text of the SDKs holds.
const PANIC_TEXT_BYTES: usize = 1024;
