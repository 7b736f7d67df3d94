//! WASI preview1 in a [`wasmi::Linker`].
//!
//! [`add_to_linker`] links functions that block the thread while a guest waits,
//! [`add_to_linker_async`] functions that suspend a guest which is called with [`call_async`].
//! [`run_start`] and [`run_start_async`] run a command and return its exit code. [`Link`] has the
//! settings that few embedders need.
//!
//! A guest that exits ends its call with an [`Exit`], which `error.downcast_ref::<Exit>()` finds. A
//! signal that it raised, or a panic of the embedder's code, is a [`Trap`].
//!
//! # Examples
//!
//! ```
//! # let wasm = wat::parse_str(r#"(module
//! #     (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
//! #     (memory (export "memory") 1)
//! #     (func (export "_start") (call $exit (i32.const 3))))"#)?;
//! use rangewatch_wasi::{SharedBuffer, Wasi, link_wasmi};
//! use wasmi::{Engine, Linker, Module, Store};
//!
//! let engine = Engine::default();
//! let mut linker = Linker::<Wasi>::new(&engine);
//! link_wasmi::add_to_linker(&mut linker, |ctx: &mut Wasi| ctx)?;
//!
//! let out = SharedBuffer::new();
//! let ctx = Wasi::builder().args(["guest.wasm"]).stdout(out.clone()).build()?;
//! let mut store = Store::new(&engine, ctx);
//! let instance = linker.instantiate_and_start(&mut store, &Module::new(&engine, &wasm)?)?;
//! let exit = link_wasmi::run_start(&mut store, &instance, |ctx: &mut Wasi| ctx)?;
//! assert_eq!(exit.code(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use wasmi::errors::HostError;
use wasmi::{
    AsContextMut, Caller, Engine, Error, Extern, Func, Instance, Linker, Memory, ResumableCall,
    Store, TrapCode, Val,
};

use crate::call::{self, Trap};
use crate::{Exit, Interrupt, MODULE, Wasi, WorkMeter, preview1};

/// Adds the 46 functions of WASI preview1. A guest that waits, for input or in a sleep,
/// [blocks](Wasi::block) its thread.
///
/// `get` returns the guest's context in the data of the store. The memory of a call is the export
/// `memory` of the calling instance. A store with several guests needs a linker for each, whose
/// `get` returns the context of that guest.
///
/// # Errors
///
/// The linker has functions of these names already.
pub fn add_to_linker<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    Link::new(get).add_to_linker(linker)
}

/// Adds the 46 functions of WASI preview1, for guests that are called with [`call_async`] or
/// [`run_start_async`]: one that waits is suspended and blocks no thread.
///
/// `get` and the memory are those of [the functions that block](add_to_linker). A guest that waits
/// in another kind of call ends with the error [`Suspended`]. The start
/// section is such a call.
///
/// # Errors
///
/// The linker has functions of these names already.
pub fn add_to_linker_async<T: 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
) -> Result<(), Error> {
    Link::new(get).add_to_linker_async(linker, |_| true)
}

/// Calls `_start` of a command, flushes its output and returns its exit: the code that the guest
/// passed to `proc_exit`, or 0 when `_start` returned.
///
/// `get` is the function that was given when the functions of WASI were added. Call this once per
/// instance: most programs do not support a second start.
///
/// # Errors
///
/// The instance exports no function `_start`; a trap; the error of a writer when `_start` returned
/// and its output could not be flushed. An exit code other than 0 is not an error.
pub fn run_start<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut Wasi,
) -> Result<Exit, Error> {
    let start = instance.get_typed_func::<(), ()>(&*store, "_start")?;
    let result = start.call(&mut *store, ());
    exit(get(store.data_mut()), result)
}

/// As [`run_start`], with functions that [suspend](add_to_linker_async). The engine must translate
/// eagerly, as for [`call_async`].
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future ends the guest in the middle of its work. Drop the store.
///
/// # Errors
///
/// As [`run_start`].
pub async fn run_start_async<T: 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut Wasi,
) -> Result<Exit, Error> {
    let start = instance.get_typed_func::<(), ()>(&*store, "_start")?;
    let result = call_async(store, start.func(), &[], &mut []).await;
    exit(get(store.data_mut()), result)
}

fn exit(ctx: &mut Wasi, result: Result<(), Error>) -> Result<Exit, Error> {
    let flushed = ctx.flush();
    match result {
        Ok(()) => match flushed {
            Ok(()) => Ok(Exit::new(0)),
            Err(error) => Err(Error::new(error.to_string())),
        },
        Err(error) => error.downcast_ref::<Exit>().copied().ok_or(error),
    }
}

