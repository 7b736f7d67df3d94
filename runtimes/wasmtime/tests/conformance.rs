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

/// With exceptions and tail calls, as far as the engine has them.
mod extended {
    use rangewatch_runtime::Profile;
    use rangewatch_wasmtime::Wasmtime;

    fn runtime() -> Wasmtime {
        let builder = Wasmtime::builder().profile(Profile::Extended);
        builder.build().expect("the engine supports this machine")
    }

    rangewatch_runtime::extended_tests!(runtime());
    rangewatch_runtime::conformance_test!(runtime();
        modules_outside_of_the_profile_are_refused
        traps_have_a_kind
        nans_are_canonical
        missing_imports_are_named
    );
}

/// On an engine that exists already.
mod with_engine {
    rangewatch_runtime::conformance_tests!(super::engine_of_the_embedder());
    rangewatch_runtime::abi_tests!(super::engine_of_the_embedder());
}

fn engine_of_the_embedder() -> rangewatch_wasmtime::Wasmtime {
    use rangewatch_wasmtime::wasmtime::{Config, Engine};
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .cranelift_nan_canonicalization(true)
        .memory_reservation(1 << 20);
    let engine = Engine::new(&config).expect("wasmtime supports this machine");
    rangewatch_wasmtime::Wasmtime::with_engine(engine).expect("suited")
}
