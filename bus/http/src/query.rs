//! The query of a watch request.

use std::fmt;

use rangewatch_bus::{ParseSelectorError, Selector, Selectors};
use thiserror::Error;

use crate::percent::{self, BadPercent};

/// What a client asks to watch, from [`QueryParser::parse`].
///
/// # Examples
///
/// ```
/// use rangewatch_bus::Selector;
/// use rangewatch_http::QueryParser;
///
/// let query = QueryParser::default().parse("prefix=order/&range=a..m&key=%FF&since=7")?;
/// let expected = [Selector::prefix("order/"), Selector::range("a", "m"), Selector::key(b"\xff")];
/// assert_eq!(query.selectors().as_slice(), expected);
/// assert_eq!(query.since(), Some(7));
/// # Ok::<(), rangewatch_http::QueryError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchQuery {
    selectors: Selectors,
    since: Option<u64>,
}

impl WatchQuery {
    /// The selectors, at least one, in the order of the query.
    #[must_use]
    pub const fn selectors(&self) -> &Selectors {
        &self.selectors
    }

    /// The selectors, at least one, in the order of the query.
    #[must_use]
    pub fn into_selectors(self) -> Selectors {
        self.selectors
    }

    /// The least value to receive, inclusive.
    #[must_use]
    pub const fn since(&self) -> Option<u64> {
        self.since
    }
}

/// Parses the query of a watch request.
///
/// | parameter | selects |
/// |---|---|
/// | `key=K` | the key K |
/// | `prefix=P` | the keys that begin with P |
/// | `range=A..B` | the keys from A, inclusive, to B, exclusive |
/// | `from=A` | the keys from A, inclusive |
/// | `all` | every key |
/// | `selector=S` | what the [textual form](Selector#textual-form) S selects, for example `key:\xff` |
/// | `since=V` | nothing; the least value to receive, inclusive |
///
/// Each parameter but `since` may repeat; together they select the union. `%NN` stands for the byte
/// with that hexadecimal number and `+` for a space, so that a key need not be UTF-8, and a `+` is
/// written as `%2B`. This is what `URLSearchParams` and `curl --data-urlencode` write. The first
/// `..` of a range separates its bounds before they are decoded: a bound that has `..` in it is
/// written with `%2E`.
///
/// The limits, with their defaults: [64 selectors](Self::DEFAULT_SELECTORS), [8 KiB of
/// query](Self::DEFAULT_BYTES). A parameter that is not in the table is an error, so that a
/// misspelled one is not ignored, unless it was named with [`ignore`](Self::ignore).
///
/// # Examples
///
/// ```
/// use rangewatch_http::{QueryError, QueryParser};
///
/// let parser = QueryParser::default().max_selectors(2).ignore("token");
/// assert!(parser.parse("key=a&key=b&token=secret").is_ok());
/// assert_eq!(parser.parse("key=a&key=b&key=c"), Err(QueryError::TooManySelectors { max: 2 }));
/// assert!(matches!(parser.parse("prefx=a"), Err(QueryError::UnknownParameter { .. })));
/// ```
#[derive(Clone, Debug)]
pub struct QueryParser {
    max_selectors: usize,
    max_bytes: usize,
    ignored: Vec<String>,
}

/// Why a query could not be parsed.
///
/// # Examples
///
/// ```
/// use rangewatch_http::{QueryError, QueryParser};
///
/// let refused = QueryParser::default().parse("since=7").unwrap_err();
/// assert_eq!(refused, QueryError::NoSelector);
/// assert!(refused.to_string().starts_with("nothing to watch: give prefix="));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The query is longer than the limit.
    #[error("the query is longer than {max} bytes: watch fewer selectors, or a prefix of them")]
    TooLong {
        /// The greatest length, in bytes as they are sent.
        max: usize,
    },
    /// More selectors than the limit.
    #[error("more than {max} selectors: watch a prefix or a range of them, or send two requests")]
    TooManySelectors {
        /// The greatest number of selectors.
        max: usize,
    },
    /// No selector.
    #[error("nothing to watch: give prefix=P, range=A..B, key=K, from=A, selector=S or all")]
    NoSelector,
    /// A parameter that has no meaning here.
    #[error(
        "{name:?} is no parameter: give prefix=P, range=A..B, key=K, from=A, selector=S or all, \
         and since=V"
    )]
    UnknownParameter {
        /// The name of the parameter; bytes that are not UTF-8 are replaced.
        name: String,
    },
    /// A percent sign that begins no byte.
    #[error("{name}= has a lone percent sign: write %NN for a byte, and %25 for a percent sign")]
    BadPercent {
        /// The name of the parameter, as it was sent.
        name: String,
    },
    /// A range without `..` between its bounds.
    #[error("range= has no `..`: write range=A..B, or from=A for a range without an end")]
    MissingDots,
    /// A value of `selector` that is no selector.
    #[error("selector=: {0}")]
    Selector(#[from] ParseSelectorError),
    /// A value of `selector` that is not UTF-8.
    #[error("selector= is not UTF-8: write \\xNN for a byte, or use the other parameters")]
    SelectorNotUtf8,
    /// The parameter `all` has a value.
    #[error("all has no value: write all, or prefix=P for the keys that begin with P")]
    AllWithValue,
    /// A value of `since` that is no number.
    #[error("since= is no value: give one number from 0 to 18446744073709551615")]
    BadSince,
    /// `since` is there twice.
    #[error("since= is there twice: give it once, it holds for all selectors")]
    RepeatedSince,
}

