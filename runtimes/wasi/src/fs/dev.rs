//! Device numbers of filesystems that do not belong to the host's operating system.

use std::sync::atomic::{AtomicU64, Ordering};

/// A new device number. The high bit distinguishes it from device numbers of the host.
///
/// The number depends on what the process created before, so no guest sees it: a context maps it to
/// a number of the guest.
pub(super) fn next_dev() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
