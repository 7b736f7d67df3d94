//! The setting for `proc_raise`.

/// What `proc_raise` does with a valid signal number. The default is [`Refuse`](Self::Refuse).
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{SignalPolicy, Wasi};
///
/// let ctx = Wasi::builder().signal_policy(SignalPolicy::Default).build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignalPolicy {
    /// Fails with [`Errno::Notsup`](crate::Errno::Notsup). A libc then ends the guest in another
    /// way.
    #[default]
    Refuse,
    /// Runs the default action of POSIX for a process without handlers. `ABRT`, `TERM` and most
    /// others end the guest with [`Interrupt::Signal`](crate::Interrupt::Signal), which is a trap
    /// and not an exit. Signals whose default action is to ignore, stop or continue have no effect.
    Default,
}
