//! Opens several path components in one system call, `openat2`.

use std::sync::atomic::{AtomicBool, Ordering};

use cap_std::fs::Dir as CapDir;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno as Host;

use super::errno::errno;
use crate::Errno;

/// The state that a [`HostDir`](super::HostDir) shares with the directories opened through it.
#[derive(Debug, Default)]
pub(super) struct Descent {
    /// Set when the kernel has no `openat2` or a seccomp filter hides it, so that it is not called
    /// again. Not a flag of the process: a filter may apply to one thread only.
    is_unavailable: AtomicBool,
    /// The number of successful calls, for tests that must not pass without the fast path.
    #[cfg(feature = "conformance")]
    n_descents: std::sync::atomic::AtomicU64,
}

impl Descent {
    /// Opens the directory at `names`, which are joined by `/`, below `dir`.
    ///
    /// Returns `None` if one of them is a symbolic link or if `openat2` cannot tell: the caller
    /// then opens one component at a time. The errors are those that a component would have by
    /// itself.
    pub(super) fn open(&self, dir: &CapDir, names: &str) -> Result<Option<CapDir>, Errno> {
        if self.is_unavailable.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(dir, names, flags, Mode::empty(), resolve) {
            Ok(fd) => {
                #[cfg(feature = "conformance")]
                self.n_descents.fetch_add(1, Ordering::Relaxed);
                Ok(Some(CapDir::from_std_file(fd.into())))
            }
            Err(exact @ (Host::NOENT | Host::NOTDIR)) => Err(errno(exact.into())),
            Err(Host::NOSYS) => {
                self.is_unavailable.store(true, Ordering::Relaxed);
                Ok(None)
            }
            // A symbolic link, or an error that opening one component at a time reports better.
            Err(_) => Ok(None),
        }
    }

    /// The number of directories that were opened this way.
    #[cfg(feature = "conformance")]
    pub(super) fn n_descents(&self) -> u64 {
        self.n_descents.load(Ordering::Relaxed)
    }
}
