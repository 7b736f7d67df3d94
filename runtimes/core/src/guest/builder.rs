//! How a guest is configured and made.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use rangewatch_bus::timer::{ThreadTimer, Timer};
use rangewatch_wasi::Wasi;

use crate::engine::error_chain::ErrorChain;
use crate::engine::exports::Exports;
use crate::engine::host_cx::HostCx;
use crate::engine::host_function::{HostError, HostFunction};
use crate::engine::host_module::{DataSource, HostModule, PageSource};
use crate::engine::imports;
use crate::engine::module::Module;
use crate::engine::val::Scalars;
use crate::guest::Guest;
use crate::guest::call_end::CallEnd;
use crate::guest::callback_error::CallbackError;
use crate::guest::emits::Emits;
use crate::guest::factory::GuestFactory;
use crate::guest::flush_error::FlushError;
use crate::guest::guest_bus::GuestBus;
use crate::guest::inner::{Config, OnCallEnd, OnCallbackError, OnFlushError, OnInstance};
use crate::guest::instantiate_error::InstantiateError;
use crate::guest::limits::Limits;
use crate::guest::pool::Pool;
use crate::guest::session::Session;
use crate::guest::start::Start;

/// Configures a [`Guest`].
///
/// | setting | default |
/// |---|---|
/// | [`wasi`](Self::wasi) | none: a module that imports WASI is refused |
/// | [`limits`](Self::limits) | [`Limits::default`] |
/// | [`emits`](Self::emits) | [`Emits::Staged`] on a bus with history, [`Emits::Immediate`] without |
/// | [`host_function`](Self::host_function), [`host_module`](Self::host_module) | none |
/// | [`pool`](Self::pool) | none: one instance for calls and callbacks |
/// | [`start`](Self::start) | [`Start::Automatic`] |
/// | [`timer`](Self::timer) | [`ThreadTimer`] |
/// | [`instance_data`](Self::instance_data) | none |
/// | [`on_instance`](Self::on_instance), [`on_call_end`](Self::on_call_end) | nothing |
/// | [`on_callback_error`](Self::on_callback_error) | a `warn` event of the `tracing` crate |
/// | [`on_flush_error`](Self::on_flush_error) | a `warn` event of the `tracing` crate |
///
/// A hook that commits what the guest emits belongs to its bus: [`GuestBus::on_commit`]. For many
/// equal guests end with [`factory`](Self::factory) in place of [`instantiate`](Self::instantiate).
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_runtime::{Guest, Limits, Module};
/// use rangewatch_wasi::{SharedBuffer, Wasi};
///
/// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
/// # async fn example(module: &Module, bus: &RangeWatchBus) -> Result {
/// let output = SharedBuffer::new();
/// let guest = Guest::builder(module, bus)
///     .wasi(Wasi::builder().args(["guest"]).stdout(output.clone()).build()?)
///     .limits(Limits::default().memory_bytes(64 << 20))
///     .on_callback_error(|error| eprintln!("{error}"))
///     .instantiate()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens before `instantiate`"]
pub struct GuestBuilder<'a> {
    module: &'a Module,
    bus: GuestBus,
    wasi: WasiSource,
    limits: Limits,
    emits: Option<Emits>,
    functions: Vec<HostFunction>,
    pool: Option<(u32, u32)>,
    start: Start,
    data: Vec<DataSource>,
    pages: Vec<PageSource>,
    timer: Arc<dyn Timer>,
    on_instance: Option<OnInstance>,
    on_call_end: Vec<OnCallEnd>,
    on_callback_error: OnCallbackError,
    on_flush_error: OnFlushError,
}

/// Where the WASI context of an instance comes from.
pub(crate) enum WasiSource {
    None,
    Once(Mutex<Option<Box<Wasi>>>),
    Each(Box<dyn Fn() -> Result<Wasi, HostError> + Send + Sync>),
}

impl WasiSource {
    pub(crate) fn context(&self) -> Result<Wasi, InstantiateError> {
        match self {
            Self::None => Wasi::builder()
                .build()
                .map_err(|error| InstantiateError::Wasi(error.into())),
            Self::Once(wasi) => wasi
                .lock()
                .take()
                .map(|wasi| *wasi)
                .ok_or(InstantiateError::SharedWasi),
            Self::Each(make) => make().map_err(InstantiateError::Wasi),
        }
    }
}

