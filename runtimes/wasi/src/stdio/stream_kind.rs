//! What a guest takes a standard stream for.

/// What a standard stream looks like to the guest, whatever is behind it.
///
/// A libc concludes `isatty` from it, and a program that it should color its output or write line by line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamKind {
    /// A character device.
    Terminal,
    /// Something unknown, such as a pipe.
    Pipe,
}

impl StreamKind {
    pub(crate) const fn of(is_terminal: bool) -> Self {
        if is_terminal {
            Self::Terminal
        } else {
            Self::Pipe
        }
    }
}
