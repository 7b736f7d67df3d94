//! Byte strings read as words of eight bytes.

/// The eight bytes of `key` from `start` on as a number that orders like them, with zeros for what
/// is missing.
#[inline]
pub(super) fn eight_bytes(key: &[u8], start: usize) -> u64 {
    let Some(rest) = key.get(start..) else {
        return 0;
    };
    if let Some(eight) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*eight);
    }
    match key.last_chunk::<8>() {
        // The bytes before `start` are shifted out.
        Some(last) if !rest.is_empty() => u64::from_be_bytes(*last) << (8 * (8 - rest.len())),
        _ => {
            let mut eight = [0; 8];
            eight[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(eight)
        }
    }
}

/// The number of bytes with which both begin. They are known to share the first `n_known`.
#[inline]
pub(super) fn common_prefix(a: &[u8], b: &[u8], n_known: usize) -> usize {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let mut n_shared = n_known.min(len);
    while let (Some(eight), Some(others)) = (eight_from(a, n_shared), eight_from(b, n_shared)) {
        if eight != others {
            return n_shared + n_equal(eight, others);
        }
        n_shared += 8;
    }
    // Fewer than eight bytes are left: the last eight, of which the first are known to be equal.
    if n_shared < len
        && let (Some(eight), Some(others)) = (a.last_chunk(), b.last_chunk())
    {
        let (eight, others) = (u64::from_le_bytes(*eight), u64::from_le_bytes(*others));
        return len - 8 + n_equal(eight, others);
    }
    while n_shared < len && a[n_shared] == b[n_shared] {
        n_shared += 1;
    }
    n_shared
}

/// Eight bytes, the first in the lowest bits.
#[inline]
fn eight_from(key: &[u8], start: usize) -> Option<u64> {
    let eight = key.get(start..)?.first_chunk()?;
    Some(u64::from_le_bytes(*eight))
}

/// The number of bytes of equal value in front of the first that differs: 8 if there is none.
#[inline]
fn n_equal(eight: u64, others: u64) -> usize {
    (eight ^ others).trailing_zeros() as usize / 8
}
