//! The wire format of a key list: repeated `u16` big-endian length and bytes.

use crate::abi::AbiError;

/// The keys in a buffer, checked to the end before the first is used: a list that is cut short
/// delivers nothing.
#[derive(Clone, Debug)]
pub(in crate::abi) struct Keys<'a> {
    rest: &'a [u8],
}

impl<'a> Keys<'a> {
    pub(in crate::abi) fn parse(buf: &'a [u8]) -> Result<Self, AbiError> {
        let mut rest = buf;
        let mut index = 0;
        while !rest.is_empty() {
            let offset = buf.len() - rest.len();
            let (_, tail) = split(rest).ok_or(AbiError::KeysCutShort { index, offset })?;
            rest = tail;
            index += 1;
        }
        Ok(Self { rest: buf })
    }

    pub(in crate::abi) fn three(self) -> Result<[&'a [u8]; 3], AbiError> {
        let keys: Vec<_> = self.take(4).collect();
        <[_; 3]>::try_from(keys).map_err(|keys| AbiError::OpenKeys { n_keys: keys.len() })
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (key, rest) = split(self.rest)?;
        self.rest = rest;
        Some(key)
    }
}

fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = rest.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(buf: &[u8]) -> Result<Vec<&[u8]>, AbiError> {
        Keys::parse(buf).map(Iterator::collect)
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
        let keys = Keys::parse(b"\0\x01i\0\x01a\0\x01b").expect("well formed");
        assert_eq!(keys.three(), Ok([&b"i"[..], b"a", b"b"]));
        let keys = Keys::parse(b"\0\x01i\0\x01a").expect("well formed");
        assert_eq!(keys.three(), Err(AbiError::OpenKeys { n_keys: 2 }));
        let keys = Keys::parse(b"\0\0\0\0\0\0\0\0").expect("well formed");
        assert_eq!(keys.three(), Err(AbiError::OpenKeys { n_keys: 4 }));
    }
}