/// Calls a function of a guest whose imports [suspend](add_to_linker_async). A guest that waits is
/// suspended and blocks no thread.
///
/// The engine must translate eagerly: with `CompilationMode::Lazy` a call that was suspended may
/// not be resumable. Fuel that runs out is an error, as in [`Func::call`].
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future ends the guest's call in the middle of its work. Drop the
/// store.
///
/// # Errors
///
/// As [`Func::call`].
pub async fn call_async<T: 'static>(
    store: &mut Store<T>,
    func: &Func,
    args: &[Val],
    results: &mut [Val],
) -> Result<(), Error> {
    let mut call = match func.call_resumable(&mut *store, args, results) {
        Ok(call) => call,
        Err(error) => {
            // The function is the import itself: there is no frame to resume.
            let Some(suspended) = error.downcast_ref::<Suspended<T>>() else {
                return Err(error);
            };
            let values = suspended.finish(store).await?;
            results.clone_from_slice(&values);
            return Ok(());
        }
    };
    loop {
        call = match call {
            ResumableCall::Finished => return Ok(()),
            ResumableCall::OutOfFuel(_) => return Err(TrapCode::OutOfFuel.into()),
            ResumableCall::HostTrap(call) => {
                let Some(suspended) = call.host_error().downcast_ref::<Suspended<T>>() else {
                    return Err(call.into_host_error());
                };
                if suspended.is_metered() && store.get_fuel()? == 0 {
                    return Err(TrapCode::OutOfFuel.into());
                }
                let values = suspended.finish(store).await?;
                call.resume(&mut *store, &values, results)?
            }
        };
    }
}

/// The host error by which a function that has to wait suspends the guest, in a store with data of
/// type `T`.
///
/// [`call_async`] handles it. An embedder with its own loop around [`Func::call_resumable`],
/// for instance to add fuel, finds it with `host_error().downcast_ref()`, awaits
/// [`finish`](Self::finish) and resumes the call with the results.
pub struct Suspended<T> {
    function: &'static str,
    /// The memory of the calling instance: a handle, because it may grow before the next attempt.
    memory: Option<Memory>,
    poll_ready: PollReady<T>,
    attempt: Attempt<T>,
    meter: Option<Meter<T>>,
}

/// The meter in the data of a store.
type Meter<T> = Box<dyn Fn(&mut T) -> &mut WorkMeter + Send + Sync>;

