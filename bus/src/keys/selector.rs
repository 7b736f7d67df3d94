//! Selectors.

use std::fmt;
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use super::key_range::successor;

/// A set of keys to watch.
///
/// Keys are byte strings, compared as unsigned bytes, lexicographically: a key is below every
/// longer key that begins with it, and the empty key is the least. Ranges are half-open. Ranges
/// without an end have their own selectors, [`From`](Self::From) and [`All`](Self::All).
///
/// A selector is not checked when it is made: subscribing to a [`Range`](Self::Range) that holds no
/// key fails.
///
/// Range expressions over bytes convert into selectors, and a subscription
/// accepts them directly: `"a".."m"`, `"a"..="m"`, `b"a".to_vec()..`, `.."m"`, `..="m"`, `..`. An
/// inclusive end becomes the exclusive end directly above it, the key with a zero byte
/// appended: `"a"..="m"` selects `m` and not `ma`.
///
/// # Textual form
///
/// `Display` and `FromStr` use this form, also for command lines:
///
/// | form | selects |
/// |---|---|
/// | `key:K` | the key K |
/// | `range:A..B` | the keys from A, inclusive, to B, exclusive; the first `..` separates them |
/// | `from:A` | the keys from A, inclusive |
/// | `prefix:P` | the keys that begin with P |
/// | `all` | every key |
///
/// In all of them `\xNN` stands for the byte with that hexadecimal number and `\\` for a backslash.
/// `FromStr` parses the output of `Display` to an equal selector, for all bytes.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::Selector;
///
/// let pods = Selector::prefix("/registry/pods/");
/// assert!(pods.matches(b"/registry/pods/web-1"));
/// assert!(!pods.matches(b"/registry/nodes/n1"));
/// assert_eq!(pods.to_string(), "prefix:/registry/pods/");
///
/// let range = Selector::from("a".."m");
/// assert_eq!(range, "range:a..m".parse()?);
/// assert!(range.matches(b"a") && !range.matches(b"m"));
/// # Ok::<(), rangewatch_bus::ParseSelectorError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Selector {
    /// Exactly this key.
    Key(Box<[u8]>),
    /// The keys of `[from, to)`.
    Range {
        /// The first key of the range.
        from: Box<[u8]>,
        /// The first key above the range.
        to: Box<[u8]>,
    },
    /// This key and every key above it.
    From(Box<[u8]>),
    /// Every key that begins with these bytes, also if they are all 0xFF. An empty prefix selects
    /// every key.
    Prefix(Box<[u8]>),
    /// Every key, the empty one included.
    All,
}

impl Selector {
    /// Selects exactly `key`.
    #[must_use]
    pub fn key(key: impl AsRef<[u8]>) -> Self {
        Self::Key(key.as_ref().into())
    }

    /// Selects the keys from `from`, inclusive, to `to`, exclusive.
    ///
    /// If `to` is not above `from`, the range holds no key, and subscribing to it fails.
    #[must_use]
    pub fn range(from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        Self::Range {
            from: from.as_ref().into(),
            to: to.as_ref().into(),
        }
    }

    /// Selects `from` and every key above it.
    #[must_use]
    pub fn from_key(from: impl AsRef<[u8]>) -> Self {
        Self::From(from.as_ref().into())
    }

    /// Selects every key that begins with `prefix`.
    #[must_use]
    pub fn prefix(prefix: impl AsRef<[u8]>) -> Self {
        Self::Prefix(prefix.as_ref().into())
    }

    /// Selects every key.
    #[must_use]
    pub const fn all() -> Self {
        Self::All
    }

    /// Whether `key` is selected. A range that holds no key selects none.
    #[must_use]
    pub fn matches(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(only) => **only == *key,
            Self::Range { from, to } => **from <= *key && *key < **to,
            Self::From(from) => **from <= *key,
            Self::Prefix(prefix) => key.starts_with(prefix),
            Self::All => true,
        }
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({self})")
    }
}

impl From<&Self> for Selector {
    fn from(selector: &Self) -> Self {
        selector.clone()
    }
}

impl<K: AsRef<[u8]>> From<Range<K>> for Selector {
    fn from(range: Range<K>) -> Self {
        Self::range(range.start, range.end)
    }
}

impl<K: AsRef<[u8]>> From<RangeFrom<K>> for Selector {
    fn from(range: RangeFrom<K>) -> Self {
        Self::from_key(range.start)
    }
}

impl<K: AsRef<[u8]>> From<RangeTo<K>> for Selector {
    fn from(range: RangeTo<K>) -> Self {
        Self::range([], range.end)
    }
}

impl<K: AsRef<[u8]>> From<RangeInclusive<K>> for Selector {
    fn from(range: RangeInclusive<K>) -> Self {
        Self::range(range.start(), successor(range.end().as_ref()))
    }
}

impl<K: AsRef<[u8]>> From<RangeToInclusive<K>> for Selector {
    fn from(range: RangeToInclusive<K>) -> Self {
        Self::range([], successor(range.end.as_ref()))
    }
}

impl From<RangeFull> for Selector {
    fn from(_: RangeFull) -> Self {
        Self::All
    }
}