impl<'a> GuestBuilder<'a> {
    pub(crate) fn new(module: &'a Module, bus: GuestBus) -> Self {
        Self {
            module,
            bus,
            wasi: WasiSource::None,
            limits: Limits::default(),
            emits: None,
            functions: Vec::new(),
            pool: None,
            start: Start::default(),
            data: Vec::new(),
            pages: Vec::new(),
            timer: Arc::new(ThreadTimer),
            on_instance: None,
            on_call_end: Vec::new(),
            on_callback_error: Box::new(|error| {
                let error = ErrorChain::new(&error);
                tracing::warn!(%error, "a guest's callback failed");
            }),
            on_flush_error: Box::new(|error| {
                let source = &error.source;
                tracing::warn!(%error, %source, "a guest's output is lost");
            }),
        }
    }

    /// Gives the guest WASI preview1 with this context.
    pub fn wasi(mut self, wasi: Wasi) -> Self {
        self.wasi = WasiSource::Once(Mutex::new(Some(Box::new(wasi))));
        self
    }

    /// Gives every instance of a pool a WASI context of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_wasi::Wasi;
    ///
    /// # use rangewatch_runtime::GuestBuilder;
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder.pool(4, 2).wasi_with(|| Ok(Wasi::builder().args(["worker"]).build()?))
    /// # }
    /// ```
    pub fn wasi_with(
        mut self,
        make: impl Fn() -> Result<Wasi, HostError> + Send + Sync + 'static,
    ) -> Self {
        self.wasi = WasiSource::Each(Box::new(make));
        self
    }

    /// Bounds what the guest may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Chooses when what the guest emits takes effect. Unless it is set, emits are staged on a bus
    /// with history and immediate on one without.
    pub fn emits(mut self, emits: Emits) -> Self {
        self.emits = Some(emits);
        self
    }

    /// Provides an import by a closure that returns at once. Arguments and results are `()`, one of
    /// `i32 u32 i64 u64 f32 f64`, or a tuple of up to eight of them.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rangewatch_runtime::GuestBuilder;
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder
    ///     .host_function("env", "add", |_cx, (a, b): (i32, i32)| Ok(a.wrapping_add(b)))
    ///     .host_function("env", "log", |cx, (at, len): (u32, u32)| {
    ///         println!("{}", String::from_utf8_lossy(cx.read(at, len)?));
    ///         Ok(())
    ///     })
    /// # }
    /// ```
    pub fn host_function<A: Scalars, R: Scalars>(
        mut self,
        module: &str,
        name: &str,
        f: impl Fn(&mut dyn HostCx, A) -> Result<R, HostError> + Send + Sync + 'static,
    ) -> Self {
        self.functions.push(HostFunction::sync(module, name, f));
        self
    }

