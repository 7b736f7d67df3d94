//! When what a guest emits takes effect.

/// When the flushes of a guest become emits on the bus.
///
/// Watch operations of a guest take effect at once, either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Emits {
    /// One flush is one emit, at once. What guests of the first generation rely on.
    #[default]
    Immediate,
    /// Flushes are gathered, and take effect together when the guest's call or callback returns or exits with code 0;
    /// consecutive ones of the same value are one emit, however many the guest needed for its keys.
    ///
    /// A call that traps, fails or exits with another code leaves no emit behind, nor does one whose emits the bus
    /// refuses; its error says how many were dropped. The bytes that may be gathered are bounded by
    /// [`Limits::staged_bytes`](crate::Limits::staged_bytes).
    Staged,
}
