//! The setting for `fd_allocate`.

/// What `fd_allocate` does. The default is [`Refuse`](Self::Refuse).
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::{Allocate, Wasi};
///
/// let ctx = Wasi::builder().allocate(Allocate::Extend).build()?;
/// # drop(ctx);
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Allocate {
    /// Fails with [`Errno::Notsup`](crate::Errno::Notsup); programs then write zeros or do without.
    /// Few filesystems can reserve space, and a guest could reserve all of it in one call.
    #[default]
    Refuse,
    /// Calls [`File::allocate`](crate::fs::File::allocate) of the filesystem. A memory filesystem
    /// extends the file without reserving memory; a host directory on Linux reserves the space. A
    /// `Quota` counts it.
    Extend,
}
