//! What the flushes of both generations share.

use rangewatch_bus::EmitError;

use crate::abi::AbiError;
use crate::guest::limits::Limits;

/// Checks the size of a flush.
pub(super) fn check_bytes(bytes: usize, limits: &Limits) -> Result<(), AbiError> {
    let max_bytes = limits.max_flush_bytes();
    if bytes > max_bytes {
        return Err(AbiError::FlushTooLarge { bytes, max_bytes });
    }
    Ok(())
}

/// Why the bus refused an emit. A value that is refused because it is the last one may come from a
/// guest that needs several flushes for one emit.
pub(super) fn refused(error: EmitError) -> AbiError {
    match error {
        EmitError::NotIncreasing { value, head } if value == head => AbiError::EmitNotStaged(error),
        error => AbiError::Emit(error),
    }
}