impl QueryParser {
    /// The default limit of selectors per request: 64.
    ///
    /// Prevents that one request takes the bus lock and memory of the index for very many ranges.
    pub const DEFAULT_SELECTORS: usize = 64;

    /// The default limit of the query in bytes: 8 KiB.
    ///
    /// Prevents that one request holds very long keys in memory for as long as its stream is open.
    pub const DEFAULT_BYTES: usize = 8 << 10;

    /// Limits the selectors of a request.
    #[must_use]
    pub const fn max_selectors(mut self, max: usize) -> Self {
        self.max_selectors = max;
        self
    }

    /// Limits the query in bytes, as they are sent.
    #[must_use]
    pub const fn max_bytes(mut self, max: usize) -> Self {
        self.max_bytes = max;
        self
    }

    /// Ignores the parameter `name`: one that the service itself reads, in its authorization for
    /// example.
    #[must_use]
    pub fn ignore(mut self, name: impl Into<String>) -> Self {
        self.ignored.push(name.into());
        self
    }

    /// Parses the part of a URL between `?` and `#`. That a range holds a key is not checked:
    /// subscribing to an empty one fails.
    ///
    /// # Errors
    ///
    /// A [`QueryError`], whose message is for the client.
    pub fn parse(&self, query: &str) -> Result<WatchQuery, QueryError> {
        if query.len() > self.max_bytes {
            return Err(QueryError::TooLong {
                max: self.max_bytes,
            });
        }
        let mut selectors = Vec::new();
        let mut since = None;
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part
                .split_once('=')
                .map_or((part, None), |(name, value)| (name, Some(value)));
            match Parameter::parse(name, value)? {
                Parameter::Selector(_) if selectors.len() == self.max_selectors => {
                    return Err(QueryError::TooManySelectors {
                        max: self.max_selectors,
                    });
                }
                Parameter::Selector(selector) => selectors.push(selector),
                Parameter::Since(_) if since.is_some() => return Err(QueryError::RepeatedSince),
                Parameter::Since(value) => since = Some(value),
                Parameter::Unknown(name) if self.ignored.contains(&name) => {}
                Parameter::Unknown(name) => return Err(QueryError::UnknownParameter { name }),
            }
        }
        if selectors.is_empty() {
            return Err(QueryError::NoSelector);
        }
        Ok(WatchQuery {
            selectors: selectors.into(),
            since,
        })
    }
}

impl Default for QueryParser {
    fn default() -> Self {
        Self {
            max_selectors: Self::DEFAULT_SELECTORS,
            max_bytes: Self::DEFAULT_BYTES,
            ignored: Vec::new(),
        }
    }
}

/// One parameter of a query.
enum Parameter {
    Selector(Selector),
    Since(u64),
    Unknown(String),
}

impl Parameter {
    fn parse(name: &str, value: Option<&str>) -> Result<Self, QueryError> {
        let decode = |text| {
            percent::decode(text).map_err(|BadPercent| QueryError::BadPercent {
                name: name.to_owned(),
            })
        };
        let value = value.unwrap_or_default();
        Ok(Self::Selector(match name {
            "key" => Selector::key(decode(value)?),
            "prefix" => Selector::prefix(decode(value)?),
            "from" => Selector::from_key(decode(value)?),
            "range" => {
                let (from, to) = value.split_once("..").ok_or(QueryError::MissingDots)?;
                Selector::range(decode(from)?, decode(to)?)
            }
            "all" if value.is_empty() => Selector::all(),
            "all" => return Err(QueryError::AllWithValue),
            "selector" => {
                let text = String::from_utf8(decode(value)?);
                text.map_err(|_| QueryError::SelectorNotUtf8)?.parse()?
            }
            "since" => {
                return parse_value(value)
                    .map(Self::Since)
                    .ok_or(QueryError::BadSince);
            }
            _ => {
                let name = String::from_utf8_lossy(&decode(name)?).into_owned();
                return Ok(Self::Unknown(name));
            }
        }))
    }
}

