//! The context of one guest instance.

pub(crate) mod builder;
pub(crate) mod random;
pub(crate) mod string_table;

use std::fmt;
use std::io;
use std::time::Duration;

use crate::context::string_table::StringTable;
use crate::descriptor::Descriptors;
use crate::fs::device_numbers::Devices;
use crate::time::clock::GuestClock;
use crate::wait::Wait;
use crate::{Allocate, DotEntries, Raise, Random, Timer, WasiBuilder};

/// Everything that WASI gives to one guest instance, and the state that the guest has built up in it.
///
/// A context belongs to one instance: descriptors that the guest closes stay closed. It is made with [`Wasi::builder`]
/// and handed, with the memory of the guest, to the functions of [`preview1`](crate::preview1).
pub struct Wasi {
    pub(crate) args: StringTable,
    pub(crate) env: StringTable,
    pub(crate) descriptors: Descriptors,
    pub(crate) clock: GuestClock,
    pub(crate) random: Box<dyn Random>,
    pub(crate) timer: Box<dyn Timer>,
    pub(crate) max_sleep: Duration,
    pub(crate) raise: Raise,
    pub(crate) allocate: Allocate,
    pub(crate) streams: StreamWaits,
    /// What the call waits for that has to be made again.
    pub(crate) wait: Option<Box<Wait>>,
    pub(crate) devices: Devices,
    pub(crate) dot_entries: DotEntries,
}

/// Which streams and sockets can have to be waited for. They are given once, whatever descriptor they have later; what is
/// accepted comes from a listener that was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamWaits {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) accepts: bool,
    pub(crate) receives_and_sends: bool,
}

impl Wasi {
    /// Starts a context with the defaults that [`WasiBuilder`] lists.
    pub fn builder() -> WasiBuilder {
        WasiBuilder::default()
    }

    /// Flushes the output streams that the guest has not closed.
    ///
    /// `proc_exit` does so itself. Call it when a guest has ended in any other way: by returning from its entry point, or
    /// by a trap.
    ///
    /// # Errors
    ///
    /// The first error of a writer; the other stream is flushed all the same.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut result = Ok(());
        for descriptor in self.descriptors.iter_mut() {
            let flushed = descriptor.flush();
            result = result.and(flushed);
        }
        result
    }
}

/// Shows how many arguments and variables there are, but not what they say: environments carry secrets into logs.
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
