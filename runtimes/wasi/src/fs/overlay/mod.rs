//! A filesystem that can be changed over one that cannot.

mod copy_up;
mod dir;
mod entries;
mod file;
mod merged;
mod state;

use std::fmt;
use std::sync::Arc;

use self::dir::OverlayDir;
use super::{Dir, IntoDir};

/// Two directories seen as one: a lower one that is never changed, and an upper one that has whatever differs from it.
/// Clones are the same filesystem.
///
/// - What is under a name is what the upper directory has, and otherwise what the lower one has. A directory that both have
///   is one directory with the entries of both.
/// - A lower file is copied to the upper directory when it is written for the first time, not when it is opened, and who has
///   it open goes on with the copy. So a guest that opens everything for writing costs nothing until it writes.
/// - What is removed is remembered here and does not show through. It comes back with the next `Overlay` over the same
///   directories; the directories themselves have no trace of it.
///
/// A file keeps its number when it is copied, unless it has several names below: these become different files, as each is
/// copied by itself. The lower directory must not change while it is used here. Copying takes as long as the file is large
/// and keeps other guests waiting; a [`Quota`](super::Quota) around the upper directory is a bound on it.
///
/// DIFFERENCE: a directory that the lower filesystem has is not renamed, which is [`Errno::Xdev`](crate::Errno::Xdev): its
/// contents would have to be copied. Linux does the same, and programs that move directories copy them then.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Wasi;
/// use rangewatch_wasi::fs::{Access, MemoryFs, Overlay};
///
/// let image = MemoryFs::from([("etc/app.toml", "verbose = true\n")]);
/// let changes = MemoryFs::new();
/// let files = Overlay::new(&image, &changes);
/// let ctx = Wasi::builder().preopen("/", files, Access::ReadWrite).build()?;
///
/// // The guest runs; what it changed is in `changes`, and `image` is as it was.
/// # Ok::<(), rangewatch_wasi::WasiBuildError>(())
/// ```
#[derive(Clone)]
pub struct Overlay {
    root: Arc<OverlayDir>,
}

impl Overlay {
    /// How many removed names of the lower directory are remembered: 2^18. One more is
    /// [`Errno::Nospc`](crate::Errno::Nospc), and nothing is removed.
    ///
    /// Without a limit, a guest could take all memory of its host by removing the entries of a directory without end.
    pub const MAX_REMOVED: usize = 1 << 18;

    /// How many bytes the paths of the removed names may have together: 64 MiB. More is also
    /// [`Errno::Nospc`](crate::Errno::Nospc).
    ///
    /// Without it, the names in a directory that is nested deeply enough are remembered as gigabytes.
    pub const MAX_REMOVED_BYTES: usize = 64 << 20;

    /// `upper` over `lower`. What is in either is seen at once.
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
