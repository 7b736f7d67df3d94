//! The bus as guests see it.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use rangewatch_bus::{
    Batch, BatchFullError, EmitError, Emitted, EmittedMany, EventSet, QueueBudget, RangeWatchBus,
    Selectors, SubscribeError, WakeSubscription,
};

use crate::engine::host_cx::HostCx;
use crate::engine::host_function::HostError;
use crate::guest::limits::Limits;
use crate::guest::staged::{Staged, StagedEmits};
use crate::watches::feed::Feed;

/// A bus as guests see it: they emit keys, and their watches receive spans.
///
/// A `&RangeWatchBus` converts to it, so it is named only for a bus with payloads: guests emit keys
/// alone, and a function of the host makes the payload of each.
///
/// A handle of its bus, which stays open as long as it exists. Clones share the function.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_runtime::{Guest, GuestBus, Runtime};
///
/// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
/// # async fn example(runtime: &dyn Runtime, wasm: &[u8]) -> Result {
/// let bus = RangeWatchBus::builder().payloads::<String>().build()?;
/// let guest_bus = GuestBus::new(&bus, |value, key| format!("{value} {}", key.escape_ascii()));
/// let module = runtime.load(wasm).await?;
/// let guest = Guest::builder(&module, &guest_bus).instantiate().await?;
/// # let _ = guest;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GuestBus {
    bus: Arc<dyn Bus>,
    sink: Sink,
}

/// What takes the emits of guests.
#[derive(Clone)]
enum Sink {
    Bus(Arc<dyn Emitter>),
    Hook(Arc<dyn Hook>),
}

impl GuestBus {
    /// `payload` makes the payload of a key that a guest emits with a value. It is called in the
    /// call of the guest, outside of locks, once for each key and in the order of the keys, before
    /// anything is emitted or staged.
    pub fn new<P: Send + Sync + 'static>(
        bus: &RangeWatchBus<P>,
        payload: impl Fn(u64, &[u8]) -> P + Send + Sync + 'static,
    ) -> Self {
        let emitter = WithPayloads {
            bus: bus.clone(),
            payload: Arc::new(payload),
        };
        Self {
            bus: Arc::new(bus.clone()),
            sink: Sink::Bus(Arc::new(emitter)),
        }
    }

    /// Runs `commit` when a call or a callback has returned, or exited with code 0, with what the
    /// guest has staged, also if that is nothing: the embedder commits its own transaction, then
    /// publishes the emits, moves them to a task that does (a group commit), or drops them. Nothing
    /// is published before that, and the call returns after the hook.
    ///
    /// An error of the hook is the [`CallError::NotCommitted`](crate::CallError::NotCommitted) of
    /// the call, and its instance is dropped. The hook's future is dropped with that of the call,
    /// and the emits with it unless they were moved on by then: move to a task what has to be
    /// completed.
    ///
    /// The emits of guests on this bus are [staged](crate::Emits::Staged), whatever their builder
    /// says. The hook runs with [`Guest`](crate::Guest); a linker of your own has no hook.
    ///
    /// # Examples
    ///
    /// A store whose transaction the guest's host functions fill, and whose changes are payloads:
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use futures::FutureExt;
    /// use rangewatch_bus::{EmitError, RangeWatchBus};
    /// use rangewatch_runtime::{Guest, GuestBus, Module};
    ///
    /// /// What a call has written, one for each instance.
    /// #[derive(Default)]
    /// struct Transaction(BTreeMap<Vec<u8>, String>);
    ///
    /// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
    /// # async fn example(module: &Module) -> Result {
    /// let bus = RangeWatchBus::builder().payloads::<String>().build()?;
    /// let guest_bus = GuestBus::on_commit(&bus, |cx, staged| {
    ///     async move {
    ///         let mut transaction = cx.take_data::<Transaction>()?;
    ///         // Write and sync the transaction here, then tell the subscribers.
    ///         staged
    ///             .publish_with(|_value, key| transaction.0.remove(key).unwrap_or_default())
    ///             .map_err(|(_staged, error)| error)?; // roll back here
    ///         Ok(())
    ///     }
    ///     .boxed()
    /// });
    /// let guest = Guest::builder(module, &guest_bus)
    ///     .instance_data(Transaction::default)
    ///     .instantiate()
    ///     .await?;
    /// # let _ = guest;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_commit<P: Send + Sync + 'static>(
        bus: &RangeWatchBus<P>,
        commit: impl for<'a> Fn(&'a mut dyn HostCx, Staged<P>) -> BoxFuture<'a, Result<(), HostError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let hook = WithHook {
            bus: bus.clone(),
            commit,
        };
        Self {
            bus: Arc::new(bus.clone()),
            sink: Sink::Hook(Arc::new(hook)),
        }
    }

    pub(crate) fn bus(&self) -> &dyn Bus {
        &*self.bus
    }

    /// What emits at once; `None` with a commit hook.
    pub(crate) fn emitter(&self) -> Option<&dyn Emitter> {
        match &self.sink {
            Sink::Bus(emitter) => Some(&**emitter),
            Sink::Hook(_) => None,
        }
    }

    /// The commit hook of the embedder, if there is one.
    pub(crate) fn hook(&self) -> Option<&dyn Hook> {
        match &self.sink {
            Sink::Bus(_) => None,
            Sink::Hook(hook) => Some(&**hook),
        }
    }

    /// For what a call stages.
    pub(crate) fn batch(&self, limits: &Limits) -> Batched {
        let (max_bytes, max_matches) = (limits.max_staged_bytes(), limits.max_staged_matches());
        match &self.sink {
            Sink::Bus(emitter) => Batched::OfBus(emitter.batch(max_bytes, max_matches)),
            Sink::Hook(_) => Batched::OfHook(StagedEmits::new(max_bytes, max_matches)),
        }
    }
}

