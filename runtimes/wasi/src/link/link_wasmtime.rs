//! WASI preview1 in a [`wasmtime::Linker`].
//!
//! [`add_to_linker`] links functions that block the thread while a guest waits,
//! [`add_to_linker_async`] functions that suspend the guest. [`run_start`] and [`run_start_async`]
//! run a command and return its exit code. [`Link`] has the settings that few embedders need.
//!
//! A guest that exits ends its call with an [`Exit`], which `error.downcast_ref::<Exit>()` finds. A
//! signal that it raised, or a panic of the embedder's code, is a [`Trap`].
//!
//! # Examples
//!
//! ```no_run
//! use rangewatch_wasi::{SharedBuffer, Wasi, link_wasmtime};
//! use wasmtime::{Engine, Linker, Module, Store};
//!
//! # fn example(engine: Engine, module: Module) -> Result<(), Box<dyn std::error::Error>> {
//! let mut linker = Linker::<Wasi>::new(&engine);
//! link_wasmtime::add_to_linker(&mut linker, |ctx: &mut Wasi| ctx)?;
//!
//! let out = SharedBuffer::new();
//! let ctx = Wasi::builder().args(["guest.wasm"]).stdout(out.clone()).build()?;
//! let mut store = Store::new(&engine, ctx);
//! let instance = linker.instantiate(&mut store, &module)?;
//! let exit = link_wasmtime::run_start(&mut store, &instance, |ctx: &mut Wasi| ctx)?;
//! println!("{}, exit code {}", out.to_string_lossy(), exit.code());
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::{Future, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use wasmtime::{AsContextMut, Caller, Extern, Instance, Linker, Memory, Result, Store};

use crate::call::{self, Trap};
use crate::{Charge, Exit, Interrupt, MODULE, Wasi, WorkMeter, preview1};

/// Links one function so that it blocks the thread when it waits.
macro_rules! blocking {
    ($linker:ident, $link:ident, $result:ident $name:ident($($arg:ident: $ty:ty),*)) => {
        $linker.func_wrap(
            MODULE,
            stringify!($name),
            move |caller: Caller<'_, T> $(, $arg: $ty)*| -> Result<i32> {
                $link.block(caller, stringify!($name), move |ctx, memory| {
                    as_waiting!($result preview1::$name(ctx, memory $(, $arg)*))
                })
            },
        )?;
    };
}

/// Links one function so that it suspends the guest when it waits or its slice is used up.
macro_rules! suspending {
    ($linker:ident, $link:ident, $result:ident $name:ident($($arg:ident: $ty:ty),*)) => {
        $linker.func_wrap_async(
            MODULE,
            stringify!($name),
            move |caller: Caller<'_, T>, ($($arg,)*): ($($ty,)*)| {
                $link.suspend(caller, stringify!($name), move |ctx, memory| {
                    as_waiting!($result preview1::$name(ctx, memory $(, $arg)*))
                })
            },
        )?;
    };
}

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
) -> Result<()> {
    Link::new(get).add_to_linker(linker)
}

/// Adds the 46 functions of WASI preview1. A guest that waits is suspended and blocks no thread.
///
/// `get` and the memory are those of [the functions that block](add_to_linker). Instantiate and
/// call with the `_async` functions of wasmtime. Dropping the future of a call ends the wait.
///
/// # Errors
///
/// The linker has functions of these names already.
pub fn add_to_linker_async<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: impl Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
) -> Result<()> {
    Link::new(get).add_to_linker_async(linker)
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
) -> Result<Exit> {
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    let result = start.call(&mut *store, ());
    exit(get(store.data_mut()), result)
}

/// As [`run_start`], with functions that [suspend](add_to_linker_async).
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future ends the guest in the middle of its work. Drop the store.
///
/// # Errors
///
/// As [`run_start`].
pub async fn run_start_async<T: Send + 'static>(
    store: &mut Store<T>,
    instance: &Instance,
    get: impl Fn(&mut T) -> &mut Wasi,
) -> Result<Exit> {
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    let result = start.call_async(&mut *store, ()).await;
    exit(get(store.data_mut()), result)
}

