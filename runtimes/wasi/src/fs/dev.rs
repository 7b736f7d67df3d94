//! The numbers of filesystems that are not the host's.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number for one more filesystem. The high bit keeps them apart from the devices of the host.
///
/// It depends on what the process has made before, and no guest sees it: a context numbers what its guest meets.
pub(super) fn next_dev() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