/// A value as it is written in `since=` and in `Last-Event-ID`: decimal digits only.
pub(crate) fn parse_value(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for WatchQuery {
    /// Writes a query that [`QueryParser::parse`] parses to an equal one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, selector) in self.selectors.iter().enumerate() {
            let separator = if i == 0 { "" } else { "&" };
            let text = selector.to_string();
            write!(f, "{separator}selector={}", percent::Encoded(&text))?;
        }
        match self.since {
            Some(since) => write!(f, "&since={since}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(query: &str) -> Result<WatchQuery, QueryError> {
        QueryParser::default().parse(query)
    }

    fn selectors(query: &str) -> Vec<Selector> {
        parse(query).unwrap().into_selectors().as_slice().to_vec()
    }

    #[test]
    fn each_parameter_has_its_selector() {
        for (query, selector) in [
            ("key=a", Selector::key("a")),
            ("key=", Selector::key("")),
            ("prefix=a%2Fb", Selector::prefix("a/b")),
            ("from=%00%ff", Selector::from_key(b"\x00\xff")),
            ("range=a..m", Selector::range("a", "m")),
            ("range=a%2E%2E..b", Selector::range("a..", "b")),
            ("range=a...b", Selector::range("a", ".b")),
            ("all", Selector::all()),
            ("all=", Selector::all()),
            ("selector=key:%5Cxff", Selector::key(b"\xff")),
            ("selector=range:a..m", Selector::range("a", "m")),
            ("key=a+b%2Bc", Selector::key("a b+c")),
            ("key=%C3%A4", Selector::key("ä")),
            ("key=a\\xff", Selector::key("a\\xff")),
            ("key=a=b", Selector::key("a=b")),
            ("&&key=a&", Selector::key("a")),
        ] {
            assert_eq!(selectors(query), [selector], "{query}");
        }
    }

    #[test]
    fn since_is_one_number() {
        assert_eq!(parse("all&since=0").unwrap().since(), Some(0));
        let greatest = parse("since=18446744073709551615&all").unwrap();
        assert_eq!(greatest.since(), Some(u64::MAX));
        for bad in ["", "-1", "+1", "%31", "18446744073709551616", "1e3", " 1"] {
            let refused = parse(&format!("all&since={bad}"));
            assert_eq!(refused, Err(QueryError::BadSince), "{bad}");
        }
        let refused = parse("all&since=1&since=1");
        assert_eq!(refused, Err(QueryError::RepeatedSince));
    }

    #[test]
    fn bad_queries_are_refused_with_their_reason() {
        let name = || "key".to_owned();
        let unknown = |name: &str| QueryError::UnknownParameter {
            name: name.to_owned(),
        };
        for (query, error) in [
            ("", QueryError::NoSelector),
            ("since=1", QueryError::NoSelector),
            ("range=a-m", QueryError::MissingDots),
            ("range=a%2E%2Em", QueryError::MissingDots),
            ("all=1", QueryError::AllWithValue),
            ("key=%", QueryError::BadPercent { name: name() }),
            ("key=%f", QueryError::BadPercent { name: name() }),
            ("key=%+1", QueryError::BadPercent { name: name() }),
            ("key=%é", QueryError::BadPercent { name: name() }),
            ("selector=%ff", QueryError::SelectorNotUtf8),
            ("Prefix=a", unknown("Prefix")),
            ("%0a=a", unknown("\n")),
            ("=", unknown("")),
        ] {
            assert_eq!(parse(query), Err(error), "{query}");
        }
        assert!(matches!(parse("selector=a"), Err(QueryError::Selector(_))));
    }

    #[test]
    fn limits_hold_at_their_edge() {
        let parser = QueryParser::default().max_bytes(11).max_selectors(2);
        assert!(parser.parse("key=a&key=b").is_ok());
        let too_long = parser.parse("key=a&key=bc");
        assert_eq!(too_long, Err(QueryError::TooLong { max: 11 }));
        let too_many = parser.parse("all&all&all");
        assert_eq!(too_many, Err(QueryError::TooManySelectors { max: 2 }));
    }

    proptest! {
        #[test]
        fn no_text_panics(query in ".{0,200}") {
            let _ = parse(&query);
        }

        #[test]
        fn no_query_of_our_words_panics(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "key", "prefix", "range", "from", "all", "selector", "since", "=", "&", "..",
                    "%", "%f", "%ff", "+", "key:", "\\", "\\x", "é", "7", "",
                ]),
                0..20,
            ),
        ) {
            let query = words.concat();
            if let Ok(parsed) = parse(&query) {
                prop_assert!(!parsed.selectors().is_empty());
                prop_assert_eq!(parse(&parsed.to_string()), Ok(parsed));
            }
        }

        #[test]
        fn every_byte_can_be_written(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let hex: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(selectors(&format!("key={hex}")), [Selector::key(&bytes)]);
            let range = selectors(&format!("range={hex}..{hex}%00"));
            let end = [&bytes[..], &[0]].concat();
            prop_assert_eq!(range, [Selector::range(&bytes, end)]);
        }
    }
}
