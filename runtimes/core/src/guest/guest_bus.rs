//! The bus as guests see it.

use std::fmt;
use std::sync::Arc;

use rangewatch_bus::{
    Batch, BatchFullError, EmitError, Emitted, EmittedMany, RangeWatchBus, Selectors,
    SubscribeError, WakeSubscription,
};

use crate::guest::limits::Limits;

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
pub struct GuestBus(Arc<dyn Port>);

impl GuestBus {
    /// `payload` makes the payload of a key that a guest emits with a value. It is called in the
    /// call of the guest, outside of locks, once for each key and in the order of the keys, before
    /// anything is emitted or staged.
    pub fn new<P: Send + Sync + 'static>(
        bus: &RangeWatchBus<P>,
        payload: impl Fn(u64, &[u8]) -> P + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(WithPayloads {
            bus: bus.clone(),
            payload: Arc::new(payload),
        }))
    }

    pub(crate) fn port(&self) -> &dyn Port {
        &*self.0
    }
}

impl From<&RangeWatchBus> for GuestBus {
    fn from(bus: &RangeWatchBus) -> Self {
        Self(Arc::new(bus.clone()))
    }
}

impl From<&Self> for GuestBus {
    fn from(bus: &Self) -> Self {
        bus.clone()
    }
}

impl fmt::Debug for GuestBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GuestBus").field(&self.0.bus()).finish()
    }
}

/// What the ABI needs of a bus, whatever its payloads are.
pub(crate) trait Port: Send + Sync {
    fn bus(&self) -> &dyn fmt::Debug;

    fn emit(&self, value: u64, keys: &[&[u8]]) -> Result<Emitted, EmitError>;

    fn batch(&self, limits: &Limits) -> Box<dyn Staged>;

    fn reserve(&self) -> Result<WakeSubscription, SubscribeError>;

    /// A subscription that is held.
    fn open(&self, selectors: Selectors) -> Result<WakeSubscription, SubscribeError>;

    fn is_closed(&self) -> bool;

    fn has_history(&self) -> bool;
}

/// A batch of a bus.
pub(crate) trait Staged: fmt::Debug + Send + Sync {
    fn stage(&mut self, value: u64, keys: &[&[u8]]) -> Result<(), BatchFullError>;

    fn commit(&mut self) -> Result<EmittedMany, EmitError>;

    fn n_emits(&self) -> usize;

    fn n_keys(&self) -> usize;
}

impl Port for RangeWatchBus {
    fn bus(&self) -> &dyn fmt::Debug {
        self
    }

    fn emit(&self, value: u64, keys: &[&[u8]]) -> Result<Emitted, EmitError> {
        self.emit_slices(value, keys)
    }

    fn batch(&self, limits: &Limits) -> Box<dyn Staged> {
        let batch = Self::batch(self, limits.max_staged_bytes());
        Box::new(batch.max_matched(limits.max_staged_matches()))
    }

    fn reserve(&self) -> Result<WakeSubscription, SubscribeError> {
        Self::reserve(self).wake()
    }

    fn open(&self, selectors: Selectors) -> Result<WakeSubscription, SubscribeError> {
        self.subscribe(selectors).hold().wake()
    }

    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }

    fn has_history(&self) -> bool {
        self.floor().is_some()
    }
}

impl Staged for Batch {
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

impl<P, F> Port for WithPayloads<P, F>
where
    P: Send + Sync + 'static,
    F: Fn(u64, &[u8]) -> P + Send + Sync + 'static,
{
    fn bus(&self) -> &dyn fmt::Debug {
        &self.bus
    }

    fn emit(&self, value: u64, keys: &[&[u8]]) -> Result<Emitted, EmitError> {
        let entries = keys.iter().map(|key| (key, (self.payload)(value, key)));
        self.bus.emit_with(value, entries)
    }

    fn batch(&self, limits: &Limits) -> Box<dyn Staged> {
        let batch = self.bus.batch(limits.max_staged_bytes());
        Box::new(StagedPayloads {
            batch: batch.max_matched(limits.max_staged_matches()),
            payload: Arc::clone(&self.payload),
        })
    }

    fn reserve(&self) -> Result<WakeSubscription, SubscribeError> {
        self.bus.reserve().wake()
    }

    fn open(&self, selectors: Selectors) -> Result<WakeSubscription, SubscribeError> {
        self.bus.subscribe(selectors).hold().wake()
    }

    fn is_closed(&self) -> bool {
        self.bus.is_closed()
    }

    fn has_history(&self) -> bool {
        self.bus.floor().is_some()
    }
}

struct StagedPayloads<P, F> {
    batch: Batch<P>,
    payload: Arc<F>,
}

impl<P, F> Staged for StagedPayloads<P, F>
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
