//! The functions of the guest ABI, in a linker of the embedder.

use std::future::{poll_fn, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use rangewatch_runtime::abi::{self, AbiError, Delivered, GuestAbi, Outcome, gen1};
use rangewatch_runtime::{HostTrap, WorkMeter, yield_now};
use rangewatch_wasi::link_wasmtime::{charge, deduct};
use wasmtime::{AsContextMut, Caller, Extern, Instance, Linker, Memory, Result, Store, TypedFunc};

/// Adds the functions of the range-watch ABI to a linker of your own.
///
/// `get` returns the guest's [`GuestAbi`] in the data of the store: one store, one guest. After
/// instantiating, call [`attach`]; to run the callbacks of the guest's watches, [`deliver`].
///
/// On an engine that counts fuel (`Config::consume_fuel`) the guest also pays for what the
/// functions do for it: a call whose store has too little fuel left ends as one that is out of
/// fuel.
///
/// A call with bytes is between [`begin_bytes`](GuestAbi::begin_bytes) and
/// [`end_bytes`](GuestAbi::end_bytes), one under an owner after [`set_owner`](GuestAbi::set_owner).
/// With staged emits, [`commit`](GuestAbi::commit) follows a call that returned. A context for each
/// call and a hook at the commit belong to the managed way: here the data of the store is yours,
/// host functions reach it, and you call `commit` yourself.
///
/// # Errors
///
/// The linker has functions of these names already.
///
/// # Examples
///
/// A guest of the embedder's own engine, from the linker to its first callback:
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_runtime::abi::GuestAbi;
/// use rangewatch_wasi::Wasi;
///
/// struct State {
///     watch: GuestAbi,
///     wasi: Wasi,
/// }
///
/// let bus = RangeWatchBus::new();
/// let engine = wasmtime::Engine::default();
/// let mut linker = wasmtime::Linker::<State>::new(&engine);
/// rangewatch_wasmtime::add_to_linker(&mut linker, |s: &mut State| &mut s.watch)?;
/// rangewatch_wasmtime::add_wasi_to_linker(&mut linker, |s: &mut State| &mut s.wasi)?;
///
/// let state = State { watch: GuestAbi::new(&bus), wasi: Wasi::builder().build()? };
/// let mut store = wasmtime::Store::new(&engine, state);
/// # let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../integration-tests/guests/prebuilt");
/// # let wasm = std::fs::read(format!("{guests}/watcher.wasm"))?;
/// let module = wasmtime::Module::new(&engine, &wasm)?;
/// let instance = linker.instantiate(&mut store, &module)?;
/// if let Some(initialize) = instance.get_func(&mut store, "_initialize") {
///     initialize.call(&mut store, &[], &mut [])?;
/// }
/// rangewatch_wasmtime::attach(&mut store, &instance, |s: &mut State| &mut s.watch)?;
///
/// // `follow` is an export of this guest that opens and starts a watch.
/// instance.get_typed_func::<i32, i32>(&mut store, "follow")?.call(&mut store, 1)?;
/// bus.emit(7, ["test-100"])?;
/// let report = |watch: &[u8], error: String| eprintln!("{}: {error}", watch.escape_ascii());
/// let delivered =
///     rangewatch_wasmtime::deliver(&mut store, &instance, |s: &mut State| &mut s.watch, report)?;
/// assert_eq!(delivered.n_callbacks, 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
) -> Result<()> {
    embedded(linker, get).link_blocking(linker, true, |_| true)
}

/// As [`add_to_linker`], for a store that suspends: with asynchronous host functions, epochs or
/// fuel slices. A guest that waits blocks no thread.
///
/// Instantiate and call with the `_async` functions of wasmtime, [`attach_async`] and
/// [`deliver_async`].
///
/// # Errors
///
/// The linker has functions of these names already.
pub fn add_to_linker_async<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
) -> Result<()> {
    embedded(linker, get).link_suspending(linker, true, |_| true)
}

