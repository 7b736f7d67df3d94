//! Commands that need nothing but WASI.

use std::sync::Arc;

use parking_lot::Mutex;
use rangewatch_bus::RangeWatchBus;
use rangewatch_wasi::{Exit, Wasi};

use crate::engine::load_error::LoadError;
use crate::engine::runtime::Runtime;
use crate::guest::Guest;
use crate::guest::call_error::CallError;
use crate::guest::flush_error::FlushError;
use crate::guest::instantiate_error::InstantiateError;

/// Why a command did not run to its exit. [`ErrorChain`](crate::ErrorChain) displays it with its
/// sources.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{RunError, Runtime, run_command};
/// use rangewatch_wasi::Wasi;
///
/// # async fn example(runtime: &dyn Runtime, wasm: &[u8], wasi: Wasi) {
/// match run_command(runtime, wasm, wasi).await {
///     Ok(exit) => println!("exited with code {}", exit.code()),
///     Err(RunError::Load(error)) => eprintln!("not a program: {error}"),
///     Err(error) => eprintln!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The bytes are no module that the runtime can load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The module did not become a guest.
    #[error(transparent)]
    Instantiate(#[from] InstantiateError),
    /// The program did not exit.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The program exited, but some of its output could not be flushed.
    #[error("the program exited with code {}, but its output is not complete", .exit.code())]
    Flush {
        /// What the program exited with.
        exit: Exit,
        /// The error of the writer.
        source: FlushError,
    },
}

/// Loads a WASI command, runs it to its exit and returns that. The command has a bus of its
/// own: to receive what it emits, make a [`Guest`].
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future ends the program before its exit.
///
/// # Errors
///
/// [`RunError`]. An exit code other than 0 is not an error.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::{Runtime, run_command};
/// use rangewatch_wasi::{SharedBuffer, Wasi};
/// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
/// # async fn example(runtime: &dyn Runtime, wasm: &[u8]) -> Result {
/// let out = SharedBuffer::new();
/// let wasi = Wasi::builder()
///     .args(["hello.wasm"])
///     .stdin("alice\nbob\n")
///     .stdout(out.clone())
///     .build()?;
/// let exit = run_command(runtime, wasm, wasi).await?;
/// println!("exit code {}, output {}", exit.code(), out.to_string_lossy());
/// # Ok(())
/// # }
/// ```
pub async fn run_command<R: Runtime + ?Sized>(
    runtime: &R,
    wasm: &[u8],
    wasi: Wasi,
) -> Result<Exit, RunError> {
    let module = runtime.load(wasm).await?;
    let lost = Arc::<Mutex<Option<FlushError>>>::default();
    let first_lost = lost.clone();
    let guest = Guest::builder(&module, &RangeWatchBus::new())
        .wasi(wasi)
        .on_flush_error(move |error| {
            first_lost.lock().get_or_insert(error);
        })
        .instantiate()
        .await?;
    let exit = guest.run().await?;
    match lost.lock().take() {
        None => Ok(exit),
        Some(source) => Err(RunError::Flush { exit, source }),
    }
}
