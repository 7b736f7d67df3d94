//! The functions of the guest ABI, in a linker of the embedder.

use std::marker::PhantomData;

use rangewatch_runtime::abi::{self, AbiError, Delivered, GuestAbi, Outcome, gen1};
use rangewatch_runtime::{ErrorChain, HostTrap, WorkMeter};
use rangewatch_wasi::link_wasmi::{Suspended, call_async, counts_fuel, deduct};
use wasmi::{
    AsContext, AsContextMut, Caller, Error, Extern, Instance, Linker, Memory, Store, TrapCode,
    TypedFunc, Val, WasmResults,
};

use crate::convert::trap;
use crate::instance::{MAX_SLICE, Suspend};

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
/// let engine = wasmi::Engine::default();
/// let mut linker = wasmi::Linker::<State>::new(&engine);
/// rangewatch_wasmi::add_to_linker(&mut linker, |s: &mut State| &mut s.watch)?;
/// rangewatch_wasmi::add_wasi_to_linker(&mut linker, |s: &mut State| &mut s.wasi)?;
///
/// let state = State { watch: GuestAbi::new(&bus), wasi: Wasi::builder().build()? };
/// let mut store = wasmi::Store::new(&engine, state);
/// # let guests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../integration-tests/guests/prebuilt");
/// # let wasm = std::fs::read(format!("{guests}/watcher.wasm"))?;
/// let module = wasmi::Module::new(&engine, &wasm)?;
/// let instance = linker.instantiate_and_start(&mut store, &module)?;
/// if let Some(initialize) = instance.get_func(&store, "_initialize") {
///     initialize.call(&mut store, &[], &mut [])?;
/// }
/// rangewatch_wasmi::attach(&mut store, &instance, |s: &mut State| &mut s.watch)?;
///
/// // `follow` is an export of this guest that opens and starts a watch.
/// instance.get_typed_func::<i32, i32>(&store, "follow")?.call(&mut store, 1)?;
/// bus.emit(7, ["test-100"])?;
/// let report = |watch: &[u8], error: String| eprintln!("{}: {error}", watch.escape_ascii());
/// let delivered =
///     rangewatch_wasmi::deliver(&mut store, &instance, |s: &mut State| &mut s.watch, report)?;
/// assert_eq!(delivered.n_callbacks, 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    link_embedded(linker, get, |_| false)
}

/// As [`add_to_linker`], for guests that are called with [`call_async`]: one that waits is
/// suspended and blocks no thread.
///
/// A guest that has to wait in another kind of call ends with the error [`Suspended`].
///
/// # Errors
///
/// The linker has functions of these names already.
pub fn add_to_linker_async<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    link_embedded(linker, get, |_| true)
}

fn link_embedded<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
    may_suspend: impl Fn(&T) -> bool + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    let is_metered = counts_fuel(linker.engine());
    Link::new(
        exported_memory,
        get,
        move |data: &mut T| get(data).meter(),
        is_metered,
    )
    .link(linker, |_| true, may_suspend)
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
/// When the guest does not export what the ABI needs, or traps.
pub fn attach<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<(), Error> {
    let page = export::<i32>(store, instance, gen1::PAGE)?.call(&mut *store, ())?;
    attach_page(store, instance, get, page)
}

/// As [`attach`], for a guest that may have to wait: see [`call_async`].
///
/// # Cancel safety
///
/// Not cancel safe: drop the store when the future was dropped.
///
/// # Errors
///
/// As [`attach`].
pub async fn attach_async<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<(), Error> {
    let page = export::<i32>(store, instance, gen1::PAGE)?;
    let mut results = [Val::I32(0)];
    call_async(store, page.func(), &[], &mut results).await?;
    let page = results[0].i32().unwrap_or_default();
    attach_page(store, instance, get, page)
}

/// An export that the ABI needs. wasmi's own error does not name it.
fn export<R: WasmResults>(
    store: &impl AsContext,
    instance: &Instance,
    name: &str,
) -> Result<TypedFunc<(), R>, Error> {
    let export = instance.get_typed_func(store, name);
    export.map_err(|error| Error::new(format!("the ABI needs the export `{name}`: {error}")))
}