/// The link for a linker of the embedder's.
#[expect(
    clippy::type_complexity,
    reason = "the types of functions have no names"
)]
fn embedded<T: 'static, G>(
    linker: &Linker<T>,
    get: G,
) -> Link<
    T,
    impl Fn(&mut Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + use<T, G>,
    G,
    impl Fn(&mut T) -> &mut WorkMeter + Copy + Send + Sync + use<T, G>,
>
where
    G: Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
{
    let is_metered = linker.engine().get_consume_fuel();
    Link::new(
        exported_memory,
        get,
        move |data: &mut T| get(data).meter(),
        is_metered,
    )
}

/// Calls the export of a fresh instance that returns the address of its meta page. Call it once,
/// before the guest's other exports, after you have initialized the guest:
///
/// * a reactor by its export `_initialize`, if it has one;
/// * a command, which exports `_start` and no `_initialize`, by its export `_start`, on every
///   instance exactly once, for example with [`run_start`](crate::run_start). After an exit with
///   code 0 the instance can be used; an instance that exits with another code can only be dropped.
///
/// What a command emits while its `_start` runs is emitted at once: the page is read at that
/// moment, and read again here.
///
/// # Errors
///
/// When the guest does not export what the ABI needs, or traps; when the store needs
/// [`attach_async`].
pub fn attach<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<()> {
    let page = page_func(store, instance)?.call(&mut *store, ())?;
    attach_page(store, instance, get, page)
}

/// As [`attach`], for a store that suspends.
///
/// # Cancel safety
///
/// Not cancel safe: drop the store when the future was dropped.
///
/// # Errors
///
/// As [`attach`].
pub async fn attach_async<T: Send + 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<()> {
    let page = page_func(store, instance)?
        .call_async(&mut *store, ())
        .await?;
    attach_page(store, instance, get, page)
}

fn page_func<T>(store: &mut Store<T>, instance: &Instance) -> Result<TypedFunc<(), i32>> {
    instance.get_typed_func(store, gen1::PAGE)
}

fn attach_page<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    page: i32,
) -> Result<()> {
    let can_receive = instance.get_func(&mut *store, gen1::RECV).is_some();
    let memory = instance.get_memory(&mut *store, "memory");
    let (memory, data) = memory_and_data(store, memory);
    get(data)
        .attach(memory, page as u32, can_receive)
        .map_err(abi_trap)
}

/// The body of [`deliver`] and of [`deliver_async`], which differ in how they call the guest.
macro_rules! deliver {
    ($store:ident, $instance:ident, $get:ident, $report:ident, |$recv:ident| $call:expr) => {{
        let n_ready = $get($store.data_mut()).n_ready();
        if n_ready == 0 {
            // A guest that does not watch need not export what receives.
            return Ok(Delivered::new(0, $get($store.data_mut())));
        }
        let $recv = $instance.get_typed_func::<(), ()>(&mut *$store, gen1::RECV)?;
        let memory = $instance.get_memory(&mut *$store, "memory");
        let is_metered = $store.engine().get_consume_fuel();
        let mut n_callbacks = 0;
        for _ in 0..n_ready {
            let (bytes, data) = memory_and_data($store, memory);
            let callback = $get(data).next_callback(bytes);
            let Some(callback) = callback? else {
                break;
            };
            if is_metered {
                deduct(&mut *$store, |data| $get(data).meter())?;
            }
            $call;
            let (bytes, data) = memory_and_data($store, memory);
            if let Some(text) = $get(data).finish(bytes, &callback).map_err(abi_trap)? {
                $report(callback.id(), text);
            }
            n_callbacks += 1;
        }
        Ok(Delivered::new(n_callbacks, $get($store.data_mut())))
    }};
}

/// Runs at most one callback for each watch that has something to deliver now, and returns how many
/// ran and whether more are due.
///
/// To drive a guest, await [`GuestAbi::ready`] and call this, in turns.
///
/// When a guest reports an error from a callback, that watch is closed, the others go on, and
/// `report` is called with the id of the watch and the text of the guest.
///
/// # Errors
///
/// When the arguments of a callback do not fit the guest's memory, or an owner of generation 2 has
/// ended by overflow (the message of the error names it): call this again for the others.
///
/// When a callback traps: the state of the instance is unknown then, drop the store. When the
/// store needs [`deliver_async`].
pub fn deliver<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    mut report: impl FnMut(&[u8], String),
) -> Result<Delivered> {
    deliver!(store, instance, get, report, |recv| recv
        .call(&mut *store, ())?)
}

/// As [`deliver`], for a store that suspends.
///
/// # Cancel safety
///
/// Not cancel safe: drop the store when the future was dropped.
///
/// # Errors
///
/// As [`deliver`].
pub async fn deliver_async<T: Send + 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    mut report: impl FnMut(&[u8], String),
) -> Result<Delivered> {
    deliver!(store, instance, get, report, |recv| recv
        .call_async(&mut *store, ())
        .await?)
}

/// How the functions of the ABI reach what they use: the memory of the calling instance, the ABI
/// and the meter in the data of the store.
pub(crate) struct Link<T, M, G, W> {
    memory: M,
    get: G,
    meter: W,
    /// Whether the engine counts fuel.
    is_metered: bool,
    data: PhantomData<fn(&mut T)>,
}

