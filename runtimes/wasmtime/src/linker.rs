//! The functions of the guest ABI, in a linker of the embedder.

use rangewatch_runtime::abi::{self, AbiError, Callback, GuestAbi};
use rangewatch_runtime::{HostTrap, no_unwind};
use wasmtime::{AsContextMut, Caller, Extern, Instance, Linker, Memory, Result, Store, TypedFunc};

/// Adds the five functions of the range-watch ABI to a linker of your own.
///
/// `get` finds the guest's [`GuestAbi`] in the data of your store: one store, one guest. After
/// instantiating, call [`attach`]; to run what the guest's watches have to deliver, [`deliver`].
///
/// # Errors
///
/// When the linker has functions of these names already.
///
/// # Examples
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
/// # let _ = &mut store;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
) -> Result<()> {
    let attach = move |caller: &mut Caller<'_, T>| attach_in_call(caller, get);
    link_abi(linker, exported_memory, get, attach)?;
    linker.func_wrap(abi::MODULE, abi::STOP, move |mut caller: Caller<'_, T>| {
        attach(&mut caller)?;
        let (memory, abi) = split(&mut caller, exported_memory, get);
        // Nothing to wait for: the one instance of the group is the one that calls.
        abi_call(abi::STOP, || abi.stop(memory).map(drop))
    })?;
    Ok(())
}

/// Calls the export of a fresh instance that returns the address of its meta page. Call it once,
/// before the guest's other exports, after you have initialized the guest:
///
/// * a reactor by its export `_initialize`, if it has one;
/// * a command, which exports `_start` and no `_initialize`, by its export `_start`, on every
///   instance exactly once. [`run_start`](crate::run_start) does so and returns its exit. After
///   an exit with code 0 the instance can be used; an instance that exits with another code can
///   only be dropped.
///
/// What a command emits while its `_start` runs is emitted at once: the page is read at that moment,
/// and read again here.
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

/// As [`attach`], for a store that suspends: with asynchronous host functions, epochs or fuel
/// slices.
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
    instance.get_typed_func(store, abi::PAGE)
}

fn attach_page<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    page: i32,
) -> Result<()> {
    let can_receive = instance.get_func(&mut *store, abi::RECV).is_some();
    let memory = instance.get_memory(&mut *store, "memory");
    let (memory, data) = memory_and_data(store, memory);
    get(data)
        .attach(memory, page as u32, can_receive)
        .map_err(abi_trap)
}

/// Runs the callbacks that are due to the guest's watches, until none is due, and returns how many
/// ran. Await [`GuestAbi::ready`] to learn when there is more.
///
/// When a guest reports an error from a callback, that watch is closed, the rest goes on, and
/// `report` hears of it: the id of the watch, and the guest's words.
///
/// # Errors
///
/// When a callback traps: the instance is in a state that nobody knows, drop the store. When the
/// store needs [`deliver_async`].
pub fn deliver<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    mut report: impl FnMut(&[u8], String),
) -> Result<usize> {
    let (recv, memory) = receiver(store, instance)?;
    let mut n_callbacks = 0;
    while let Some(callback) = next_callback(store, memory, &get)? {
        recv.call(&mut *store, ())?;
        finish(store, memory, &get, callback, &mut report)?;
        n_callbacks += 1;
    }
    Ok(n_callbacks)
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
) -> Result<usize> {
    let (recv, memory) = receiver(store, instance)?;
    let mut n_callbacks = 0;
    while let Some(callback) = next_callback(store, memory, &get)? {
        recv.call_async(&mut *store, ()).await?;
        finish(store, memory, &get, callback, &mut report)?;
        n_callbacks += 1;
    }
    Ok(n_callbacks)
}

fn receiver<T>(
    store: &mut Store<T>,
    instance: &Instance,
) -> Result<(TypedFunc<(), ()>, Option<Memory>)> {
    let recv = instance.get_typed_func(&mut *store, abi::RECV)?;
    Ok((recv, instance.get_memory(store, "memory")))
}

fn next_callback<T>(
    store: &mut Store<T>,
    memory: Option<Memory>,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<Option<Callback>> {
    let (memory, data) = memory_and_data(store, memory);
    Ok(get(data).next_callback(memory)?)
}

fn finish<T>(
    store: &mut Store<T>,
    memory: Option<Memory>,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    callback: Callback,
    report: &mut impl FnMut(&[u8], String),
) -> Result<()> {
    let (memory, data) = memory_and_data(store, memory);
    if let Some(text) = get(data).finish(memory, &callback).map_err(abi_trap)? {
        report(callback.id(), text);
    }
    Ok(())
}

/// Reads the meta page for a guest that calls the ABI before [`attach`]: a command in its `_start`.
/// In a store that suspends it is an error of wasmtime, as the export is called synchronously.
fn attach_in_call<T: 'static>(
    caller: &mut Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<()> {
    if get(caller.data_mut()).is_attached() {
        return Ok(());
    }
    let export = caller.get_export(abi::PAGE).and_then(Extern::into_func);
    let Some(page) = export else {
        return Err(abi_trap(AbiError::NotAttached));
    };
    let page = page.typed::<(), i32>(&*caller)?.call(&mut *caller, ())?;
    let can_receive = caller.get_export(abi::RECV).is_some();
    let memory = exported_memory(caller);
    let (memory, data) = memory_and_data(caller, memory);
    get(data)
        .attach(memory, page as u32, can_receive)
        .map_err(abi_trap)
}

/// The four functions of the ABI that return at once, each after `attach`.
pub(crate) fn link_abi<T: 'static>(
    linker: &mut Linker<T>,
    memory: impl Fn(&mut Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
    get: impl Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
    attach: impl Fn(&mut Caller<'_, T>) -> Result<()> + Copy + Send + Sync + 'static,
) -> Result<()> {
    macro_rules! link {
        ($($name:ident => $verb:ident;)*) => {$(
            linker.func_wrap(abi::MODULE, abi::$name, move |mut caller: Caller<'_, T>| {
                attach(&mut caller)?;
                let (memory, abi) = split(&mut caller, memory, get);
                abi_call(abi::$name, || abi.$verb(memory))
            })?;
        )*};
    }
    link! {
        FLUSH => flush;
        RESERVE => reserve;
        OPEN => open;
        START => start;
    }
    Ok(())
}

/// The memory of the instance that calls, found anew at each call: a store of the embedder's own
/// may hold several instances.
fn exported_memory<T>(caller: &mut Caller<'_, T>) -> Option<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory)
}

fn split<'a, T, C>(
    caller: &'a mut Caller<'_, T>,
    memory: impl Fn(&mut Caller<'_, T>) -> Option<Memory>,
    get: impl Fn(&mut T) -> &mut C,
) -> (&'a mut [u8], &'a mut C) {
    let memory = memory(caller);
    let (memory, data) = memory_and_data(caller, memory);
    (memory, get(data))
}

/// A store, or a caller: what has data besides memories.
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

/// One function of the ABI.
fn abi_call(function: &str, f: impl FnOnce() -> Result<(), AbiError>) -> Result<()> {
    no_unwind(function, f)
        .map_err(wasmtime::Error::from)?
        .map_err(abi_trap)
}
