//! How a call leaves the interpreter to wait, and comes back.

use std::fmt;
use std::task::Poll;

use rangewatch_runtime::{HostTrap, Val, wasi_attempt, wasi_ready};
use rangewatch_wasi::{Interrupt, Wasi};
use wasmi::errors::HostError;
use wasmi::{Error, Func, Memory, ResumableCall, Store};

use crate::convert::trap;
use crate::linker::memory_and_data;

/// The trap by which a function that has to wait leaves the interpreter, so that it can be awaited
/// outside; the call is resumed with its results.
#[derive(Debug)]
pub(crate) enum Suspend {
    /// An asynchronous host function.
    Function { function: usize, args: Vec<Val> },
    /// A function of WASI that is to be called again.
    Wasi(WasiWait),
}

impl fmt::Display for Suspend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function { .. } => {
                "an asynchronous host function was called where a call cannot be suspended"
            }
            Self::Wasi(_) => {
                "the guest has to wait where a call cannot be suspended: \
                 call it with `rangewatch_wasmi::call_async`"
            }
        })
    }
}

impl HostError for Suspend {}

/// What makes one attempt of a function, its arguments included.
type Attempt = Box<dyn Fn(&mut Wasi, &mut [u8]) -> Result<(), Interrupt> + Send + Sync>;

/// A function of WASI whose last attempt had to wait.
pub(crate) struct WasiWait {
    pub(crate) function: &'static str,
    /// Of the instance that called. A handle: the memory may grow meanwhile.
    pub(crate) memory: Option<Memory>,
    pub(crate) attempt: Attempt,
}

impl WasiWait {
    /// Waits, and tries again, until the function returns to the guest.
    pub(crate) async fn finish<T>(
        &self,
        store: &mut Store<T>,
        get: impl Fn(&mut T) -> &mut Wasi,
    ) -> Result<wasmi::Val, HostTrap> {
        loop {
            wasi_ready(self.function, |cx| get(store.data_mut()).poll_ready(cx)).await?;
            let (memory, data) = memory_and_data(store, self.memory);
            let wasi = get(data);
            if let Poll::Ready(code) = wasi_attempt(self.function, || (self.attempt)(wasi, memory))?
            {
                return Ok(wasmi::Val::I32(code));
            }
        }
    }
}

impl fmt::Debug for WasiWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiWait")
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

/// Calls a function of a guest that waits without holding the thread, in a store of your own whose
/// linker has [`add_wasi_to_linker_async`](crate::add_wasi_to_linker_async).
///
/// `get` finds the context in the data of your store. The engine must translate eagerly: with
/// `CompilationMode::Lazy` a call that was suspended may not be resumable. Fuel that runs out is an
/// error, as in [`Func::call`].
///
/// # Cancel safety
///
/// Dropping the future ends the guest's call where it stands and leaves nothing behind; drop the
/// store too, its state is in the middle of something.
///
/// # Errors
///
/// As [`Func::call`].
pub async fn call_async<T>(
    store: &mut Store<T>,
    func: &Func,
    args: &[wasmi::Val],
    results: &mut [wasmi::Val],
    get: impl Fn(&mut T) -> &mut Wasi,
) -> Result<(), Error> {
    let mut call = match func.call_resumable(&mut *store, args, results) {
        Ok(call) => call,
        Err(error) => {
            // The function is the import itself: there is no frame to resume.
            let Some(Suspend::Wasi(wait)) = error.downcast_ref() else {
                return Err(error);
            };
            let code = wait.finish(store, get).await.map_err(trap)?;
            results.fill(code);
            return Ok(());
        }
    };
    loop {
        call = match call {
            ResumableCall::Finished => return Ok(()),
            ResumableCall::OutOfFuel(_) => return Err(wasmi::TrapCode::OutOfFuel.into()),
            ResumableCall::HostTrap(call) => {
                let Some(Suspend::Wasi(wait)) = call.host_error().downcast_ref() else {
                    return Err(call.into_host_error());
                };
                let code = wait.finish(store, &get).await.map_err(trap)?;
                call.resume(&mut *store, &[code], results)?
            }
        };
    }
}
