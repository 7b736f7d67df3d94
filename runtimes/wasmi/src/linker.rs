//! The functions of the ABI and of WASI, linked into anybody's linker.

use std::task::Poll;

use rangewatch_runtime::abi::{self, AbiError, GuestAbi};
use rangewatch_runtime::{HostTrap, no_unwind, wasi_attempt, wasi_block};
use rangewatch_wasi::{self as wasi, Errno, Wasi, preview1};
use wasmi::{AsContextMut, Caller, Error, Extern, Instance, Linker, Memory, Store};

use crate::convert::trap;
use crate::suspend::{Suspend, WasiWait};

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

/// Adds the functions of WASI preview1 to a linker of your own. `get` finds the context in the data
/// of your store.
///
/// A guest that waits, for input or in a sleep, [holds its thread](Wasi::block). Where that must not
/// be, [`add_wasi_to_linker_async`].
///
/// The memory of a call is the one of the instance that calls. The context is the one that `get`
/// finds: a store with several guests has a linker for each, whose `get` finds the context of its
/// guest.
///
/// # Errors
///
/// When the linker has functions of these names already.
///
/// # Examples
///
/// A command ends by an exit, which [`host_trap`](crate::host_trap) finds in the error of the call,
/// or by returning.
///
/// ```
/// # let exits = r#"(module
/// #     (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
/// #     (memory (export "memory") 1)
/// #     (func (export "_start") (call $exit (i32.const 3))))"#;
/// # let wasm = wat::parse_str(exits)?;
/// use rangewatch_runtime::HostTrap;
/// use rangewatch_wasi::{SharedBuffer, Wasi};
/// use wasmi::{Engine, Linker, Module, Store};
///
/// let engine = Engine::default();
/// let mut linker = Linker::<Wasi>::new(&engine);
/// rangewatch_wasmi::add_wasi_to_linker(&mut linker, |wasi: &mut Wasi| wasi)?;
///
/// let out = SharedBuffer::new();
/// let wasi = Wasi::builder().args(["guest.wasm"]).stdout(out.clone()).build()?;
/// let mut store = Store::new(&engine, wasi);
/// let instance = linker.instantiate_and_start(&mut store, &Module::new(&engine, &wasm)?)?;
/// let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
/// let code = match start.call(&mut store, ()) {
///     Ok(()) => 0,
///     Err(error) => match rangewatch_wasmi::host_trap(&error) {
///         Some(HostTrap::Exit(exit)) => exit.code(),
///         _ => return Err(error.into()), // a trap
///     },
/// };
/// store.data_mut().flush()?; // an exit has done so; nobody else does
/// # assert_eq!(code, 3);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn add_wasi_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    link_wasi(linker, exported_memory, get)?;
    link_wasi_waits(linker, exported_memory, get, |_| false)
}

/// As [`add_wasi_to_linker`], for guests that are called with [`call_async`](crate::call_async): one
/// that waits is suspended and holds no thread.
///
/// A guest that has to wait in another kind of call ends with an error that says so. The start
/// section is such a call; what a guest does there it does better in an export.
///
/// # Errors
///
/// When the linker has functions of these names already.
pub fn add_wasi_to_linker_async<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    link_wasi(linker, exported_memory, get)?;
    link_wasi_waits(linker, exported_memory, get, |_| true)
}

/// Calls the export of a fresh instance that returns the address of its meta page. Call it once,
/// before the guest's other exports, after you have initialized the guest:
///
/// * a reactor by its export `_initialize`, if it has one;
/// * a command, which exports `_start` and no `_initialize`, by its export `_start`, on every
///   instance exactly once. An exit with code 0, which [`host_trap`](crate::host_trap) finds in the
///   error of the call, is success, and the instance can be used; an instance that exits with
///   another code can only be dropped.
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

/// The functions of WASI that return at once.
pub(crate) fn link_wasi<T: 'static>(
    linker: &mut Linker<T>,
    memory: impl Fn(&Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
    get: impl Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    macro_rules! link {
        ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ident;)*) => {$(
            link!(@ $result $name($($arg: $ty),*));
        )*};
        (@ errno $name:ident($($arg:ident: $ty:ty),*)) => {
            linker.func_wrap(
                wasi::MODULE,
                stringify!($name),
                move |mut caller: Caller<'_, T> $(, $arg: $ty)*| -> Result<i32, Error> {
                    let (memory, wasi) = split(&mut caller, memory, get);
                    no_unwind(stringify!($name), || Errno::encode(preview1::$name(wasi, memory $(, $arg)*)))
                        .map_err(trap)
                },
            )?;
        };
        (@ never $name:ident($($arg:ident: $ty:ty),*)) => {
            linker.func_wrap(
                wasi::MODULE,
                stringify!($name),
                move |mut caller: Caller<'_, T> $(, $arg: $ty)*| -> Result<(), Error> {
                    let (memory, wasi) = split(&mut caller, memory, get);
                    let exit = no_unwind(stringify!($name), || preview1::$name(wasi, memory $(, $arg)*));
                    Err(trap(exit.map_or_else(|panic| panic, HostTrap::Exit)))
                },
            )?;
        };
        (@ wait $($rest:tt)*) => {};
    }
    rangewatch_wasi::for_each_function!(link);
    Ok(())
}

/// The functions of WASI that may have to wait. They suspend the guest where `may_suspend`, and hold
/// the thread where a call cannot be suspended.
pub(crate) fn link_wasi_waits<T: 'static>(
    linker: &mut Linker<T>,
    memory: impl Fn(&Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
    get: impl Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
    may_suspend: impl Fn(&T) -> bool + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    macro_rules! link {
        ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ident;)*) => {$(
            link!(@ $result $name($($arg: $ty),*));
        )*};
        (@ wait $name:ident($($arg:ident: $ty:ty),*)) => {
            linker.func_wrap(
                wasi::MODULE,
                stringify!($name),
                move |mut caller: Caller<'_, T> $(, $arg: $ty)*| -> Result<i32, Error> {
                    let function = stringify!($name);
                    let may_suspend = may_suspend(caller.data());
                    let memory = memory(&caller);
                    let (bytes, data) = memory_and_data(&mut caller, memory);
                    let wasi = get(data);
                    let attempt = move |wasi: &mut Wasi, memory: &mut [u8]| preview1::$name(wasi, memory $(, $arg)*);
                    if !may_suspend {
                        return wasi_block(function, wasi, bytes, attempt).map_err(trap);
                    }
                    match wasi_attempt(function, || attempt(wasi, bytes)).map_err(trap)? {
                        Poll::Ready(code) => Ok(code),
                        Poll::Pending => Err(Error::host(Suspend::Wasi(WasiWait {
                            function,
                            memory,
                            attempt: Box::new(attempt),
                        }))),
                    }
                },
            )?;
        };
        (@ $other:ident $($rest:tt)*) => {};
    }
    rangewatch_wasi::for_each_function!(link);
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
