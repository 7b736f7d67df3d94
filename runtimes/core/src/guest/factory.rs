//! Many equal guests.

use std::fmt;
use std::sync::Arc;

use crate::guest::Guest;
use crate::guest::inner::{Config, Inner};
use crate::guest::instantiate_error::InstantiateError;
use crate::guest::session::Session;

/// Makes many equal guests of a module whose imports are linked once. From
/// [`GuestBuilder::factory`](crate::GuestBuilder::factory).
///
/// Cloning is cheap and gives the same factory. Each guest has instances, watch ids and limits of
/// its own; what they share is the module, the bus, and the host functions and hooks of the
/// builder.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
/// use rangewatch_runtime::{Guest, Module};
///
/// # type Result = std::result::Result<(), Box<dyn std::error::Error>>;
/// # async fn example(module: &Module, bus: &RangeWatchBus) -> Result {
/// let factory = Guest::builder(module, bus).factory()?;
/// let mut guests = Vec::new();
/// for _ in 0..100 {
///     guests.push(factory.instantiate().await?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GuestFactory {
    config: Arc<Config>,
}

impl GuestFactory {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
        }
    }

    /// Makes a guest, as [`GuestBuilder::instantiate`](crate::GuestBuilder::instantiate) does.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future makes no guest; emits of the start section stay on the bus.
    ///
    /// # Errors
    ///
    /// [`InstantiateError`]; [`SharedWasi`](InstantiateError::SharedWasi) for the second guest of a
    /// builder with [`wasi`](crate::GuestBuilder::wasi) and not
    /// [`wasi_with`](crate::GuestBuilder::wasi_with).
    pub async fn instantiate(&self) -> Result<Guest, InstantiateError> {
        let inner = Arc::new(Inner::new(self.config.clone()));
        // The first instance is made here, with a pool too: a guest that cannot start fails here
        // and not at a call.
        Session::make_first(&inner).await?;
        Ok(Guest::new(inner))
    }
}

impl fmt::Debug for GuestFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestFactory").finish_non_exhaustive()
    }
}
