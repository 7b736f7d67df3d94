//! What happens when a guest asks for room in a file.

/// What `fd_allocate` does. The default is [`Refuse`](Self::Refuse).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Allocate {
    /// It is [`Errno::Notsup`](crate::Errno::Notsup), on which programs write zeros or do without. Few filesystems can
    /// promise room, and a guest could take all that there is with one call.
    #[default]
    Refuse,
    /// It is up to the filesystem: see [`File::allocate`](crate::fs::File::allocate). A file is extended in memory, where room
    /// is not set aside, and on a Linux host, where it is. A [`Quota`](crate::fs::Quota) counts it.
    Extend,
}
