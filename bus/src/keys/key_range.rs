//! A non-empty half-open range of keys.

use std::fmt;
use std::ops;

use smallvec::SmallVec;
use thiserror::Error;
use triomphe::ThinArc;

use super::Escaped;
use crate::Selector;

/// A non-empty half-open range of keys, `[start, end)`, in unsigned lexicographic byte order.
///
/// Every valid [`Selector`] is converted to a range, and an
/// [`IntervalIndex`](crate::index::IntervalIndex) stores ranges. A range holds at least one key by
/// construction. An unbounded end lies above every key and is not represented by a key.
///
/// Two ranges of the same bounds are equal, whichever constructor made them: `prefix("job/")` is
/// `new("job/", "job0")`. Clones share their bytes.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{KeyRange, Selector};
///
/// let range = KeyRange::new("a", "m")?;
/// assert!(range.contains(b"a") && range.contains(b"lzz") && !range.contains(b"m"));
/// assert!(KeyRange::new("m", "a").is_err());
///
/// let key = KeyRange::key("leader");
/// assert!(key.contains(b"leader") && !key.contains(b"leader/1"));
///
/// let prefix = KeyRange::prefix("job/");
/// assert_eq!((prefix.start(), prefix.end()), (&b"job/"[..], Some(&b"job0"[..])));
/// assert_eq!(KeyRange::prefix([0xff, 0xff]).end(), None);
///
/// let all = KeyRange::unbounded("");
/// assert!(all.contains(b"") && all.contains(&[0xff]));
///
/// let selected = KeyRange::try_from(&Selector::from("a".."m"))?;
/// assert_eq!(selected, range);
/// # Ok::<(), rangewatch_bus::EmptyRangeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    /// The length of the start. Then the start, followed by nothing if there is no end, by one zero
    /// byte if the range is a single key, so that all bytes are its successor, else by the end.
    /// Equal ranges have equal bytes.
    shared: ThinArc<usize, u8>,
}

/// Bounds of so many bytes together are joined on the stack.
const N_INLINE: usize = 256;

/// A bound of a range, as `rangemap` takes it. The order of the variants is the order of the
/// bounds: unbounded is above every key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    Key(Box<[u8]>),
    Unbounded,
}

/// The range holds no key: its end does not lie above its start.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::KeyRange;
///
/// let swapped = KeyRange::new("z", "a").unwrap_err();
/// assert_eq!(KeyRange::new(swapped.to, swapped.from)?.start(), b"a");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", EmptyRangeMessage { from, to })]
#[non_exhaustive]
pub struct EmptyRangeError {
    /// The start of the range, which would be inclusive.
    pub from: Box<[u8]>,
    /// The end of the range, which would be exclusive.
    pub to: Box<[u8]>,
}

