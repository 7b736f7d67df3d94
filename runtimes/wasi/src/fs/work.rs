//! The work of a filesystem.

use std::cell::Cell;

thread_local! {
    static WORK: Cell<u64> = const { Cell::new(0) };
}

/// Adds `units` of work to the call of the guest that runs on this thread.
///
/// The context counts a flat cost for each operation of a filesystem and for the bytes that it
/// transfers. A filesystem that does more than that for one operation, such as copying a file,
/// calls this: one unit is one unit of the guest's fuel, and should stand for at most 20 ns.
/// Outside of a call it has no effect.
///
/// # Examples
///
/// ```
/// use rangewatch_wasi::Errno;
/// use rangewatch_wasi::fs::{File, FileType, Metadata, add_work};
///
/// /// A file that is decompressed at each read.
/// struct Compressed;
///
/// impl File for Compressed {
///     fn metadata(&self) -> Result<Metadata, Errno> {
///         Ok(Metadata::new(FileType::RegularFile, 1))
///     }
///     fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
///         add_work(offset + buf.len() as u64); // all bytes before the offset are decompressed
/// #       Ok(0)
///         // ..
///     }
/// }
/// # assert_eq!(Compressed.read_at(&mut [], 0), Ok(0));
/// ```
pub fn add_work(units: u64) {
    WORK.set(WORK.get().saturating_add(units));
}

/// What was added since the last call of this.
pub(crate) fn take_work() -> u64 {
    WORK.take()
}