impl From<&RangeWatchBus> for GuestBus {
    fn from(bus: &RangeWatchBus) -> Self {
        Self {
            bus: Arc::new(bus.clone()),
            sink: Sink::Bus(Arc::new(bus.clone())),
        }
    }
}

impl From<&Self> for GuestBus {
    fn from(bus: &Self) -> Self {
        bus.clone()
    }
}

impl fmt::Debug for GuestBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuestBus").field(&self.bus).finish()
    }
}

/// What watches need of a bus, whatever its payloads are.
pub(crate) trait Bus: fmt::Debug + Send + Sync {
    fn reserve(&self) -> Result<WakeSubscription, SubscribeError>;

    /// A subscription that is held.
    fn open(&self, selectors: Selectors) -> Result<WakeSubscription, SubscribeError>;

    /// The watches of one owner of which every value is delivered.
    fn feed(&self, limits: &Limits, budget: &QueueBudget) -> Result<Box<dyn Feed>, SubscribeError>;

    fn is_closed(&self) -> bool;

    fn has_history(&self) -> bool;
}

impl<P: Send + Sync + 'static> Bus for RangeWatchBus<P> {
    fn reserve(&self) -> Result<WakeSubscription, SubscribeError> {
        Self::reserve(self).wake()
    }

    fn open(&self, selectors: Selectors) -> Result<WakeSubscription, SubscribeError> {
        self.subscribe(selectors).hold().wake()
    }

    fn feed(&self, limits: &Limits, budget: &QueueBudget) -> Result<Box<dyn Feed>, SubscribeError> {
        let (max_notices, max_bytes) = (limits.max_notices(), limits.max_notice_bytes());
        let watches = EventSet::with_budget(self, max_notices, max_bytes, budget)?;
        Ok(Box::new(watches))
    }

    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    fn has_history(&self) -> bool {
        self.floor().is_some()
    }
}

/// Emits keys on a bus, whatever its payloads are.
pub(crate) trait Emitter: Send + Sync {
    fn emit(&self, value: u64, keys: &[&[u8]]) -> Result<Emitted, EmitError>;

    fn batch(&self, max_bytes: usize, max_matches: usize) -> Box<dyn BusBatch>;
}

/// The commit hook of the embedder, whatever the payloads are.
pub(crate) trait Hook: Send + Sync {
    fn commit<'a>(
        &'a self,
        cx: &'a mut dyn HostCx,
        emits: StagedEmits,
    ) -> BoxFuture<'a, Result<(), HostError>>;
}

/// What a call has staged.
#[derive(Debug)]
pub(crate) enum Batched {
    /// For the bus.
    OfBus(Box<dyn BusBatch>),
    /// For the commit hook.
    OfHook(StagedEmits),
}