/// The error message for a range that holds no key.
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
            Ok(Self::from_start_and_end(start, Some(end)))
        } else {
            Err(EmptyRangeError {
                from: start.into(),
                to: end.into(),
            })
        }
    }

    /// The keys from `start`, inclusive, without an end. All keys, if `start` is empty.
    #[must_use]
    pub fn unbounded(start: impl AsRef<[u8]>) -> Self {
        Self::from_start_and_end(start.as_ref(), None)
    }

    /// The one key `key`. The end of the range is the successor of the key: the key with a zero
    /// byte appended.
    #[must_use]
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        let key = key.as_ref();
        Self::from_parts(key, &[0])
    }

    /// The keys that begin with `prefix`. A prefix of only 0xFF bytes, or of no bytes, has
    /// no end.
    #[must_use]
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        let prefix = prefix.as_ref();
        Self::from_start_and_end(prefix, prefix_end(prefix).as_deref())
    }

    /// The range in its normal form. The end, if there is one, lies above the start.
    fn from_start_and_end(start: &[u8], end: Option<&[u8]>) -> Self {
        match end {
            Some(end) if end.strip_suffix(&[0]) == Some(start) => Self::key(start),
            Some(end) => Self::from_parts(start, end),
            None => Self::from_parts(start, &[]),
        }
    }

    fn from_parts(start: &[u8], end: &[u8]) -> Self {
        let mut bytes = SmallVec::<[u8; N_INLINE]>::new();
        bytes.extend_from_slice(start);
        bytes.extend_from_slice(end);
        Self {
            shared: ThinArc::from_header_and_slice(start.len(), &bytes),
        }
    }

    /// The bytes of the start, and what follows them.
    fn parts(&self) -> (&[u8], &[u8]) {
        self.shared.slice.split_at(self.shared.header.header)
    }

    /// The first key of the range.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        self.parts().0
    }

    /// The first key above the range, or `None` if the range has no end.
    #[must_use]
    pub fn end(&self) -> Option<&[u8]> {
        match self.parts().1 {
            [] => None,
            [0] => Some(&self.shared.slice),
            end => Some(end),
        }
    }

    /// The bounds as ordered maps and stores take them: `map.range::<[u8], _>(range.bounds())` of a
    /// `BTreeMap<Vec<u8>, _>`. A map with `String` keys takes no bounds of bytes, and the end of a
    /// range need not be UTF-8: filter such a map with [`contains`](Self::contains).
    #[must_use]
    pub fn bounds(&self) -> (ops::Bound<&[u8]>, ops::Bound<&[u8]>) {
        let end = self
            .end()
            .map_or(ops::Bound::Unbounded, ops::Bound::Excluded);
        (ops::Bound::Included(self.start()), end)
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start() <= key && self.ends_above(key)
    }

    /// Whether the end of the range lies above `key`.
    pub(crate) fn ends_above(&self, key: &[u8]) -> bool {
        self.end().is_none_or(|end| key < end)
    }

    /// Whether the end of the range lies above that of `other`.
    pub(crate) fn ends_above_end(&self, other: &Self) -> bool {
        other.end().is_some_and(|end| self.ends_above(end))
    }

    /// Whether the range is one key.
    pub(crate) fn is_single_key(&self) -> bool {
        self.parts().1 == [0]
    }

    /// Whether the range holds the keys that begin with its start, and no others. The range of a
    /// prefix of only 0xFF bytes is taken for what it equals, all keys from there on, unless the
    /// prefix is empty.
    pub(crate) fn is_prefix(&self) -> bool {
        let Some(end) = self.end() else {
            return self.start().is_empty();
        };
        let start = self.start();
        let last = start.iter().rposition(|&byte| byte != 0xff);
        last.is_some_and(|last| {
            end.len() == last + 1 && end[..last] == start[..last] && end[last] == start[last] + 1
        })
    }

    pub(crate) fn to_bounds(&self) -> ops::Range<Bound> {
        let end = self
            .end()
            .map_or(Bound::Unbounded, |end| Bound::Key(end.into()));
        Bound::Key(self.start().into())..end
    }

    /// The inverse of `to_bounds`. `None` if the start is unbounded, which no range of keys is.
    pub(crate) fn from_bounds(bounds: &ops::Range<Bound>) -> Option<Self> {
        let Bound::Key(start) = &bounds.start else {
            return None;
        };
        let end = match &bounds.end {
            Bound::Key(end) => Some(&**end),
            Bound::Unbounded => None,
        };
        Some(Self::from_start_and_end(start, end))
    }
}

impl TryFrom<&Selector> for KeyRange {
    type Error = EmptyRangeError;

    fn try_from(selector: &Selector) -> Result<Self, EmptyRangeError> {
        match selector {
            Selector::Key(key) => Ok(Self::key(key)),
            Selector::Range { from, to } => Self::new(from, to),
            Selector::From(from) => Ok(Self::unbounded(from)),
            Selector::Prefix(prefix) => Ok(Self::prefix(prefix)),
            Selector::All => Ok(Self::unbounded([])),
        }
    }
}

impl From<&KeyRange> for Selector {
    /// The simplest selector of the same keys: `all`, `from`, `key` or `prefix` if possible, else
    /// `range`.
    fn from(range: &KeyRange) -> Self {
        let start = range.start();
        match range.end() {
            None if start.is_empty() => Self::All,
            None => Self::From(start.into()),
            Some(_) if range.is_single_key() => Self::Key(start.into()),
            Some(_) if range.is_prefix() => Self::Prefix(start.into()),
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
            Some(end) => write!(f, "KeyRange[{}, {})", Escaped(self.start()), Escaped(end)),
            None => write!(f, "KeyRange[{}, unbounded)", Escaped(self.start())),
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