fn exit(ctx: &mut Wasi, result: Result<()>) -> Result<Exit> {
    let flushed = ctx.flush();
    match result {
        Ok(()) => {
            flushed?;
            Ok(Exit::new(0))
        }
        Err(error) => error.downcast_ref::<Exit>().copied().ok_or(error),
    }
}

/// Settings of the linked functions: which memory a call uses.
///
/// # Examples
///
/// A store whose data holds the handle of the memory, so that no call looks the export up:
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::link_wasmtime::Link;
/// use wasmtime::{Engine, Linker, Memory};
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
/// # Ok::<(), wasmtime::Error>(())
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
        impl Fn(&mut Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static + use<T, G>,
    > {
        Link {
            get,
            memory: |caller: &mut Caller<'_, T>| {
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
    M: Fn(&mut Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
{
    /// `memory` returns the memory of a call. With `None`, every pointer is out of bounds.
    pub fn memory<N>(self, memory: N) -> Link<T, G, N>
    where
        N: Fn(&mut Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
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
    pub fn add_to_linker(self, linker: &mut Linker<T>) -> Result<()> {
        let link = self.linked(linker);
        macro_rules! link {
            ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ident;)*) => {$(
                link!(@ $result $name($($arg: $ty),*));
            )*};
            (@ never $name:ident($($arg:ident: $ty:ty),*)) => { link.link_exit(linker)?; };
            (@ $result:ident $name:ident($($arg:ident: $ty:ty),*)) => {
                blocking!(linker, link, $result $name($($arg: $ty),*));
            };
        }
        crate::for_each_function!(link);
        Ok(())
    }

    /// Adds the functions. One that waits suspends the guest, and so does any in a store with fuel
    /// when the guest has used a slice of it, by its own instructions or by the work of calls.
    ///
    /// The slice is that of the context's [meter](Wasi::meter). Fuel that the embedder sets should
    /// be announced with [`WorkMeter::begin`](crate::WorkMeter::begin); if it is not, the first
    /// poll of a call may take one slice more.
    ///
    /// # Errors
    ///
    /// The linker has functions of these names already.
    pub fn add_to_linker_async(self, linker: &mut Linker<T>) -> Result<()>
    where
        T: Send,
    {
        let link = self.linked(linker);
        macro_rules! link {
            ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ident;)*) => {$(
                link!(@ $result $name($($arg: $ty),*));
            )*};
            (@ never $name:ident($($arg:ident: $ty:ty),*)) => { link.link_exit(linker)?; };
            // Without fuel there is no slice to end, so that a function that does not wait returns.
            (@ errno $name:ident($($arg:ident: $ty:ty),*)) => {
                if link.is_metered {
                    suspending!(linker, link, errno $name($($arg: $ty),*));
                } else {
                    blocking!(linker, link, errno $name($($arg: $ty),*));
                }
            };
            (@ wait $name:ident($($arg:ident: $ty:ty),*)) => {
                suspending!(linker, link, wait $name($($arg: $ty),*));
            };
        }
        crate::for_each_function!(link);
        Ok(())
    }

    fn linked(self, linker: &Linker<T>) -> Linked<G, M> {
        Linked {
            get: self.get,
            memory: self.memory,
            is_metered: linker.engine().get_consume_fuel(),
        }
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

/// What a suspending function does next.
enum Step {
    YieldAndAttempt,
    YieldAndWait,
    Wait,
    YieldAndReturn(i32),
    Return(i32),
}

impl<G, M> Linked<G, M> {
    fn link_exit<T: 'static>(self, linker: &mut Linker<T>) -> Result<()>
    where
        G: Fn(&mut T) -> &mut Wasi + Copy + Send + Sync + 'static,
        M: Fn(&mut Caller<'_, T>) -> Option<Memory> + Copy + Send + Sync + 'static,
    {
        linker.func_wrap(
            MODULE,
            "proc_exit",
            move |mut caller: Caller<'_, T>, code: i32| -> Result<()> {
                let (memory, ctx) = self.split(&mut caller);
                let exit = call::catch("proc_exit", || preview1::proc_exit(ctx, memory, code));
                Err(error(exit.map_or_else(|trap| trap, Trap::Exit)))
            },
        )?;
        Ok(())
    }

    /// A call that blocks the thread when it waits.
    fn block<T: 'static>(
        self,
        mut caller: Caller<'_, T>,
        function: &'static str,
        call: impl Fn(&mut Wasi, &mut [u8]) -> Result<(), Interrupt>,
    ) -> Result<i32>
    where
        G: Fn(&mut T) -> &mut Wasi,
        M: Fn(&mut Caller<'_, T>) -> Option<Memory>,
    {
        let (memory, ctx) = self.split(&mut caller);
        let code = call::block(function, ctx, memory, call).map_err(error)?;
        if self.is_metered {
            deduct(&mut caller, |data| (self.get)(data).meter())?;
        }
        Ok(code)
    }

    /// A call that suspends the guest when it waits or when the slice is used up.
    ///
    /// The first attempt is made here and not in the future. Most calls end with it and with the
    /// same result, whose future has no bytes, so that it is boxed without an allocation.
    fn suspend<'a, T: Send + 'static>(
        self,
        mut caller: Caller<'a, T>,
        function: &'static str,
        call: impl Fn(&mut Wasi, &mut [u8]) -> Result<(), Interrupt> + Send + Sync + 'a,
    ) -> Box<dyn Future<Output = Result<i32>> + Send + 'a>
    where
        G: Fn(&mut T) -> &mut Wasi + Send + Sync + 'a,
        M: Fn(&mut Caller<'_, T>) -> Option<Memory> + Send + Sync + 'a,
    {
        let step = match self.charge(&mut caller) {
            Ok(false) => self.attempt(&mut caller, function, &call),
            Ok(true) => Ok(Step::YieldAndAttempt),
            Err(error) => Err(error),
        };
        match step {
            Ok(Step::Return(SUCCESS)) => Box::new(Succeeded),
            Ok(Step::Return(code)) => Box::new(ready(Ok(code))),
            Ok(step) => Box::new(self.go_on(caller, step, function, call)),
            Err(error) => Box::new(ready(Err(error))),
        }
    }

    fn attempt<T: 'static>(
        &self,
        caller: &mut Caller<'_, T>,
        function: &'static str,
        call: &impl Fn(&mut Wasi, &mut [u8]) -> Result<(), Interrupt>,
    ) -> Result<Step>
    where
        G: Fn(&mut T) -> &mut Wasi,
        M: Fn(&mut Caller<'_, T>) -> Option<Memory>,
    {
        let (memory, ctx) = self.split(caller);
        let polled = call::attempt(function, || call(ctx, memory)).map_err(error)?;
        let is_used_up = self.charge(caller)?;
        Ok(match polled {
            Poll::Ready(code) if is_used_up => Step::YieldAndReturn(code),
            Poll::Ready(code) => Step::Return(code),
            Poll::Pending if is_used_up => Step::YieldAndWait,
            Poll::Pending => Step::Wait,
        })
    }

    /// Takes the steps from `step` to the return.
    async fn go_on<T: Send + 'static>(
        self,
        mut caller: Caller<'_, T>,
        mut step: Step,
        function: &'static str,
        call: impl Fn(&mut Wasi, &mut [u8]) -> Result<(), Interrupt> + Send + Sync,
    ) -> Result<i32>
    where
        G: Fn(&mut T) -> &mut Wasi + Send + Sync,
        M: Fn(&mut Caller<'_, T>) -> Option<Memory> + Send + Sync,
    {
        loop {
            match step {
                Step::Return(code) => return Ok(code),
                Step::YieldAndReturn(code) => {
                    call::yield_now().await;
                    return Ok(code);
                }
                Step::YieldAndAttempt => call::yield_now().await,
                Step::YieldAndWait => {
                    call::yield_now().await;
                    step = Step::Wait;
                    continue;
                }
                Step::Wait => {
                    call::ready(function, |cx| (self.get)(caller.data_mut()).poll_ready(cx))
                        .await
                        .map_err(error)?;
                }
            }
            step = self.attempt(&mut caller, function, &call)?;
        }
    }

    #[inline]
    fn charge<T: 'static>(&self, caller: &mut Caller<'_, T>) -> Result<bool>
    where
        G: Fn(&mut T) -> &mut Wasi,
    {
        if !self.is_metered {
            return Ok(false);
        }
        charge(caller, |data| (self.get)(data).meter())
    }

    /// The memory of a call and the context, borrowed at once. Without a memory, the slice is
    /// empty.
    fn split<'a, T: 'static>(&self, caller: &'a mut Caller<'_, T>) -> (&'a mut [u8], &'a mut Wasi)
    where
        G: Fn(&mut T) -> &mut Wasi,
        M: Fn(&mut Caller<'_, T>) -> Option<Memory>,
    {
        match (self.memory)(caller) {
            Some(memory) => {
                let (memory, data) = memory.data_and_store_mut(caller);
                (memory, (self.get)(data))
            }
            None => (&mut [], (self.get)(caller.data_mut())),
        }
    }
}

/// Charges a guest for the work of the host in `meter`, in a store that counts fuel and suspends.
/// Returns whether the slice is used up, so that the guest has to yield.
///
/// For adapters that link functions of their own; those of this module charge for themselves. Call
/// it when a function is called, and again when its work was added to the meter.
///
/// # Errors
///
/// [`wasmtime::Trap::OutOfFuel`]: the guest has less fuel left. The store counts no fuel.
#[inline]
pub fn charge<T: 'static>(
    caller: &mut Caller<'_, T>,
    meter: impl Fn(&mut T) -> &mut WorkMeter,
) -> Result<bool> {
    let fuel = caller.get_fuel()?;
    match meter(caller.data_mut()).charge(fuel) {
        Charge::Later => Ok(false),
        Charge::Set(left) => {
            caller.set_fuel(left)?;
            Ok(false)
        }
        Charge::SetAndYield(left) => {
            caller.set_fuel(left)?;
            Ok(true)
        }
        Charge::OutOfFuel => {
            deduct(caller, meter)?;
            Ok(false)
        }
    }
}

/// As [`charge`], in a store that does not suspend.
///
/// # Errors
///
/// As [`charge`].
pub fn deduct<C: AsContextMut>(
    mut cx: C,
    meter: impl Fn(&mut C::Data) -> &mut WorkMeter,
) -> Result<()> {
    let mut store = cx.as_context_mut();
    let fuel = store.get_fuel()?;
    let meter = meter(store.data_mut());
    let left = meter.deduct(fuel);
    let is_out_of_fuel = meter.owed() > 0;
    store.set_fuel(left)?;
    if is_out_of_fuel {
        return Err(wasmtime::Trap::OutOfFuel.into());
    }
    Ok(())
}

/// What a function returns to the guest when it succeeds.
const SUCCESS: i32 = 0;

/// The future of a call that has succeeded.
struct Succeeded;

impl Future for Succeeded {
    type Output = Result<i32>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<i32>> {
        Poll::Ready(Ok(SUCCESS))
    }
}

impl<T, G, M> fmt::Debug for Link<T, G, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// Passes an exit as an [`Exit`], so that a downcast to that type finds it.
fn error(trap: Trap) -> wasmtime::Error {
    match trap {
        Trap::Exit(exit) => exit.into(),
        trap => trap.into(),
    }
}
