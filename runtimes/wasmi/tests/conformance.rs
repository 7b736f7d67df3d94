//! The suite of every backend, on this one.

mod metered {
    use rangewatch_wasmi::Wasmi;

    rangewatch_runtime::conformance_tests!(Wasmi::new());
    rangewatch_runtime::abi_tests!(Wasmi::new());
}
