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

/// So few bytes are compared one by one.
const FEW: usize = 8;

/// The number of bytes with which both begin. They are known to share the first `n_known`.
#[inline]
pub(super) fn common_prefix(a: &[u8], b: &[u8], n_known: usize) -> usize {
    let len = a.len().min(b.len());
    let mut n_shared = n_known;
    if len - n_known.min(len) < FEW {
        while n_shared < len && a[n_shared] == b[n_shared] {
            n_shared += 1;
        }
        return n_shared;
    }
    while n_shared < len {
        let difference = eight_bytes(a, n_shared) ^ eight_bytes(b, n_shared);
        if difference != 0 {
            return len.min(n_shared + difference.leading_zeros() as usize / 8);
        }
        n_shared += 8;
    }
    len
}