type PollReady<T> = Box<dyn Fn(&mut T, &mut Context<'_>) -> Poll<Result<(), Error>> + Send + Sync>;

/// Makes one attempt of a function; the guest's arguments are captured.
type Attempt<T> = Box<dyn Fn(&mut T, &mut [u8]) -> Result<Poll<Vec<Val>>, Error> + Send + Sync>;

impl<T> Suspended<T> {
    /// A call of `function`, whose last attempt would block. Return it from a host function with
    /// [`Error::host`].
    ///
    /// `poll_ready` is ready when the next attempt can be made. `attempt` makes it, over the data
    /// of the store and the bytes of `memory`; it is ready with the results to resume the guest
    /// with. An error of either ends the guest's call.
    pub fn new(
        function: &'static str,
        memory: Option<Memory>,
        poll_ready: impl Fn(&mut T, &mut Context<'_>) -> Poll<Result<(), Error>> + Send + Sync + 'static,
        attempt: impl Fn(&mut T, &mut [u8]) -> Result<Poll<Vec<Val>>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            function,
            memory,
            poll_ready: Box::new(poll_ready),
            attempt: Box::new(attempt),
            meter: None,
        }
    }

    /// Deducts the work of each attempt from the fuel of the store, which must count fuel. `meter`
    /// returns the meter that the attempts add their work to.
    #[must_use]
    pub fn metered(
        mut self,
        meter: impl Fn(&mut T) -> &mut WorkMeter + Send + Sync + 'static,
    ) -> Self {
        self.meter = Some(Box::new(meter));
        self
    }

    fn is_metered(&self) -> bool {
        self.meter.is_some()
    }

    /// Waits, and retries the function until it returns the results with which to resume the
    /// guest's call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: `finish` can be called again.
    ///
    /// # Errors
    ///
    /// An exit, a signal, or a panic of the embedder's code. End the guest's call with it.
    pub async fn finish(&self, store: &mut Store<T>) -> Result<Vec<Val>, Error> {
        loop {
            poll_fn(|cx| (self.poll_ready)(store.data_mut(), cx)).await?;
            let (memory, data) = match self.memory {
                Some(memory) => memory.data_and_store_mut(&mut *store),
                None => (&mut [][..], store.data_mut()),
            };
            let attempt = (self.attempt)(data, memory)?;
            if let Some(meter) = &self.meter {
                deduct(&mut *store, meter)?;
            }
            if let Poll::Ready(results) = attempt {
                return Ok(results);
            }
        }
    }
}

impl<T> fmt::Debug for Suspended<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suspended")
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Suspended<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` would block in a call that cannot be suspended: call the guest with `call_async`",
            self.function
        )
    }
}

impl<T: 'static> HostError for Suspended<T> {}
impl HostError for Exit {}
impl HostError for Trap {}

/// Settings of the linked functions: which memory a call uses, and when a call may be suspended.
///
/// # Examples
///
/// A store whose data holds the handle of the memory, so that no call looks the export up:
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::link_wasmi::Link;
/// use wasmi::{Engine, Linker, Memory};
///
/// struct State {
///     wasi: Wasi,
///     memory: Option<Memory>, // set after instantiation
/// }
///
/// let engine = Engine::default();
/// let mut linker = Linker::<State>::new(&engine);
/// Link::new(|state: &mut State| &mut state.wasi)
///     .memory(|caller| caller.data().memory)
///     .add_to_linker(&mut linker)?;
/// # Ok::<(), wasmi::Error>(())
/// ```
pub struct Link<T, G, M> {
    get: G,
    memory: M,
    data: PhantomData<fn(&mut T)>,
}

impl<T: 'static, G> Link<T, G, ()>
where
    G: Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
{
    /// `get` returns the guest's context in the data of the store. The memory is the export
    /// `memory` of the calling instance, looked up at each call.
    pub fn new(
        get: G,
    ) -> Link<
        T,
        G,
        impl Fn(&Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static + use<T, G>,
    > {
        Link {
            get,
            memory: |caller: &Caller<'_, T>| {
                caller.get_export("memory").and_then(Extern::into_memory)
            },
            data: PhantomData,
        }
    }
}

impl<T, G, M> Link<T, G, M>
where
    T: 'static,
    G: Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
    M: Fn(&Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
{
    /// `memory` returns the memory of a call. With `None`, every pointer is out of bounds.
    pub fn memory<N>(self, memory: N) -> Link<T, G, N>
    where
        N: Fn(&Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
    {
        Link {
            get: self.get,
            memory,
            data: PhantomData,
        }
    }

    /// Adds the functions. Those that wait block the thread. The work of a call is deducted from
    /// the fuel of the store when it returns; a call that needs more than is left is a trap.
    ///
    /// # Errors
    ///
    /// The linker has functions of these names already.
    pub fn add_to_linker(self, linker: &mut Linker<T>) -> Result<(), Error> {
        self.link(linker, |_| false)
    }

    /// Adds the functions. Those that wait suspend the guest if `may_suspend` returns true for the
    /// data of the store, and block the thread if not: wasmi cannot suspend a start section, nor a
    /// call that is not resumable.
    ///
    /// The work of a call is deducted from the fuel of the store. If it needs more than is left,
    /// the rest stays owed in the context's [meter](Wasi::meter), for an embedder that gives its
    /// guests fuel in slices; a guest without fuel is suspended at its next instruction or its next
    /// import.
    ///
    /// # Errors
    ///
    /// The linker has functions of these names already.
    pub fn add_to_linker_async(
        self,
        linker: &mut Linker<T>,
        may_suspend: impl Fn(&T) -> bool + Copy + Send + Sync + 'static,
    ) -> Result<(), Error> {
        self.link(linker, may_suspend)
    }

    fn link(
        self,
        linker: &mut Linker<T>,
        may_suspend: impl Fn(&T) -> bool + Copy + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let link = Linked {
            get: self.get,
            memory: self.memory,
            is_metered: counts_fuel(linker.engine()),
        };
        macro_rules! link {
            ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ident;)*) => {$(
                link!(@ $result $name($($arg: $ty),*));
            )*};
            (@ never $name:ident($($arg:ident: $ty:ty),*)) => {
                linker.func_wrap(
                    MODULE,
                    stringify!($name),
                    move |mut caller: Caller<'_, T> $(, $arg: $ty)*| -> Result<(), Error> {
                        let memory = (link.memory)(&caller);
                        let (memory, ctx) = split(&mut caller, memory, link.get);
                        let call = || preview1::$name(ctx, memory $(, $arg)*);
                        Err(error(call::catch(stringify!($name), call).map_or_else(|trap| trap, Trap::Exit)))
                    },
                )?;
            };
            (@ $result:ident $name:ident($($arg:ident: $ty:ty),*)) => {
                linker.func_wrap(
                    MODULE,
                    stringify!($name),
                    move |caller: Caller<'_, T> $(, $arg: $ty)*| -> Result<i32, Error> {
                        let call = move |ctx: &mut Wasi, memory: &mut [u8]| {
                            as_waiting!($result preview1::$name(ctx, memory $(, $arg)*))
                        };
                        match may_suspend(caller.data()) {
                            true => link.suspend(caller, stringify!($name), call),
                            false => link.block(caller, stringify!($name), call),
                        }
                    },
                )?;
            };
        }
        crate::for_each_function!(link);
        Ok(())
    }
}