impl Batched {
    /// Stages the keys of one flush, or none of them. Returns the bound in bytes if they exceed it.
    pub(crate) fn stage(&mut self, value: u64, keys: &[&[u8]]) -> Result<(), usize> {
        match self {
            Self::OfBus(batch) => batch.stage(value, keys).map_err(|full| full.max_bytes),
            Self::OfHook(emits) => emits.stage(value, keys),
        }
    }

    pub(crate) fn n_emits(&self) -> usize {
        match self {
            Self::OfBus(batch) => batch.n_emits(),
            Self::OfHook(emits) => emits.n_emits(),
        }
    }

    pub(crate) fn n_keys(&self) -> usize {
        match self {
            Self::OfBus(batch) => batch.n_keys(),
            Self::OfHook(emits) => emits.n_keys(),
        }
    }
}

/// A batch of a bus.
pub(crate) trait BusBatch: fmt::Debug + Send + Sync {
    fn stage(&mut self, value: u64, keys: &[&[u8]]) -> Result<(), BatchFullError>;

    fn commit(&mut self) -> Result<EmittedMany, EmitError>;

    fn n_emits(&self) -> usize;

    fn n_keys(&self) -> usize;
}

impl Emitter for RangeWatchBus {
    fn emit(&self, value: u64, keys: &[&[u8]]) -> Result<Emitted, EmitError> {
        self.emit_slices(value, keys)
    }

    fn batch(&self, max_bytes: usize, max_matches: usize) -> Box<dyn BusBatch> {
        let batch = Self::batch(self, max_bytes);
        Box::new(batch.max_matched(max_matches))
    }
}

impl BusBatch for Batch {
    fn stage(&mut self, value: u64, keys: &[&[u8]]) -> Result<(), BatchFullError> {
        Self::stage(self, value, keys)
    }

    fn commit(&mut self) -> Result<EmittedMany, EmitError> {
        Self::commit(self)
    }

    fn n_emits(&self) -> usize {
        Self::n_emits(self)
    }

    fn n_keys(&self) -> usize {
        Self::n_keys(self)
    }
}

struct WithPayloads<P, F> {
    bus: RangeWatchBus<P>,
    payload: Arc<F>,
}

impl<P, F> Emitter for WithPayloads<P, F>
where
    P: Send + Sync + 'static,
    F: Fn(u64, &[u8]) -> P + Send + Sync + 'static,
{
    fn emit(&self, value: u64, keys: &[&[u8]]) -> Result<Emitted, EmitError> {
        let entries = keys.iter().map(|key| (key, (self.payload)(value, key)));
        self.bus.emit_with(value, entries)
    }

    fn batch(&self, max_bytes: usize, max_matches: usize) -> Box<dyn BusBatch> {
        let batch = self.bus.batch(max_bytes);
        Box::new(StagedPayloads {
            batch: batch.max_matched(max_matches),
            payload: Arc::clone(&self.payload),
        })
    }
}

struct WithHook<P, C> {
    bus: RangeWatchBus<P>,
    commit: C,
}

impl<P, C> Hook for WithHook<P, C>
where
    P: Send + Sync + 'static,
    C: for<'a> Fn(&'a mut dyn HostCx, Staged<P>) -> BoxFuture<'a, Result<(), HostError>>
        + Send
        + Sync
        + 'static,
{
    fn commit<'a>(
        &'a self,
        cx: &'a mut dyn HostCx,
        emits: StagedEmits,
    ) -> BoxFuture<'a, Result<(), HostError>> {
        let staged = Staged::new(self.bus.clone(), emits);
        (self.commit)(cx, staged)
    }
}

struct StagedPayloads<P, F> {
    batch: Batch<P>,
    payload: Arc<F>,
}

impl<P, F> BusBatch for StagedPayloads<P, F>
where
    P: Send + Sync + 'static,
    F: Fn(u64, &[u8]) -> P + Send + Sync + 'static,
{
    fn stage(&mut self, value: u64, keys: &[&[u8]]) -> Result<(), BatchFullError> {
        let entries = keys.iter().map(|key| (key, (self.payload)(value, key)));
        self.batch.stage_with(value, entries)
    }

    fn commit(&mut self) -> Result<EmittedMany, EmitError> {
        self.batch.commit()
    }

    fn n_emits(&self) -> usize {
        self.batch.n_emits()
    }

    fn n_keys(&self) -> usize {
        self.batch.n_keys()
    }
}

impl<P, F> fmt::Debug for StagedPayloads<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.batch.fmt(f)
    }
}
