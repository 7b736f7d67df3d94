//! The functions of the guest ABI, in a linker of the embedder.

use rangewatch_runtime::abi::{self, AbiError, GuestAbi};
use rangewatch_runtime::{HostTrap, no_unwind};
use wasmi::{AsContextMut, Caller, Error, Extern, Instance, Linker, Memory, Store};

use crate::convert::trap;

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
/// let engine = wasmi::Engine::default();
/// let mut linker = wasmi::Linker::<State>::new(&engine);
/// rangewatch_wasmi::add_to_linker(&mut linker, |s: &mut State| &mut s.watch)?;
/// rangewatch_wasmi::add_wasi_to_linker(&mut linker, |s: &mut State| &mut s.wasi)?;
///
/// let state = State { watch: GuestAbi::new(&bus), wasi: Wasi::builder().build()? };
/// let mut store = wasmi::Store::new(&engine, state);
/// # let _ = &mut store;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
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
/// When the guest does not export what the ABI needs, or traps.
pub fn attach<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<(), Error> {
    let page = instance
        .get_typed_func::<(), i32>(&*store, abi::PAGE)?
        .call(&mut *store, ())?;
    let can_receive = instance.get_func(&*store, abi::RECV).is_some();
    let memory = instance.get_memory(&*store, "memory");
    let (memory, data) = memory_and_data(&mut *store, memory);
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
/// When a callback traps: the instance is in a state that nobody knows, drop the store.
pub fn deliver<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut GuestAbi,
    mut report: impl FnMut(&[u8], String),
) -> Result<usize, Error> {
    let recv = instance.get_typed_func::<(), ()>(&*store, abi::RECV)?;
    let memory = instance.get_memory(&*store, "memory");
    let mut n_callbacks = 0;
    loop {
        let (bytes, data) = memory_and_data(&mut *store, memory);
        let callback = get(data).next_callback(bytes);
        let Some(callback) = callback.map_err(|error| Error::new(error.to_string()))? else {
            return Ok(n_callbacks);
        };
        recv.call(&mut *store, ())?;
        let (bytes, data) = memory_and_data(&mut *store, memory);
        if let Some(text) = get(data).finish(bytes, &callback).map_err(abi_trap)? {
            report(callback.id(), text);
        }
        n_callbacks += 1;
    }
}

/// Reads the meta page for a guest that calls the ABI before [`attach`]: a command in its `_start`.
fn attach_in_call<T>(
    caller: &mut Caller<'_, T>,
    get: impl Fn(&mut T) -> &mut GuestAbi,
) -> Result<(), Error> {
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
    memory: impl Fn(&Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
    get: impl Fn(&mut T) -> &mut GuestAbi + Copy + Send + Sync + 'static,
    attach: impl Fn(&mut Caller<'_, T>) -> Result<(), Error> + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
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
fn exported_memory<T>(caller: &Caller<'_, T>) -> Option<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory)
}

fn split<'a, T, C>(
    caller: &'a mut Caller<'_, T>,
    memory: impl Fn(&Caller<'_, T>) -> Option<Memory>,
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

fn abi_trap(error: AbiError) -> Error {
    trap(HostTrap::Abi(error))
}

/// One function of the ABI.
fn abi_call(function: &str, f: impl FnOnce() -> Result<(), AbiError>) -> Result<(), Error> {
    no_unwind(function, f).map_err(trap)?.map_err(abi_trap)
}
