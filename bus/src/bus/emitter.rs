//! A handle of a bus that can only emit.

use std::fmt;

use crate::{Batch, EmitError, Emitted, EmittedMany, RangeWatchBus};

/// A handle of a bus that can emit and nothing else, from [`RangeWatchBus::emitter`]: for the
/// writer of a store, which is not to close the bus, to compact its history or to subscribe.
///
/// It keeps the bus open, as every handle does: the bus closes when the last emitter, batch and
/// [`RangeWatchBus`] is dropped, or when [`RangeWatchBus::close`] is called. Clones are handles of
/// the same bus.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{Emitter, RangeWatchBus};
///
/// struct Store {
///     revision: u64,
///     changes: Emitter<String>,
/// }
///
/// impl Store {
///     fn put(&mut self, key: &str, value: &str) -> Result<(), rangewatch_bus::EmitError> {
///         self.revision += 1;
///         self.changes.emit_with(self.revision, [(key, value.to_owned())])?;
///         Ok(())
///     }
/// }
///
/// let bus = RangeWatchBus::builder().payloads().build()?;
/// let mut sub = bus.subscribe(..).events(16)?;
/// let mut store = Store { revision: 0, changes: bus.emitter() };
/// drop(bus);
/// store.put("k", "v")?;
/// drop(store);
/// assert_eq!(sub.try_recv()?.value(), 1);
/// assert!(sub.try_recv().is_err_and(|end| end == rangewatch_bus::TryRecvError::Closed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Emitter<P = ()> {
    bus: RangeWatchBus<P>,
}

impl Emitter {
    /// As [`RangeWatchBus::emit`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit<K: AsRef<[u8]>>(
        &self,
        value: u64,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        self.bus.emit(value, keys)
    }

    /// As [`RangeWatchBus::emit_slices`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit_slices(&self, value: u64, keys: &[&[u8]]) -> Result<Emitted, EmitError> {
        self.bus.emit_slices(value, keys)
    }

    /// As [`RangeWatchBus::emit_next`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit_next<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        self.bus.emit_next(keys)
    }

    /// As [`RangeWatchBus::emit_async`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Yes, as there.
    pub async fn emit_async<K: AsRef<[u8]>>(
        &self,
        value: u64,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        self.bus.emit_async(value, keys).await
    }

    /// As [`RangeWatchBus::emit_next_async`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Yes, as there.
    pub async fn emit_next_async<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Emitted, EmitError> {
        self.bus.emit_next_async(keys).await
    }

    /// As [`RangeWatchBus::emit_many`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit_many<K: AsRef<[u8]>, I: IntoIterator<Item = K>>(
        &self,
        emits: impl IntoIterator<Item = (u64, I)>,
    ) -> Result<EmittedMany, EmitError> {
        self.bus.emit_many(emits)
    }
}

impl<P: Send + Sync + 'static> Emitter<P> {
    pub(crate) fn new(bus: &RangeWatchBus<P>) -> Self {
        Self { bus: bus.clone() }
    }

    /// As [`RangeWatchBus::emit_with`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit_with<K: AsRef<[u8]>>(
        &self,
        value: u64,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        self.bus.emit_with(value, entries)
    }

    /// As [`RangeWatchBus::emit_next_with`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit_next_with<K: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        self.bus.emit_next_with(entries)
    }

    /// As [`RangeWatchBus::emit_with_async`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Yes, as there.
    pub async fn emit_with_async<K: AsRef<[u8]>>(
        &self,
        value: u64,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        self.bus.emit_with_async(value, entries).await
    }

    /// As [`RangeWatchBus::emit_next_with_async`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// Yes, as there.
    pub async fn emit_next_with_async<K: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (K, P)>,
    ) -> Result<Emitted, EmitError> {
        self.bus.emit_next_with_async(entries).await
    }

    /// As [`RangeWatchBus::emit_many_with`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn emit_many_with<K: AsRef<[u8]>, I: IntoIterator<Item = (K, P)>>(
        &self,
        emits: impl IntoIterator<Item = (u64, I)>,
    ) -> Result<EmittedMany, EmitError> {
        self.bus.emit_many_with(emits)
    }

    /// As [`RangeWatchBus::batch`].
    pub fn batch(&self, max_bytes: usize) -> Batch<P> {
        self.bus.batch(max_bytes)
    }

    /// As [`RangeWatchBus::head`].
    #[must_use]
    pub fn head(&self) -> Option<u64> {
        self.bus.head()
    }

    /// As [`RangeWatchBus::is_closed`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.bus.is_closed()
    }
}

impl<P> Clone for Emitter<P> {
    fn clone(&self) -> Self {
        Self {
            bus: self.bus.clone(),
        }
    }
}

impl<P> fmt::Debug for Emitter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Emitter").field(&self.bus).finish()
    }
}
