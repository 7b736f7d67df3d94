use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Error;

/// The keys that a watch covers, ordered as unsigned bytes.
///
/// `"a".."b"` converts into a half-open range. [`From`](Self::From), [`All`](Self::All) and a
/// prefix without an upper end can be constructed, but this generation of the ABI cannot encode
/// them: [`open`](crate::open) returns [`Error::Unbounded`].
///
/// # Examples
///
/// ```
/// use rangewatch_guest::Selector;
///
/// let pods = Selector::prefix("/registry/pods/");
/// let low = Selector::from("a".."m");
/// assert_eq!(low, Selector::range("a", "m"));
/// # let _ = pods;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selector {
    /// Exactly this key, which may be empty.
    Key(Vec<u8>),
    /// Every key from `from`, inclusive, to `to`, exclusive.
    Range {
        /// The lowest key; empty for the lowest of all keys.
        from: Vec<u8>,
        /// The end, exclusive.
        to: Vec<u8>,
    },
    /// Every key from this one, inclusive, to infinity.
    From(Vec<u8>),
    /// Every key that begins with these bytes.
    Prefix(Vec<u8>),
    /// Every key.
    All,
}

impl Selector {
    /// Exactly `key`, which may be empty.
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        Self::Key(key.as_ref().to_vec())
    }

    /// Every key from `from`, inclusive, to `to`, exclusive.
    pub fn range(from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        Self::Range {
            from: from.as_ref().to_vec(),
            to: to.as_ref().to_vec(),
        }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        Self::Prefix(prefix.as_ref().to_vec())
    }

    /// The two bounds as the ABI encodes them: an empty `to` means exactly the key `from`.
    pub(crate) fn into_bounds(self) -> Result<(Vec<u8>, Vec<u8>), Error> {
        match self {
            Self::Key(key) => Ok((key, Vec::new())),
            Self::Range { from, to } if from < to => Ok((from, to)),
            Self::Range { .. } => Err(Error::EmptyRange),
            Self::Prefix(prefix) => {
                let end = end_of_prefix(&prefix).ok_or(Error::Unbounded)?;
                Ok((prefix, end))
            }
            Self::From(_) | Self::All => Err(Error::Unbounded),
        }
    }
}

impl<K: AsRef<[u8]>> From<Range<K>> for Selector {
    fn from(range: Range<K>) -> Self {
        Self::range(range.start, range.end)
    }
}

/// The lowest key above every key with this prefix, if there is one.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let n_kept = prefix.iter().rposition(|&byte| byte != u8::MAX)? + 1;
    let mut end: Vec<u8> = prefix.iter().copied().take(n_kept).collect();
    *end.last_mut()? += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(selector: impl Into<Selector>) -> Result<(Vec<u8>, Vec<u8>), Error> {
        selector.into().into_bounds()
    }

    #[test]
    fn a_key_has_an_empty_end() {
        assert_eq!(bounds(Selector::key("a")), Ok((b"a".to_vec(), Vec::new())));
        assert_eq!(bounds(Selector::key("")), Ok((Vec::new(), Vec::new())));
    }

    #[test]
    fn a_range_keeps_its_bounds_and_may_begin_at_the_empty_key() {
        assert_eq!(bounds("a".."b"), Ok((b"a".to_vec(), b"b".to_vec())));
        assert_eq!(
            bounds(Selector::range("", [0])),
            Ok((Vec::new(), [0].to_vec()))
        );
    }

    /// The ABI would read equal bounds and an empty end as a single key.
    #[test]
    fn an_equal_or_inverted_range_is_an_error_and_never_a_key() {
        for (from, to) in [("a", "a"), ("b", "a"), ("a", ""), ("", "")] {
            assert_eq!(bounds(from..to), Err(Error::EmptyRange), "{from:?}..{to:?}");
        }
    }

    #[test]
    fn a_prefix_ends_at_its_successor() {
        assert_eq!(
            bounds(Selector::prefix("ab")),
            Ok((b"ab".to_vec(), b"ac".to_vec()))
        );
        assert_eq!(
            bounds(Selector::prefix([1, 0xFF, 0xFF])),
            Ok(([1, 0xFF, 0xFF].to_vec(), [2].to_vec()))
        );
        assert_eq!(
            bounds(Selector::prefix([0xFE])),
            Ok(([0xFE].to_vec(), [0xFF].to_vec()))
        );
    }

    #[test]
    fn what_has_no_upper_end_is_an_error() {
        for selector in [
            Selector::All,
            Selector::From(b"a".to_vec()),
            Selector::prefix(""),
            Selector::prefix([0xFF]),
            Selector::prefix([0xFF, 0xFF]),
        ] {
            assert_eq!(
                bounds(selector.clone()),
                Err(Error::Unbounded),
                "{selector:?}"
            );
        }
    }
}
