//! File attributes in the memory of a guest, and the flags for setting times.

use crate::fs::{Metadata, SetTime, SetTimes};
use crate::{Errno, memory};

/// Source: WASI preview1 witx, `filestat`: 64 bytes.
pub(super) const BYTES: u32 = 64;

/// The slice for the attributes at `stat_out`.
pub(super) fn slice(memory: &mut [u8], stat_out: i32) -> Result<&mut [u8], Errno> {
    memory::slice_mut(memory, stat_out as u32, BYTES)
}

pub(super) fn write(stat: &mut [u8], dev: u64, metadata: &Metadata) {
    let fields = [
        dev,
        metadata.ino,
        u64::from(metadata.file_type as u8),
        metadata.n_links,
        metadata.size_bytes,
        metadata.accessed_ns,
        metadata.modified_ns,
        metadata.changed_ns,
    ];
    // The type is one byte, followed by seven bytes of padding.
    for (target, field) in stat.chunks_exact_mut(8).zip(fields) {
        target.copy_from_slice(&field.to_le_bytes());
    }
}

/// Decodes which times the guest sets, and to which values.
///
/// Source: WASI preview1 witx, `fstflags`.
pub(super) fn set_times(atim: i64, mtim: i64, fst_flags: i32) -> Result<SetTimes, Errno> {
    const ATIM: i32 = 1 << 0;
    const MTIM: i32 = 1 << 2;
    const KNOWN: i32 = 0b1111;
    if fst_flags & !KNOWN != 0 {
        return Err(Errno::Inval);
    }
    let one = |set: i32, time: i64| {
        let now = set << 1;
        match (fst_flags & set != 0, fst_flags & now != 0) {
            (true, true) => Err(Errno::Inval),
            (true, false) => Ok(Some(SetTime::At(time as u64))),
            (false, true) => Ok(Some(SetTime::Now)),
            (false, false) => Ok(None),
        }
    };
    Ok(SetTimes {
        accessed: one(ATIM, atim)?,
        modified: one(MTIM, mtim)?,
    })
}
