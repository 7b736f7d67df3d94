//! The textual form of selectors.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::escape::{Escaped, unescape, write_hex};
use crate::Selector;

/// Why a text could not be parsed as a [`Selector`].
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{ParseSelectorError, Selector};
///
/// let no_end: Result<Selector, _> = "range:a".parse();
/// assert!(matches!(no_end, Err(ParseSelectorError::MissingDots { .. })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseSelectorError {
    /// The text begins with none of the forms.
    #[error("`{text}` is not a selector: write key:K, range:A..B, from:A, prefix:P or all")]
    UnknownForm {
        /// The whole text.
        text: String,
    },
    /// A range without `..` between its bounds.
    #[error(
        "`{text}` has no `..`: write range:A..B, or from:A for a range without an end \
         (the other forms are key:K, prefix:P and all)"
    )]
    MissingDots {
        /// The whole text.
        text: String,
    },
    /// A backslash that begins no escape.
    #[error(
        "`{text}` has a lone backslash: write \\xNN for a byte and \\\\ for a backslash \
         (in key:K, range:A..B, from:A or prefix:P)"
    )]
    BadEscape {
        /// The whole text.
        text: String,
    },
}

impl FromStr for Selector {
    type Err = ParseSelectorError;

    fn from_str(text: &str) -> Result<Self, ParseSelectorError> {
        let bytes = |part| {
            unescape(part).map_err(|_| ParseSelectorError::BadEscape {
                text: text.to_owned(),
            })
        };
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            Some(("key", key)) => Ok(Self::Key(bytes(key)?)),
            Some(("from", from)) => Ok(Self::From(bytes(from)?)),
            Some(("prefix", prefix)) => Ok(Self::Prefix(bytes(prefix)?)),
            Some(("range", range)) => match range.split_once("..") {
                Some((from, to)) => Ok(Self::Range {
                    from: bytes(from)?,
                    to: bytes(to)?,
                }),
                None => Err(ParseSelectorError::MissingDots {
                    text: text.to_owned(),
                }),
            },
            _ => Err(ParseSelectorError::UnknownForm {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key:{}", Escaped(key)),
            Self::Range { from, to } => write!(f, "range:{}..{}", DotsEscaped(from), Escaped(to)),
            Self::From(from) => write!(f, "from:{}", Escaped(from)),
            Self::Prefix(prefix) => write!(f, "prefix:{}", Escaped(prefix)),
            Self::All => f.write_str("all"),
        }
    }
}

/// Displays the start of a range. Escapes dots that would be parsed as the separator: a
/// dot before a dot, and a dot at the end.
struct DotsEscaped<'a>(&'a [u8]);

impl fmt::Display for DotsEscaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(dot) = rest.iter().position(|&byte| byte == b'.') {
            Escaped(&rest[..dot]).fmt(f)?;
            match rest.get(dot + 1) {
                None | Some(b'.') => write_hex(f, b".")?,
                Some(_) => f.write_str(".")?,
            }
            rest = &rest[dot + 1..];
        }
        Escaped(rest).fmt(f)
    }
}
