//! The context of one guest instance.

pub(crate) mod builder;
pub(crate) mod random;
pub(crate) mod string_table;

use std::fmt;
use std::io;
use std::time::Duration;

use crate::context::string_table::StringTable;
use crate::costs::Work;
use crate::descriptor::Descriptors;
use crate::fs::device_numbers::DeviceNumbers;
use crate::time::clock::GuestClock;
use crate::wait::Wait;
use crate::{Allocate, DotEntries, Random, SignalPolicy, Timer, WasiBuilder, WorkMeter};

/// The WASI context of one guest instance: the resources that the host granted, and the state of
/// the guest's descriptors.
///
/// A context belongs to one instance: descriptors that the guest closes stay closed. The functions
/// of [`preview1`](crate::preview1) take it together with the guest's memory.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{SharedBuffer, Wasi};
///
/// let out = SharedBuffer::new();
/// let mut ctx = Wasi::builder().args(["hello.wasm"]).stdout(out.clone()).build()?;
/// // Run a guest with `ctx`, then flush what it has printed.
/// ctx.flush()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Wasi {
    pub(crate) args: StringTable,
    pub(crate) env: StringTable,
    pub(crate) descriptors: Descriptors,
    pub(crate) clock: GuestClock,
    pub(crate) random: Box<dyn Random>,
    pub(crate) timer: Box<dyn Timer>,
    pub(crate) max_sleep: Duration,
    pub(crate) signal_policy: SignalPolicy,
    pub(crate) allocate: Allocate,
    /// The wait of the call that has to be retried.
    pub(crate) wait: Option<Box<Wait>>,
    pub(crate) device_numbers: DeviceNumbers,
    pub(crate) dot_entries: DotEntries,
    /// The work that the meter does not have yet.
    pub(crate) work: Work,
    meter: WorkMeter,
}

impl Wasi {
    /// Starts a builder with the defaults that [`WasiBuilder`] lists.
    pub fn builder() -> WasiBuilder {
        WasiBuilder::default()
    }

    /// The work that the functions did for the guest, which an adapter deducts from its fuel: what
    /// each costs is in [`preview1`](crate::preview1#costs).
    ///
    /// Call this after each attempt of a function, on the same thread: the work of the filesystems
    /// is counted per thread.
    pub fn meter(&mut self) -> &mut WorkMeter {
        self.meter.add(self.work.take());
        &mut self.meter
    }

    /// Flushes the output streams that are still open.
    ///
    /// `proc_exit` flushes, too. Call this when a guest ends in another way: by returning from its
    /// entry point, or by a trap.
    ///
    /// # Errors
    ///
    /// The first error of a writer. The other stream is flushed even then.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for descriptor in self.descriptors.iter_mut() {
            let flushed = descriptor.flush();
            result = result.and(flushed);
        }
        result
    }
}

/// Shows only the number of arguments and variables: they may be secret, and debug output ends up
/// in logs.
impl fmt::Debug for Wasi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wasi")
            .field("n_args", &self.args.n_strings())
            .field("n_env", &self.env.n_strings())
            .field("descriptors", &self.descriptors)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