fn attach_page<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    page: i32,
) -> Result<(), Error> {
    let can_receive = instance.get_func(&*store, gen1::RECV).is_some();
    let memory = instance.get_memory(&*store, "memory");
    let (memory, data) = memory_and_data(&mut *store, memory);
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
        let $recv = export::<()>($store, $instance, gen1::RECV)?;
        let memory = $instance.get_memory(&*$store, "memory");
        let is_metered = $store.get_fuel().is_ok();
        let mut n_callbacks = 0;
        for _ in 0..n_ready {
            let (bytes, data) = memory_and_data($store, memory);
            let callback = $get(data).next_callback(bytes);
            let callback =
                callback.map_err(|error| Error::new(ErrorChain::new(&error).to_string()))?;
            let Some(callback) = callback else {
                break;
            };
            if is_metered {
                deduct(&mut *$store, |data| $get(data).meter())?;
                if $get($store.data_mut()).meter().owed() > 0 {
                    return Err(TrapCode::OutOfFuel.into());
                }
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
/// When a callback traps: the state of the instance is unknown then, drop the store.
pub fn deliver<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    mut report: impl FnMut(&[u8], String),
) -> Result<Delivered, Error> {
    deliver!(store, instance, get, report, |recv| recv
        .call(&mut *store, ())?)
}

/// As [`deliver`], for a guest that may have to wait: see [`call_async`].
///
/// # Cancel safety
///
/// Not cancel safe: drop the store when the future was dropped.
///
/// # Errors
///
/// As [`deliver`].
pub async fn deliver_async<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    mut report: impl FnMut(&[u8], String),
) -> Result<Delivered, Error> {
    deliver!(store, instance, get, report, |recv| call_async(
        store,
        recv.func(),
        &[],
        &mut []
    )
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

impl<T, M, G, W> Link<T, M, G, W>
where
    T: 'static,
    M: Fn(&Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
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

    /// Links the functions of the ABI. One that waits, or whose slice is used up, suspends the
    /// guest if `may_suspend` returns true for the data of the store; if not, one that waits blocks
    /// its thread. The meta page of a guest that is not attached is read in the call if
    /// `may_attach` returns true.
    pub(crate) fn link(
        self,
        linker: &mut Linker<T>,
        may_attach: impl Fn(&T) -> bool + Copy + Send + Sync + 'static,
        may_suspend: impl Fn(&T) -> bool + Copy + Send + Sync + 'static,
    ) -> Result<(), Error> {
        macro_rules! link {
            ($(fn $gen:ident::$name:ident as $import:ident($($arg:ident: $ty:ty),*) -> $result:ident;)*) => {$(
                linker.func_wrap(
                    abi::$gen::MODULE,
                    abi::$gen::$import,
                    move |mut caller: Caller<'_, T> $(, $arg: $ty)*| {
                        let import = abi::$gen::$import;
                        let may_attach = abi::$gen::NEEDS_PAGE && may_attach(caller.data());
                        if may_attach && (self.get)(caller.data_mut()).must_attach() {
                            attach_in_call(&mut caller, self.get)?;
                        }
                        let call = move |abi: &mut GuestAbi, memory: &mut [u8]| {
                            abi::$gen::$name(abi, memory $(, $arg)*)
                        };
                        let _outcome = match may_suspend(caller.data()) {
                            true => self.suspend(caller, import, call, link!(@values $result))?,
                            false => self.block(caller, import, call)?,
                        };
                        Ok::<_, Error>(link!(@result $result _outcome))
                    },
                )?;
            )*};
            (@result value $outcome:ident) => { $outcome.result() };
            (@result $none:ident $outcome:ident) => { () };
            (@values value) => { |outcome| vec![Val::I32(outcome.result())] };
            (@values $none:ident) => { |_| Vec::new() };
        }
        rangewatch_runtime::for_each_abi_function!(link);
        Ok(())
    }

    /// A call that blocks the thread when it waits.
    fn block(
        self,
        mut caller: Caller<'_, T>,
        import: &'static str,
        call: impl Fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError>,
    ) -> Result<Outcome, Error> {
        if self.is_metered {
            // Earlier work may have used all fuel.
            deduct(&mut caller, self.meter)?;
            if (self.meter)(caller.data_mut()).owed() > 0 {
                return Err(TrapCode::OutOfFuel.into());
            }
        }
        let memory = (self.memory)(&caller);
        let (bytes, data) = memory_and_data(&mut caller, memory);
        let outcome = abi::call::block(import, (self.get)(data), bytes, call).map_err(trap)?;
        (self.meter)(data).add(outcome.work());
        if self.is_metered {
            deduct(&mut caller, self.meter)?;
        }
        Ok(outcome)
    }

    /// A call that suspends the guest when it waits, or when its slice is used up: a sequence of
    /// imports without a branch has no other point where the slice ends. `values` are those that a
    /// suspended guest is resumed with.
    fn suspend(
        self,
        mut caller: Caller<'_, T>,
        import: &'static str,
        call: impl Fn(&mut GuestAbi, &mut [u8]) -> Result<Outcome, AbiError> + Send + Sync + 'static,
        values: fn(Outcome) -> Vec<Val>,
    ) -> Result<Outcome, Error> {
        let attempt = move |data: &mut T, memory: &mut [u8]| {
            let attempt = abi::call::attempt(import, || call((self.get)(data), memory));
            let outcome = attempt.map_err(trap)?;
            (self.meter)(data).add(outcome.work());
            Ok::<_, Error>(outcome)
        };
        let memory = (self.memory)(&caller);
        if !self.is_metered || caller.get_fuel()? > 0 {
            let (bytes, data) = memory_and_data(&mut caller, memory);
            let outcome = attempt(data, bytes)?;
            if self.is_metered {
                deduct(&mut caller, self.meter)?;
            }
            if outcome.state().is_ready() {
                return Ok(outcome);
            }
        }
        let suspended = Suspended::new(
            import,
            memory,
            move |data: &mut T, cx| {
                abi::call::poll_ready(import, (self.get)(data), cx).map_err(trap)
            },
            move |data: &mut T, memory| {
                let outcome = attempt(data, memory)?;
                Ok(outcome.state().map(|()| values(outcome)))
            },
        );
        Err(Error::host(match self.is_metered {
            true => suspended.metered(self.meter),
            false => suspended,
        }))
    }
}

/// The fuel for a call of the export that returns the address of the meta page. The call is made
/// inside another one, whose slice may be nearly used up. It is not sliced.
const PAGE_FUEL: u64 = if MAX_SLICE < 100_000 {
    MAX_SLICE
} else {
    100_000
};

/// Reads the meta page of a guest that calls the ABI before [`attach`]: a command in its `_start`.
fn attach_in_call<T: 'static>(
    caller: &mut Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<(), Error> {
    let export = caller.get_export(gen1::PAGE).and_then(Extern::into_func);
    let page = export.ok_or_else(|| abi_trap(AbiError::NotAttached))?;
    let page = page.typed::<(), i32>(&*caller)?;
    // An engine that counts no fuel has none to set.
    let left = caller.as_context_mut().get_fuel().ok();
    if left.is_some() {
        caller.as_context_mut().set_fuel(PAGE_FUEL)?;
    }
    let page = page.call(&mut *caller, ());
    if let Some(left) = left {
        caller.as_context_mut().set_fuel(left)?;
    }
    let page = page.map_err(not_suspending::<T>)?;
    let can_receive = caller.get_export(gen1::RECV).is_some();
    let memory = exported_memory(caller);
    let (memory, data) = memory_and_data(caller, memory);
    get(data)
        .attach(memory, page as u32, can_receive)
        .map_err(abi_trap)
}

/// The error of a call that is made inside of an import. If a function in it was to be awaited, it
/// must not suspend the import, which would be resumed with the results of that function.
fn not_suspending<T: 'static>(error: Error) -> Error {
    let suspends =
        error.downcast_ref::<Suspended<T>>().is_some() || error.downcast_ref::<Suspend>().is_some();
    if suspends {
        Error::new(error.to_string())
    } else {
        error
    }
}

/// The memory of the calling instance, looked up at each call: a store of the embedder's may hold
/// several instances.
fn exported_memory<T>(caller: &Caller<'_, T>) -> Option<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory)
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

fn abi_trap(error: AbiError) -> Error {
    trap(HostTrap::Abi(error))
}
