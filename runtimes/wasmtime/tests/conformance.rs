//! The suite of every backend, on this one.

mod metered {
    use rangewatch_wasmtime::Wasmtime;

    rangewatch_runtime::conformance_tests!(Wasmtime::new());
    rangewatch_runtime::abi_tests!(Wasmtime::new());
}

/// Without fuel all is the same but that nothing ends or slices a loop.
mod unmetered {
    use rangewatch_wasmtime::Wasmtime;

    rangewatch_runtime::abi_tests!(Wasmtime::unmetered());
    rangewatch_runtime::conformance_test!(Wasmtime::unmetered();
        a_fuel_limit_needs_a_runtime_that_counts_fuel
        an_async_host_function_suspends_the_guest
        a_call_dropped_while_suspended_ends_the_instance
        traps_have_a_kind
        nans_are_canonical
    );
}
