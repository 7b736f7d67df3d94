//! A non-empty half-open range of keys.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::Selector;
use crate::escape::Escaped;

/// A non-empty half-open range of keys, `[start, end)`, in unsigned lexicographic byte order.
///
/// This is what every valid [`Selector`] comes down to, and what an
/// [`IntervalIndex`](crate::index::IntervalIndex) stores. It holds at least one key by
/// construction. An unbounded end is a bound of its own, above every key; no key stands for it.
///
/// Clones share their bytes.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{KeyRange, Selector};
///
/// let range = KeyRange::new("a", "m")?;
/// assert!(range.contains(b"a") && range.contains(b"lzz") && !range.contains(b"m"));
///
/// let prefix = KeyRange::try_from(&Selector::prefix("job/"))?;
/// assert_eq!((prefix.start(), prefix.end()), (&b"job/"[..], Some(&b"job0"[..])));
///
/// let all_ff = KeyRange::try_from(&Selector::prefix([0xff, 0xff]))?;
/// assert_eq!(all_ff.end(), None);
///
/// assert!(KeyRange::new("m", "a").is_err());
/// # Ok::<(), rangewatch_bus::EmptyRangeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    start: Arc<[u8]>,
    end: End,
}

/// A bound of a range. The order of the variants is the order of the bounds: unbounded is above
/// every key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum End {
    Key(Arc<[u8]>),
    Unbounded,
}

/// The range holds no key: its end does not lie above its start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", EmptyRangeMessage { from, to })]
#[non_exhaustive]
pub struct EmptyRangeError {
    /// The start of the range, which would be inclusive.
    pub from: Box<[u8]>,
    /// The end of the range, which would be exclusive.
    pub to: Box<[u8]>,
}

/// What the errors say about a range that holds no key.
pub(crate) struct EmptyRangeMessage<'a> {
    pub(crate) from: &'a [u8],
    pub(crate) to: &'a [u8],
}

impl fmt::Display for EmptyRangeMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the range [{}, {}) holds no key: give an end above the start, \
             or select one key with `key`, or leave the end open to have everything from the start",
            Escaped(self.from),
            Escaped(self.to)
        )
    }
}

impl KeyRange {
    /// The keys from `start`, inclusive, to `end`, exclusive.
    ///
    /// # Errors
    ///
    /// [`EmptyRangeError`] if `end` is equal to `start` or below it.
    pub fn new(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Result<Self, EmptyRangeError> {
        let (start, end) = (start.as_ref(), end.as_ref());
        if start < end {
            Ok(Self {
                start: start.into(),
                end: End::Key(end.into()),
            })
        } else {
            Err(EmptyRangeError {
                from: start.into(),
                to: end.into(),
            })
        }
    }

    /// The keys from `start`, inclusive, without an end.
    #[must_use]
    pub fn unbounded(start: impl AsRef<[u8]>) -> Self {
        Self {
            start: start.as_ref().into(),
            end: End::Unbounded,
        }
    }

    /// The one key `key`: its successor, the end of the range, is the key with a zero byte
    /// appended.
    fn single(key: &[u8]) -> Self {
        Self {
            start: key.into(),
            end: End::Key(successor(key).into()),
        }
    }

    /// The keys that begin with `prefix`. A prefix of nothing but 0xFF bytes, or of no bytes, has
    /// no end.
    fn prefix(prefix: &[u8]) -> Self {
        let end = prefix_end(prefix).map_or(End::Unbounded, |end| End::Key(end.into()));
        Self {
            start: prefix.into(),
            end,
        }
    }

    /// The first key of the range.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The first key above the range, or `None` if the range has no end.
    #[must_use]
    pub fn end(&self) -> Option<&[u8]> {
        match &self.end {
            End::Key(end) => Some(end),
            End::Unbounded => None,
        }
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && self.end.is_above(key)
    }

    pub(crate) const fn end_bound(&self) -> &End {
        &self.end
    }

    pub(crate) fn into_bounds(self) -> std::ops::Range<End> {
        End::Key(self.start)..self.end
    }

    /// The inverse of `into_bounds`. `None` if the start is unbounded, which no range of keys is.
    pub(crate) fn from_bounds(bounds: std::ops::Range<End>) -> Option<Self> {
        match bounds.start {
            End::Key(start) => Some(Self {
                start,
                end: bounds.end,
            }),
            End::Unbounded => None,
        }
    }
}

impl End {
    /// Whether `key` lies below this bound.
    pub(crate) fn is_above(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(end) => *key < **end,
            Self::Unbounded => true,
        }
    }
}

impl TryFrom<&Selector> for KeyRange {
    type Error = EmptyRangeError;

    fn try_from(selector: &Selector) -> Result<Self, EmptyRangeError> {
        match selector {
            Selector::Key(key) => Ok(Self::single(key)),
            Selector::Range { from, to } => Self::new(from, to),
            Selector::From(from) => Ok(Self::unbounded(from)),
            Selector::Prefix(prefix) => Ok(Self::prefix(prefix)),
            Selector::All => Ok(Self::unbounded([])),
        }
    }
}

impl From<&KeyRange> for Selector {
    /// The selector that says the same most plainly: `all`, `from`, `key` or `prefix` if one of
    /// them does, else `range`.
    fn from(range: &KeyRange) -> Self {
        let start = range.start();
        match range.end() {
            None if start.is_empty() => Self::All,
            None => Self::From(start.into()),
            Some(end) if end.strip_suffix(&[0]) == Some(start) => Self::Key(start.into()),
            Some(end) if prefix_end(start).as_deref() == Some(end) => Self::Prefix(start.into()),
            Some(end) => Self::Range {
                from: start.into(),
                to: end.into(),
            },
        }
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end() {
            Some(end) => write!(f, "KeyRange[{}, {})", Escaped(&self.start), Escaped(end)),
            None => write!(f, "KeyRange[{}, unbounded)", Escaped(&self.start)),
        }
    }
}

/// The least key above `key`.
pub(crate) fn successor(key: &[u8]) -> Vec<u8> {
    let mut successor = Vec::with_capacity(key.len() + 1);
    successor.extend_from_slice(key);
    successor.push(0);
    successor
}

/// The least key above every key that begins with `prefix`, if there is one.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
