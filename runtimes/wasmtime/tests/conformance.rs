//! The suite of every backend, on this one.

mod metered {
    use rangewatch_wasmtime::Wasmtime;

    rangewatch_runtime::conformance_tests!(Wasmtime::new().expect("this machine"));
    rangewatch_runtime::abi_tests!(Wasmtime::new().expect("this machine"));
}