    /// Provides an import by a closure whose future may wait; the guest is suspended meanwhile and
    /// blocks no thread. The future borrows nothing of the context: read from the guest's memory
    /// before it, or use [`host_function_async_cx`](Self::host_function_async_cx).
    ///
    /// # Examples
    ///
    /// ```
    /// # use rangewatch_runtime::GuestBuilder;
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder.host_function_async("env", "next", |_cx, n: i64| async move {
    ///     futures::future::ready(()).await; // a request, a timer, a lock
    ///     Ok(n + 1)
    /// })
    /// # }
    /// ```
    pub fn host_function_async<A: Scalars, R: Scalars, F>(
        mut self,
        module: &str,
        name: &str,
        f: impl Fn(&mut dyn HostCx, A) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, HostError>> + Send + 'static,
    {
        self.functions
            .push(HostFunction::asynchronous(module, name, f));
        self
    }

    /// As [`host_function_async`](Self::host_function_async), for a future that uses the context
    /// after it has waited.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rangewatch_runtime::GuestBuilder;
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder.host_function_async_cx("env", "fetch", |cx, at: u32| {
    ///     Box::pin(async move {
    ///         let bytes = futures::future::ready([1, 2, 3]).await;
    ///         cx.write(at, &bytes)
    ///     })
    /// })
    /// # }
    /// ```
    pub fn host_function_async_cx<A: Scalars, R: Scalars>(
        mut self,
        module: &str,
        name: &str,
        f: impl for<'c> Fn(&'c mut dyn HostCx, A) -> BoxFuture<'c, Result<R, HostError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.functions
            .push(HostFunction::asynchronous_cx(module, name, f));
        self
    }

    /// Provides an import by a [`HostFunction`], which can have any signature.
    pub fn host_function_object(mut self, function: HostFunction) -> Self {
        self.functions.push(function);
        self
    }

    /// Provides the functions of a module at once, with the data and the meta page that they use.
    pub fn host_module(mut self, module: HostModule) -> Self {
        self.functions.extend(module.functions);
        self.data.extend(module.data);
        self.pages.extend(module.pages);
        self.on_call_end.extend(module.on_call_end);
        self
    }

    /// Gives the guest up to `calls` instances for calls and up to `callbacks` more for callbacks,
    /// so that callbacks cannot starve calls. Instances are created when they are needed, also to
    /// replace a lost one; at most 4096 of either. They share watch ids but no memory: do not use a
    /// pool for a guest that keeps state in its memory.
    pub fn pool(mut self, calls: u32, callbacks: u32) -> Self {
        self.pool = Some((calls, callbacks));
        self
    }

    /// Chooses what is called to start an instance.
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// Sets the source of time for [`Limits::wall_time`]. Unless it is set, a
    /// [`ThreadTimer`] of the bus.
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.timer = Arc::new(timer);
        self
    }

    /// Gives each instance data of the embedder's own, which host functions reach by
    /// `data` of their [`HostCx`]: a transaction, a cache, locks that are held. It is made
    /// before the instance and dropped with it. One value of each type: a second source of a type
    /// replaces the first.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rangewatch_runtime::GuestBuilder;
    /// #[derive(Default)]
    /// struct Buffers(Vec<Vec<u8>>);
    ///
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder.instance_data(Buffers::default).host_function(
    ///     "buffers",
    ///     "push",
    ///     |cx, (at, len): (u32, u32)| {
    ///         let bytes = cx.read(at, len)?.to_vec();
    ///         cx.data::<Buffers>()?.0.push(bytes);
    ///         Ok(())
    ///     },
    /// )
    /// # }
    /// ```
    pub fn instance_data<T: Send + 'static>(
        mut self,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        self.data.push(Box::new(move |data| data.insert(make())));
        self
    }

    /// Runs for each new instance, after it was started and before it is used: to call its exports
    /// and to keep what they return in its data. An error fails the instantiation, and later the
    /// call that needed the instance.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_runtime::Val;
    /// # use rangewatch_runtime::GuestBuilder;
    ///
    /// /// The address of the guest's buffer.
    /// #[derive(Default)]
    /// struct Buffer(u32);
    ///
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder.instance_data(Buffer::default).on_instance(|instance| {
    ///     Box::pin(async move {
    ///         let [Val::I32(at)] = instance.call("buffer", &[]).await?[..] else {
    ///             return Err("`buffer` returns an address".into());
    ///         };
    ///         instance.data::<Buffer>()?.0 = at as u32;
    ///         Ok(())
    ///     })
    /// })
    /// # }
    /// ```
    pub fn on_instance(
        mut self,
        f: impl for<'s> Fn(&'s mut Session) -> BoxFuture<'s, Result<(), HostError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.on_instance = Some(Box::new(f));
        self
    }

    /// Runs at the end of every call of an export, callbacks and starts included, however it ended:
    /// to release what the call held. Several hooks run in the order in which they were added,
    /// those of [modules](HostModule::on_call_end) with their module. They must not panic.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_runtime::CallOutcome;
    /// # use rangewatch_runtime::GuestBuilder;
    ///
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder.on_call_end(|end| {
    ///     if let CallOutcome::Failed(error) = end.outcome() {
    ///         eprintln!("{} failed: {error}", end.export());
    ///     }
    /// })
    /// # }
    /// ```
    pub fn on_call_end(mut self, f: impl Fn(&mut CallEnd<'_>) + Send + Sync + 'static) -> Self {
        self.on_call_end.push(Box::new(f));
        self
    }

    /// Receives the errors of callbacks, on the thread of the pump. It must not panic; if it does,
    /// that is logged, and the pump goes on.
    pub fn on_callback_error(mut self, f: impl Fn(CallbackError) + Send + Sync + 'static) -> Self {
        self.on_callback_error = Box::new(f);
        self
    }

    /// Receives the errors of flushing what the guest wrote to the host's writers, on the thread of
    /// the call that wrote it. The call itself is not affected, also if `f` panics.
    ///
    /// # Examples
    ///
    /// ```
    /// # use rangewatch_runtime::GuestBuilder;
    /// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
    /// builder.on_flush_error(|error| eprintln!("{error}: {}", error.source))
    /// # }
    /// ```
    pub fn on_flush_error(mut self, f: impl Fn(FlushError) + Send + Sync + 'static) -> Self {
        self.on_flush_error = Box::new(f);
        self
    }

    /// Makes the guest: resolves its imports, instantiates it, runs its start section and, if it
    /// exports it, `_initialize`. `_start` of a command is not run here: see
    /// [`Guest::run`](crate::Guest::run).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future makes no guest; emits of the start section stay on the bus.
    ///
    /// # Errors
    ///
    /// [`InstantiateError`].
    pub async fn instantiate(self) -> Result<Guest, InstantiateError> {
        self.factory()?.instantiate().await
    }

    /// Resolves the imports, once for many equal guests.
    ///
    /// # Errors
    ///
    /// [`InstantiateError`]: an import is missing or does not fit, a setting is not possible.
    pub fn factory(self) -> Result<GuestFactory, InstantiateError> {
        let compiled = self.module.compiled();
        let info = self.module.info_arc();
        if self.limits.max_fuel_per_call().is_some() && !compiled.is_metered() {
            return Err(InstantiateError::NotMetered {
                runtime: compiled.runtime(),
            });
        }
        let (bytes, max_bytes) = (info.memory_bytes(), self.limits.max_memory_bytes());
        if bytes > max_bytes as u64 {
            return Err(InstantiateError::Memory { bytes, max_bytes });
        }
        let (elements, max_elements) = (info.table_elements(), self.limits.max_table_elements());
        if elements > max_elements as u64 {
            return Err(InstantiateError::Table {
                elements,
                max_elements,
            });
        }
        let (n_tables, max) = (info.n_tables(), Limits::MAX_TABLES);
        if n_tables > max {
            return Err(InstantiateError::Tables { n_tables, max });
        }
        if let Some((calls, callbacks)) = self.pool {
            if matches!(self.wasi, WasiSource::Once(_)) {
                return Err(InstantiateError::SharedWasi);
            }
            let sizes = 1..=Pool::MAX_SIZE;
            if !sizes.contains(&calls) || !sizes.contains(&callbacks) {
                return Err(InstantiateError::PoolSize {
                    max: Pool::MAX_SIZE,
                });
            }
        }
        let has_wasi = !matches!(self.wasi, WasiSource::None);
        let mut imports = imports::resolve(&info, self.functions, has_wasi)?;
        let pages = imports::needed_pages(&info, self.pages)?;
        imports.is_command = match self.start {
            Start::Automatic => info.is_command(),
            Start::Reactor => false,
            Start::Command | Start::Nothing => true,
        };
        let linked = compiled.link(&imports).map_err(InstantiateError::Engine)?;
        // The SDKs split an emit of many keys into flushes of one value, which only a bus without
        // history accepts as separate emits.
        let emits = match self.emits {
            Some(emits) => emits,
            None if self.bus.bus().has_history() => Emits::Staged,
            None => Emits::Immediate,
        };
        Ok(GuestFactory::new(Config {
            can_receive: imports::can_receive(&info),
            exports: Exports::of(&info),
            info,
            linked,
            has_hook: self.bus.hook().is_some(),
            bus: self.bus,
            limits: self.limits,
            emits,
            start: self.start,
            wasi: self.wasi,
            data: self.data,
            pages,
            pool: self.pool,
            timer: self.timer,
            on_instance: self.on_instance,
            on_call_end: self.on_call_end,
            on_callback_error: self.on_callback_error,
            on_flush_error: self.on_flush_error,
        }))
    }
}

impl fmt::Debug for GuestBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestBuilder")
            .field("limits", &self.limits)
            .field("emits", &self.emits)
            .field("functions", &self.functions)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}
