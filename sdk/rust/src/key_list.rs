use alloc::vec::Vec;
use core::mem;

use crate::abi::{BUF_BYTES, KEY_PREFIX_BYTES, MAX_KEY_BYTES};
use crate::error::Error;

/// Encoded keys, split into lists that each fit into the buffer.
///
/// The keys are encoded here and not in the shared buffer, because a later key may be too long, and
/// because the iterator that yields them may emit, too.
#[derive(Debug, Default)]
pub(crate) struct KeyLists {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
}

impl KeyLists {
    pub(crate) fn push(&mut self, key: &[u8]) -> Result<(), Error> {
        Error::check_length(key.len(), MAX_KEY_BYTES)?;
        if self.last.len() + KEY_PREFIX_BYTES + key.len() > BUF_BYTES {
            self.full.push(mem::take(&mut self.last));
        }
        push_key(&mut self.last, key);
        Ok(())
    }

    /// The lists in order; none of them is empty.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.full
            .iter()
            .chain((!self.last.is_empty()).then_some(&self.last))
            .map(Vec::as_slice)
    }
}

/// Appends one key of at most [`MAX_KEY_BYTES`] to a list.
pub(crate) fn push_key(list: &mut Vec<u8>, key: &[u8]) {
    debug_assert!(key.len() <= MAX_KEY_BYTES, "callers check the length");
    // The cast keeps every length that callers let through.
    list.extend_from_slice(&(key.len() as u16).to_be_bytes());
    list.extend_from_slice(key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn lists_of(keys: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lists = KeyLists::default();
        for key in keys {
            lists.push(key).unwrap();
        }
        lists.iter().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn no_keys_are_no_list() {
        assert!(lists_of(&[]).is_empty());
    }

    #[test]
    fn a_key_is_its_length_in_big_endian_and_its_bytes() {
        assert_eq!(
            lists_of(&[b"ab", b"", &[7; 258]]),
            [[&b"\0\x02ab\0\0\x01\x02"[..], &[7; 258]].concat()]
        );
    }

    #[test]
    fn an_empty_key_alone_is_a_list() {
        assert_eq!(lists_of(&[b""]), [b"\0\0"]);
    }

    #[test]
    fn a_list_is_filled_to_the_last_byte_before_the_next_begins() {
        let half = vec![1; BUF_BYTES / 2 - KEY_PREFIX_BYTES];
        let lists = lists_of(&[&half, &half, b"", &half]);
        assert_eq!(
            lists.iter().map(Vec::len).collect::<Vec<_>>(),
            [BUF_BYTES, 2 + BUF_BYTES / 2]
        );
        assert_eq!(lists[1][..2], [0, 0]);
    }

    #[test]
    fn the_longest_key_fills_a_list_and_one_byte_more_is_refused() {
        assert_eq!(lists_of(&[&[1; MAX_KEY_BYTES]])[0].len(), BUF_BYTES);
        let error = KeyLists::default()
            .push(&[1; MAX_KEY_BYTES + 1])
            .unwrap_err();
        assert_eq!(
            error,
            Error::TooLong {
                n_bytes: 16_383,
                max_bytes: 16_382
            }
        );
    }
}