impl<T, M: Copy, G: Copy, W: Copy> Copy for Link<T, M, G, W> {}

impl<T, M: Copy, G: Copy, W: Copy> Clone for Link<T, M, G, W> {
    fn clone(&self) -> Self {
        *self
    }
}

/// What a suspending function does next.
enum Step {
    Attach,
    YieldAndAttempt,
    Attempt,
    Wait,
    YieldAndReturn(i32),
    /// With the result, of a function that has one.
    Return(i32),
}

impl<T, M, G, W> Link<T, M, G, W>
where
    T: 'static,
    M: Fn(&mut Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
    G: Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
    W: Fn(&mut T) -> &mut WorkMeter + Copy + Send + Sync + 'static,
{
    pub(crate) fn new(memory: M, get: G, meter: W, is_metered: bool) -> Self {
        Self {
            memory,
            get,
            meter,
            is_metered,
            data: PhantomData,
        }
    }

    /// Links the functions of the ABI whose result in the table `includes` accepts. One that waits,
    /// or whose slice is used up, suspends the guest. `attaches` says whether a guest may call them
    /// before it is attached: its meta page is read in the call then.
    pub(crate) fn link_suspending(
        self,
        linker: &mut Linker<T>,
        attaches: bool,
        includes: impl Fn(&str) -> bool,
    ) -> Result<()>
    where
        T: Send,
    {
        macro_rules! link {
            ($(fn $gen:ident::$name:ident as $import:ident($($arg:ident: $ty:ty),*) -> $result:ident;)*) => {$(
                if includes(stringify!($result)) { linker.func_wrap_async(
                    abi::$gen::MODULE,
                    abi::$gen::$import,
                    move |mut caller: Caller<'_, T>, ($($arg,)*): ($($ty,)*)| {
                        let import = abi::$gen::$import;
                        let call = move |abi: &mut GuestAbi, memory: &mut [u8]| {
                            abi::$gen::$name(abi, memory $(, $arg)*)
                        };
                        let may_attach = abi::$gen::NEEDS_PAGE && attaches;
                        match self.first_step(&mut caller, import, may_attach, &call) {
                            Ok(Step::Return(result)) => link!(@return $result result),
                            Ok(step) => Box::new(async move {
                                let _result = self.go_on(caller, step, import, call).await?;
                                Ok(link!(@result $result _result))
                            }),
                            Err(error) => Box::new(ready(Err(error))),
                        }
                    },
                )?; }
            )*};
            (@return value $value:ident) => { Box::new(ready(Ok($value))) };
            // Most calls end here, without an allocation: `Returned` has no bytes.
            (@return $none:ident $value:ident) => {{ let _ = $value; Box::new(Returned) }};
            (@result value $value:ident) => { $value };
            (@result $none:ident $value:ident) => { () };
        }
        rangewatch_runtime::for_each_abi_function!(link);
        Ok(())
    }

    fn first_step(
        self,
        caller: &mut Caller<'_, T>,
        import: &'static str,
        may_attach: bool,
        call: &impl Fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>,
    ) -> Result<Step> {
        if may_attach && (self.get)(caller.data_mut()).must_attach() {
            return Ok(Step::Attach);
        }
        if self.is_metered && charge(caller, self.meter)? {
            return Ok(Step::YieldAndAttempt);
        }
        self.attempt(caller, import, call)
    }

    fn attempt(
        &self,
        caller: &mut Caller<'_, T>,
        import: &'static str,
        call: &impl Fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>,
    ) -> Result<Step> {
        let (memory, abi) = split(caller, self.memory, self.get);
        let outcome = abi::call::attempt(import, || call(abi, memory))?;
        (self.meter)(caller.data_mut()).add(outcome.work());
        let is_used_up = self.is_metered && charge(caller, self.meter)?;
        Ok(match outcome.state() {
            Poll::Pending => Step::Wait,
            Poll::Ready(()) if is_used_up => Step::YieldAndReturn(outcome.result()),
            Poll::Ready(()) => Step::Return(outcome.result()),
        })
    }

    /// Takes the steps from `step` to the return, for a call that cannot return at once.
    async fn go_on(
        self,
        mut caller: Caller<'_, T>,
        mut step: Step,
        import: &'static str,
        call: impl Fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError> + Send + Sync,
    ) -> Result<i32>
    where
        T: Send,
    {
        loop {
            step = match step {
                Step::Attach => {
                    let page = exported_page(&mut caller)?;
                    let page = page.call_async(&mut caller, ()).await?;
                    attach_caller(&mut caller, self.get, page)?;
                    Step::Attempt
                }
                Step::YieldAndAttempt => {
                    yield_now().await;
                    Step::Attempt
                }
                Step::Attempt => self.attempt(&mut caller, import, &call)?,
                Step::Wait => {
                    poll_fn(|cx| abi::call::poll_ready(import, (self.get)(caller.data_mut()), cx))
                        .await?;
                    Step::Attempt
                }
                Step::YieldAndReturn(result) => {
                    yield_now().await;
                    Step::Return(result)
                }
                Step::Return(result) => return Ok(result),
            }
        }
    }

    /// As [`link_suspending`](Self::link_suspending), for functions that do not suspend: one that
    /// waits blocks its thread.
    pub(crate) fn link_blocking(
        self,
        linker: &mut Linker<T>,
        attaches: bool,
        includes: impl Fn(&str) -> bool,
    ) -> Result<()> {
        macro_rules! link {
            ($(fn $gen:ident::$name:ident as $import:ident($($arg:ident: $ty:ty),*) -> $result:ident;)*) => {$(
                if includes(stringify!($result)) { linker.func_wrap(
                    abi::$gen::MODULE,
                    abi::$gen::$import,
                    move |mut caller: Caller<'_, T> $(, $arg: $ty)*| {
                        if abi::$gen::NEEDS_PAGE && attaches {
                            attach_in_call(&mut caller, self.get)?;
                        }
                        let (memory, abi) = split(&mut caller, self.memory, self.get);
                        let outcome = abi::call::block(abi::$gen::$import, abi, memory, |abi, memory| {
                            abi::$gen::$name(abi, memory $(, $arg)*)
                        })?;
                        if self.is_metered {
                            (self.meter)(caller.data_mut()).add(outcome.work());
                            deduct(&mut caller, self.meter)?;
                        }
                        Ok::<_, wasmtime::Error>(link!(@result $result outcome))
                    },
                )?; }
            )*};
            (@result value $outcome:ident) => { $outcome.result() };
            (@result $none:ident $outcome:ident) => { () };
        }
        rangewatch_runtime::for_each_abi_function!(link);
        Ok(())
    }
}

