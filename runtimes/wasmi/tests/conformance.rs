//! The suite of every backend, on this one.

mod metered {
    use rangewatch_wasmi::Wasmi;

    rangewatch_runtime::conformance_tests!(Wasmi::new());
    rangewatch_runtime::abi_tests!(Wasmi::new());
}

/// Without fuel all is the same but that nothing ends or slices a loop.
mod unmetered {
    use rangewatch_wasmi::Wasmi;

    rangewatch_runtime::abi_tests!(Wasmi::unmetered());
    rangewatch_runtime::conformance_test!(Wasmi::unmetered();
        a_fuel_limit_needs_a_runtime_that_counts_fuel
        an_async_host_function_suspends_the_guest
        a_call_dropped_while_suspended_ends_the_instance
        traps_have_a_kind
        nans_are_canonical
    );
}
