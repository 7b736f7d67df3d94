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
use std::marker::PhantomData;
use std::task::Poll;

use wasmtime::{Caller, Extern, Instance, Linker, Memory, Result, Store};

use crate::call::{self, Trap};
use crate::{Errno, Exit, MODULE, Wasi, preview1};

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

/// Settings of the linked functions: which memory a call uses, and which functions may suspend.
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

    /// Adds the functions. Those that wait block the thread.
    ///
    /// # Errors
    ///
    /// The linker has functions of these names already.
    pub fn add_to_linker(self, linker: &mut Linker<T>) -> Result<()> {
        self.link_immediate(linker)?;
        self.link_blocking(linker, |_| true)
    }

    /// Adds the functions. Those that wait suspend the guest if `suspends` returns true for their
    /// name, and block the thread if not.
    ///
    /// A suspending function costs more per call than a blocking one. If every context that the
    /// linker serves has the same kinds of streams, pass [`Wasi::may_wait`] of one of them:
    /// functions that never wait then block nothing and cost less.
    ///
    /// # Errors
    ///
    /// The linker has functions of these names already.
    pub fn add_to_linker_async(
        self,
        linker: &mut Linker<T>,
        suspends: impl Fn(&str) -> bool,
    ) -> Result<()>
    where
        T: Send,
    {
        self.link_immediate(linker)?;
        self.link_suspending(linker, &suspends)?;
        self.link_blocking(linker, |function| !suspends(function))
    }

    /// Links the functions that never wait.
    fn link_immediate(&self, linker: &mut Linker<T>) -> Result<()> {
        let (memory, get) = (self.memory, self.get);
        macro_rules! link {
            ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ident;)*) => {$(
                link!(@ $result $name($($arg: $ty),*));
            )*};
            (@ errno $name:ident($($arg:ident: $ty:ty),*)) => {
                linker.func_wrap(
                    MODULE,
                    stringify!($name),
                    move |mut caller: Caller<'_, T> $(, $arg: $ty)*| -> Result<i32> {
                        let (memory, ctx) = split(&mut caller, memory, get);
                        let call = || preview1::$name(ctx, memory $(, $arg)*);
                        call::catch(stringify!($name), call).map(Errno::encode).map_err(error)
                    },
                )?;
            };
            (@ never $name:ident($($arg:ident: $ty:ty),*)) => {
                linker.func_wrap(
                    MODULE,
                    stringify!($name),
                    move |mut caller: Caller<'_, T> $(, $arg: $ty)*| -> Result<()> {
                        let (memory, ctx) = split(&mut caller, memory, get);
                        let call = || preview1::$name(ctx, memory $(, $arg)*);
                        Err(error(call::catch(stringify!($name), call).map_or_else(|trap| trap, Trap::Exit)))
                    },
                )?;
            };
            (@ wait $($rest:tt)*) => {};
        }
        crate::for_each_function!(link);
        Ok(())
    }

    /// Links the functions that may wait and that `includes` selects, blocking.
    fn link_blocking(&self, linker: &mut Linker<T>, includes: impl Fn(&str) -> bool) -> Result<()> {
        let (memory, get) = (self.memory, self.get);
        macro_rules! link {
            ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ident;)*) => {$(
                link!(@ $result $name($($arg: $ty),*));
            )*};
            (@ wait $name:ident($($arg:ident: $ty:ty),*)) => { if includes(stringify!($name)) {
                linker.func_wrap(
                    MODULE,
                    stringify!($name),
                    move |mut caller: Caller<'_, T> $(, $arg: $ty)*| -> Result<i32> {
                        let (memory, ctx) = split(&mut caller, memory, get);
                        let call = |ctx: &mut Wasi, memory: &mut [u8]| preview1::$name(ctx, memory $(, $arg)*);
                        call::block(stringify!($name), ctx, memory, call).map_err(error)
                    },
                )?;
            }};
            (@ $other:ident $($rest:tt)*) => {};
        }
        crate::for_each_function!(link);
        Ok(())
    }

    /// Links the functions that may wait and that `includes` selects, suspending.
    fn link_suspending(&self, linker: &mut Linker<T>, includes: impl Fn(&str) -> bool) -> Result<()>
    where
        T: Send,
    {
        let (memory, get) = (self.memory, self.get);
        macro_rules! link {
            ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ident;)*) => {$(
                link!(@ $result $name($($arg: $ty),*));
            )*};
            (@ wait $name:ident($($arg:ident: $ty:ty),*)) => { if includes(stringify!($name)) {
                linker.func_wrap_async(
                    MODULE,
                    stringify!($name),
                    move |mut caller: Caller<'_, T>, ($($arg,)*): ($($ty,)*)| Box::new(async move {
                        loop {
                            let (memory, ctx) = split(&mut caller, memory, get);
                            let call = || preview1::$name(ctx, memory $(, $arg)*);
                            let attempted = call::attempt(stringify!($name), call);
                            if let Poll::Ready(code) = attempted.map_err(error)? {
                                return Ok::<i32, wasmtime::Error>(code);
                            }
                            call::ready(stringify!($name), |cx| get(caller.data_mut()).poll_ready(cx))
                                .await
                                .map_err(error)?;
                        }
                    }),
                )?;
            }};
            (@ $other:ident $($rest:tt)*) => {};
        }
        crate::for_each_function!(link);
        Ok(())
    }
}

impl<T, G, M> fmt::Debug for Link<T, G, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// The memory of a call and the context, borrowed at once. Without a memory, the slice is empty.
fn split<'a, T: 'static>(
    caller: &'a mut Caller<'_, T>,
    memory: impl Fn(&mut Caller<'_, T>) -> Option<Memory>,
    get: impl Fn(&mut T) -> &mut Wasi,
) -> (&'a mut [u8], &'a mut Wasi) {
    match memory(caller) {
        Some(memory) => {
            let (memory, data) = memory.data_and_store_mut(caller);
            (memory, get(data))
        }
        None => (&mut [], get(caller.data_mut())),
    }
}

/// Passes an exit as an [`Exit`], so that a downcast to that type finds it.
fn error(trap: Trap) -> wasmtime::Error {
    match trap {
        Trap::Exit(exit) => exit.into(),
        trap => trap.into(),
    }
}
