//! The type of a standard stream, as the guest sees it.

/// The file type that a standard stream reports to the guest, independent of the host's stream.
///
/// A libc derives `isatty` from it, and a program whether to color its output or to flush each
/// line.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{SharedBuffer, Stdout, StreamKind, Wasi};
///
/// // A captured stream that looks like a terminal.
/// let stdout = Stdout::from(SharedBuffer::new()).seen_as(StreamKind::Terminal);
/// let ctx = Wasi::builder().stdout(stdout).build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamKind {
    /// A character device: `isatty` is true.
    Terminal,
    /// An unknown type, such as a pipe: `isatty` is false.
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
