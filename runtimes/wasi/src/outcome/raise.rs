//! What a guest's signals do.

/// What `proc_raise` does with a signal that WASI knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Raise {
    /// Answers [`Errno::Notsup`](crate::Errno::Notsup): there are no signals. A libc then ends the guest in another way.
    #[default]
    Refuse,
    /// What POSIX does to a process that has made no arrangements: `ABRT`, `TERM` and most others end the guest with
    /// [`Interrupt::Raise`](crate::Interrupt::Raise), which is a trap and not an exit; those that would be ignored, or
    /// would stop or continue a process, do nothing.
    Default,
}
