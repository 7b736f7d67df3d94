//! A writable layer over a filesystem that does not change.

mod copy_up;
mod dir;
mod entries;
mod file;
mod lookup;
mod merged;
mod state;

use std::fmt;
use std::sync::Arc;

use self::dir::OverlayDir;
use super::{Dir, IntoDir};

/// A union of two directories: a lower layer that never changes, and an upper layer that stores all
/// changes. Clones share one filesystem.
///
/// - A name is looked up in the upper layer first, and then in the lower one. Directories that
///   exist in both are merged.
/// - A lower file is copied up at its first change, not when it is opened for writing; open
///   descriptors then use the copy. A guest that opens every file for writing costs nothing until
///   it writes.
/// - Removed names (whiteouts) are stored in memory, and hide the lower layer. They are lost
///   when the last clone of the `Overlay` is dropped: neither directory stores them.
///
/// A file keeps its inode number on copy-up, unless it has several hard links: copy-up makes these
/// separate files. The lower layer must not change while it is in use. Copy-up takes time in
/// proportion to the size of the file and blocks other guests of the overlay; a
/// [`Quota`](super::Quota) around the upper layer bounds it.
///
/// DIFFERENCE: renaming a directory of the lower layer fails with
/// [`Errno::Xdev`](crate::Errno::Xdev), because it would have to be copied with its contents. Linux
/// does the same, and programs that move directories then copy them.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, MemoryFs, Overlay};
///
/// let image = MemoryFs::with_files([("etc/app.toml", "verbose = true\n")])?;
/// let changes = MemoryFs::new();
/// let files = Overlay::new(&image, &changes);
/// let ctx = Wasi::builder().preopen("/", files, Access::ReadWrite).build()?;
///
/// // After the guest has run, `changes` has its changes, and `image` is unchanged.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Overlay {
    root: Arc<OverlayDir>,
}

impl Overlay {
    /// The maximum number of whiteouts: 2^18. Removing one more lower name fails with
    /// [`Errno::Nospc`](crate::Errno::Nospc).
    ///
    /// Without this limit, a guest could exhaust the memory of its host by removing the entries of
    /// an infinite directory.
    pub const MAX_REMOVED: usize = 1 << 18;

    /// The maximum sum of the path lengths of all whiteouts: 64 MiB. A removal beyond
    /// it fails with [`Errno::Nospc`](crate::Errno::Nospc).
    ///
    /// Without this limit, the whiteouts in a deeply nested directory take gigabytes.
    pub const MAX_REMOVED_BYTES: usize = 64 << 20;

    /// Makes an overlay of `upper` over `lower`. Existing entries of both are visible.
    #[must_use]
    pub fn new(lower: impl IntoDir, upper: impl IntoDir) -> Self {
        Self {
            root: Arc::new(OverlayDir::root(lower.into_dir(), upper.into_dir())),
        }
    }
}

impl IntoDir for Overlay {
    fn into_dir(self) -> Arc<dyn Dir> {
        self.root
    }
}

impl IntoDir for &Overlay {
    fn into_dir(self) -> Arc<dyn Dir> {
        Arc::clone(&self.root) as Arc<dyn Dir>
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").finish_non_exhaustive()
    }
}
