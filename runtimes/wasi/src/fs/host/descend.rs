//! Several directories at once, where the kernel can be trusted with it.

use std::sync::atomic::{AtomicBool, Ordering};

use cap_std::fs::Dir as CapDir;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno as Host;

use super::errno::errno;
use crate::Errno;

/// Whether the kernel has no `openat2`, or a filter keeps it from this process; asking again would be in vain.
static UNAVAILABLE: AtomicBool = AtomicBool::new(false);

/// The directory to which `names` lead, if none of them is a symbolic link. The kernel then says of each name what it would
/// say of it alone.
pub(super) fn descend(dir: &CapDir, names: &str) -> Result<Option<CapDir>, Errno> {
    if UNAVAILABLE.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(dir, names, flags, Mode::empty(), resolve) {
        Ok(fd) => Ok(Some(CapDir::from_std_file(fd.into()))),
        Err(exact @ (Host::NOENT | Host::NOTDIR)) => Err(errno(exact.into())),
        Err(Host::NOSYS) => {
            UNAVAILABLE.store(true, Ordering::Relaxed);
            Ok(None)
        }
        // A link is in the way, or something that a walk has better words for.
        Err(_) => Ok(None),
    }
}