/// The future of a function that has returned.
pub(crate) struct Returned;

impl Future for Returned {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Reads the meta page of a guest that calls the ABI before [`attach`]: a command in its `_start`.
fn attach_in_call<T: 'static>(
    caller: &mut Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<()> {
    if !get(caller.data_mut()).must_attach() {
        return Ok(());
    }
    let page = exported_page(caller)?.call(&mut *caller, ())?;
    attach_caller(caller, get, page)
}

fn exported_page<T>(caller: &mut Caller<'_, T>) -> Result<TypedFunc<(), i32>> {
    let export = caller.get_export(gen1::PAGE).and_then(Extern::into_func);
    let page = export.ok_or_else(|| abi_trap(AbiError::NotAttached))?;
    page.typed(&*caller)
}

fn attach_caller<T: 'static>(
    caller: &mut Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    page: i32,
) -> Result<()> {
    let can_receive = caller.get_export(gen1::RECV).is_some();
    let memory = exported_memory(caller);
    let (memory, data) = memory_and_data(caller, memory);
    get(data)
        .attach(memory, page as u32, can_receive)
        .map_err(abi_trap)
}

/// The memory of the calling instance, looked up at each call: a store of the embedder's may hold
/// several instances.
fn exported_memory<T>(caller: &mut Caller<'_, T>) -> Option<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory)
}

fn split<'a, T>(
    caller: &'a mut Caller<'_, T>,
    memory: impl Fn(&mut Caller<'_, T>) -> Option<Memory>,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> (&'a mut [u8], &'a mut GuestAbi) {
    let memory = memory(caller);
    let (memory, data) = memory_and_data(caller, memory);
    (memory, get(data))
}

/// A store or a caller: what has data beside memories.
pub(crate) trait DataMut: AsContextMut {
    fn data_mut(&mut self) -> &mut Self::Data;
}

impl<T> DataMut for Store<T> {
    fn data_mut(&mut self) -> &mut T {
        self.data_mut()
    }
}

impl<T> DataMut for Caller<'_, T> {
    fn data_mut(&mut self) -> &mut T {
        self.data_mut()
    }
}

/// Both at once; no memory is an empty one.
pub(crate) fn memory_and_data<C: DataMut>(
    cx: &mut C,
    memory: Option<Memory>,
) -> (&mut [u8], &mut C::Data) {
    match memory {
        Some(memory) => memory.data_and_store_mut(cx),
        None => (&mut [], cx.data_mut()),
    }
}

fn abi_trap(error: AbiError) -> wasmtime::Error {
    HostTrap::Abi(error).into()
}
