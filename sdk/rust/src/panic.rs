use core::fmt::Display;

/// Leaves the text of a panic for the host, which adds it to the error of the call that trapped.
///
/// With the feature `std`, which is on by default, a panic hook does this. A guest without `std`
/// calls it from its panic handler. The text is cut to [`ERR_BYTES`](crate::abi::ERR_BYTES); the
/// function allocates nothing and does not trap by itself. Off wasm it does nothing.
///
/// # Examples
///
/// ```
/// // With the attribute `#[panic_handler]`, in a guest without `std`:
/// fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
///     rangewatch_guest::report_panic(info);
///     trap()
/// }
/// # fn trap() -> ! { std::process::abort() }
/// ```
pub fn report_panic(info: impl Display) {
    #[cfg(target_arch = "wasm32")]
    crate::wasm::write_panic(format_args!("{info}"));
    #[cfg(not(target_arch = "wasm32"))]
    let _ = info;
}

/// Adds [`report_panic`] to the panic hook.
#[cfg(all(target_arch = "wasm32", feature = "std"))]
pub(crate) fn report_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(std::boxed::Box::new(move |info| {
        report_panic(info);
        hook(info);
    }));
}
