//! The wire format of a key list: repeated `u16` big-endian length and bytes.

use smallvec::SmallVec;

use crate::abi::AbiError;
use crate::guest::limits::Limits;

/// The keys of most flushes fit without an allocation.
const N_KEYS_INLINE: usize = 16;

/// The keys in a buffer. They are read in one pass, to the end, before the first is used: a list
/// that is cut short delivers nothing.
#[derive(Debug)]
pub(super) struct Keys<'a>(SmallVec<[&'a [u8]; N_KEYS_INLINE]>);

impl<'a> Keys<'a> {
    pub(super) fn new() -> Self {
        Self(SmallVec::new())
    }

    /// Adds the keys of `buf`, as far as `limits` allow. A method and not a constructor, because a
    /// result of this size would be copied.
    pub(super) fn parse(&mut self, buf: &'a [u8], limits: &Limits) -> Result<(), AbiError> {
        let (max_keys, max_bytes) = (limits.max_flush_keys(), limits.max_key_bytes());
        let mut rest = buf;
        while !rest.is_empty() {
            let n_keys = self.0.len();
            let Some((key, tail)) = split(rest) else {
                return Err(cut_short(n_keys, buf.len() - rest.len()));
            };
            if n_keys == max_keys {
                return Err(AbiError::FlushTooManyKeys { max_keys });
            }
            if key.len() > max_bytes {
                return Err(AbiError::KeyTooLong {
                    bytes: key.len(),
                    max_bytes,
                });
            }
            self.0.push(key);
            rest = tail;
        }
        Ok(())
    }

    /// The keys in the order of the buffer.
    pub(super) fn as_slice(&self) -> &[&'a [u8]] {
        &self.0
    }
}

/// The three keys of `buf`. What follows a fourth one is not read.
pub(super) fn three(buf: &[u8]) -> Result<[&[u8]; 3], AbiError> {
    let mut three = [&[][..]; 3];
    let mut rest = buf;
    for (n_keys, place) in three.iter_mut().enumerate() {
        if rest.is_empty() {
            return Err(AbiError::OpenKeys { n_keys });
        }
        let offset = buf.len() - rest.len();
        (*place, rest) = split(rest).ok_or_else(|| cut_short(n_keys, offset))?;
    }
    match rest {
        [] => Ok(three),
        _ => Err(AbiError::OpenKeys { n_keys: 4 }),
    }
}

#[cold]
fn cut_short(index: usize, offset: usize) -> AbiError {
    AbiError::KeysCutShort { index, offset }
}

fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = rest.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_KEYS: usize = 3 * N_KEYS_INLINE;

    fn parse(buf: &[u8]) -> Result<Vec<&[u8]>, AbiError> {
        let mut keys = Keys::new();
        keys.parse(buf, &Limits::default().flush_keys(MAX_KEYS).key_bytes(3))?;
        Ok(keys.as_slice().to_vec())
    }

    #[test]
    fn a_list_holds_any_number_of_keys_and_empty_ones() {
        assert_eq!(parse(b""), Ok(vec![]));
        assert_eq!(parse(b"\0\0"), Ok(vec![&b""[..]]));
        assert_eq!(
            parse(b"\0\x02ab\0\0\0\x01c"),
            Ok(vec![&b"ab"[..], b"", b"c"])
        );
    }

    #[test]
    fn a_list_that_is_cut_short_says_where() {
        assert_eq!(
            parse(b"\0"),
            Err(AbiError::KeysCutShort {
                index: 0,
                offset: 0
            })
        );
        assert_eq!(
            parse(b"\0\x01a\0\x02b"),
            Err(AbiError::KeysCutShort {
                index: 1,
                offset: 3
            })
        );
        assert_eq!(
            parse(b"\xff\xffa"),
            Err(AbiError::KeysCutShort {
                index: 0,
                offset: 0
            })
        );
    }

    #[test]
    fn open_takes_three_keys_and_no_other_number() {
        assert_eq!(three(b"\0\x01i\0\x01a\0\x01b"), Ok([&b"i"[..], b"a", b"b"]));
        assert_eq!(
            three(b"\0\x01i\0\x01a"),
            Err(AbiError::OpenKeys { n_keys: 2 })
        );
        assert_eq!(
            three(b"\0\0\0\0\0\0\0\0"),
            Err(AbiError::OpenKeys { n_keys: 4 })
        );
    }

    #[test]
    fn a_list_of_more_keys_than_fit_inline_is_complete() {
        let n = MAX_KEYS;
        let mut buf: Vec<u8> = (0..n as u8).flat_map(|i| [0, 1, i]).collect();
        let keys: Vec<_> = (0..n as u8).map(|i| vec![i]).collect();
        assert_eq!(parse(&buf).expect("well formed"), keys);
        buf.extend([0, 0]);
        let long = AbiError::KeyTooLong {
            bytes: 4,
            max_bytes: 3,
        };
        assert_eq!(parse(b"\0\x03abc\0\x04abcd"), Err(long));
        let refused = AbiError::FlushTooManyKeys { max_keys: MAX_KEYS };
        assert_eq!(parse(&buf), Err(refused));
    }
}