/// What the functions of one linker share.
#[derive(Clone, Copy)]
struct Linked<G, M> {
    get: G,
    memory: M,
    /// Whether the engine counts fuel.
    is_metered: bool,
}

impl<G, M> Linked<G, M> {
    /// A call that blocks the thread when it waits.
    fn block<T: 'static>(
        self,
        mut caller: Caller<'_, T>,
        function: &'static str,
        call: impl Fn(&mut Wasi, &mut [u8]) -> Result<(), Interrupt>,
    ) -> Result<i32, Error>
    where
        G: Fn(&mut T) -> &mut Wasi + Copy,
        M: Fn(&Caller<'_, T>) -> Option<Memory>,
    {
        let memory = (self.memory)(&caller);
        let (bytes, ctx) = split(&mut caller, memory, self.get);
        let code = call::block(function, ctx, bytes, call).map_err(error)?;
        if self.is_metered {
            deduct(&mut caller, |data| (self.get)(data).meter())?;
            if (self.get)(caller.data_mut()).meter().owed() > 0 {
                return Err(TrapCode::OutOfFuel.into());
            }
        }
        Ok(code)
    }

    /// A call that suspends the guest when it waits, or when its fuel is used up: a sequence of
    /// imports without a branch has no other point where it would be.
    fn suspend<T: 'static>(
        self,
        mut caller: Caller<'_, T>,
        function: &'static str,
        call: impl Fn(&mut Wasi, &mut [u8]) -> Result<(), Interrupt> + Send + Sync + 'static,
    ) -> Result<i32, Error>
    where
        G: Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
        M: Fn(&Caller<'_, T>) -> Option<Memory>,
    {
        let memory = (self.memory)(&caller);
        if !self.is_metered || caller.get_fuel()? > 0 {
            let (bytes, ctx) = split(&mut caller, memory, self.get);
            let attempt = call::attempt(function, || call(ctx, bytes)).map_err(error)?;
            if self.is_metered {
                deduct(&mut caller, |data| (self.get)(data).meter())?;
            }
            if let Poll::Ready(code) = attempt {
                return Ok(code);
            }
        }
        let get = self.get;
        let suspended = Suspended::new(
            function,
            memory,
            move |data: &mut T, cx| call::poll_ready(function, get(data), cx).map_err(error),
            move |data: &mut T, memory| {
                let attempt = call::attempt(function, || call(get(data), memory));
                attempt
                    .map(|polled| polled.map(|code| vec![Val::I32(code)]))
                    .map_err(error)
            },
        );
        Err(Error::host(match self.is_metered {
            true => suspended.metered(move |data| get(data).meter()),
            false => suspended,
        }))
    }
}

/// Whether the stores of an engine count fuel. wasmi does not show the settings of an engine, but a
/// store without fuel says so. It costs an error, too much for each call.
#[must_use]
pub fn counts_fuel(engine: &Engine) -> bool {
    Store::new(engine, ()).get_fuel().is_ok()
}

/// Deducts the work of the host in `meter` from the fuel of a store that counts fuel. What exceeds
/// the fuel stays owed.
///
/// For adapters that link functions of their own; those of this module deduct for themselves.
///
/// # Errors
///
/// The store counts no fuel.
pub fn deduct<C: AsContextMut>(
    mut cx: C,
    meter: impl Fn(&mut C::Data) -> &mut WorkMeter,
) -> Result<(), Error> {
    let mut store = cx.as_context_mut();
    let fuel = store.get_fuel()?;
    let left = meter(store.data_mut()).deduct(fuel);
    store.set_fuel(left)
}

impl<T, G, M> fmt::Debug for Link<T, G, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// The memory of a call and the context, borrowed at once. Without a memory, the slice is empty.
fn split<'a, T: 'static>(
    caller: &'a mut Caller<'_, T>,
    memory: Option<Memory>,
    get: impl Fn(&mut T) -> &mut Wasi,
) -> (&'a mut [u8], &'a mut Wasi) {
    match memory {
        Some(memory) => {
            let (memory, data) = memory.data_and_store_mut(caller);
            (memory, get(data))
        }
        None => (&mut [], get(caller.data_mut())),
    }
}

/// Passes an exit as an [`Exit`], so that a downcast to that type finds it.
fn error(trap: Trap) -> Error {
    match trap {
        Trap::Exit(exit) => Error::host(exit),
        trap => Error::host(trap),
    }
}
