//! The engines, and guests on them.

use rangewatch_benches::LoopingGuest;
use rangewatch_bus::RangeWatchBus;
use rangewatch_runtime::Runtime;
use rangewatch_wasmi::Wasmi;
use rangewatch_wasmtime::Wasmtime;

pub(crate) const ENGINES: [&str; 2] = ["wasmtime", "wasmi"];

/// Engines that count no fuel, in the order of [`ENGINES`].
pub(crate) fn unmetered() -> [Box<dyn Runtime>; 2] {
    [
        Box::new(Wasmtime::unmetered()),
        Box::new(Wasmi::unmetered()),
    ]
}

/// Engines that count fuel, as they do by default.
pub(crate) fn metered() -> [Box<dyn Runtime>; 2] {
    [Box::new(Wasmtime::new()), Box::new(Wasmi::new())]
}

/// A guest on a bus of its own.
pub(crate) fn guest(runtime: &dyn Runtime) -> (RangeWatchBus, LoopingGuest) {
    let bus = RangeWatchBus::new();
    let guest = LoopingGuest::new(&LoopingGuest::module(runtime), &bus);
    (bus, guest)
}
