//! When what a guest emits takes effect.

/// When the flushes of a guest become emits on the bus.
///
/// Watch operations of a guest take effect at once, either way.
///
/// # Examples
///
/// ```
/// use rangewatch_runtime::Emits;
///
/// # use rangewatch_runtime::GuestBuilder;
/// # fn example(builder: GuestBuilder<'_>) -> GuestBuilder<'_> {
/// builder.emits(Emits::Staged) // a call that fails leaves no emit behind
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Emits {
    /// One flush is one emit, at once; in [generation 2](crate::abi::gen2) of the ABI one for each
    /// value that was queued. The default on a bus without history.
    Immediate,
    /// Flushes are staged, and take effect together when the guest's call or callback returns or
    /// exits with code 0. Consecutive flushes of the same value are one emit, however many the
    /// guest needed for its keys. The default on a bus with history.
    ///
    /// A call that traps, fails or exits with another code leaves no emit behind, nor does one
    /// whose emits the bus refuses; its error says how many were dropped. The bytes that may be
    /// staged are bounded by [`Limits::staged_bytes`](crate::Limits::staged_bytes).
    Staged,
}
