//! The id of an event, after which a client resumes.

use std::fmt;

use axum::http::{HeaderMap, HeaderName};
use thiserror::Error;

use crate::query::parse_value;

/// Written as `7` in epoch 0, as `3-7` in another one, with `start` in place of a value if there is
/// none.
#[derive(Clone, Copy)]
pub(crate) struct Id {
    pub(crate) epoch: u64,
    /// The value after which a client resumes, `None` if that is the first.
    pub(crate) value: Option<u64>,
}

/// In place of the value before all others.
const START: &str = "start";

/// What a client that reconnects resumes with, from [`resume_since`]: both are for a subscription.
///
/// # Examples
///
/// ```
/// use axum::http::{HeaderMap, HeaderValue};
/// use rangewatch_bus::{History, RangeWatchBus, SubscribeError};
/// use rangewatch_http::{Resume, resume_since};
///
/// let bus = RangeWatchBus::builder().history(History::events(100)).epoch(3).build()?;
/// let id = HeaderValue::from_static("2-7");
/// let headers = HeaderMap::from_iter([("last-event-id".parse()?, id)]);
/// let resume = resume_since(&headers)?;
/// let orders = bus
///     .subscribe("order/".."order0")
///     .since(resume.map(Resume::since))
///     .epoch(resume.map(Resume::epoch));
/// // The client receives `event: compacted`.
/// assert!(matches!(orders.events(256), Err(SubscribeError::Compacted { epoch: 3, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    since: u64,
    epoch: u64,
}

/// A `Last-Event-ID` that no stream of this crate has sent. As a response it is 400.
///
/// # Examples
///
/// ```
/// use axum::http::{HeaderMap, HeaderValue};
/// use rangewatch_http::{LastEventIdError, resume_since};
///
/// let headers = HeaderMap::from_iter([("last-event-id".parse()?, HeaderValue::from_static("x"))]);
/// assert_eq!(resume_since(&headers), Err(LastEventIdError::default()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Error)]
#[error("Last-Event-ID is no id of this stream: send the id of an event, or leave it out")]
#[non_exhaustive]
pub struct LastEventIdError;

/// Where a client that reconnects resumes, by the header `Last-Event-ID`; `None` without one. It
/// wins over a value in the query, which a browser sends again as it was.
///
/// # Errors
///
/// [`LastEventIdError`] if the header has no id.
///
/// # Examples
///
/// ```
/// use axum::http::{HeaderMap, HeaderValue};
/// use rangewatch_http::resume_since;
///
/// let headers = HeaderMap::from_iter([("last-event-id".parse()?, HeaderValue::from_static("7"))]);
/// let resume = resume_since(&headers)?.ok_or("there is an id")?;
/// assert_eq!((resume.since(), resume.epoch()), (8, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn resume_since(headers: &HeaderMap) -> Result<Option<Resume>, LastEventIdError> {
    const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
    let Some(id) = headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let id = id.to_str().ok().and_then(Id::parse);
    Ok(Some(id.ok_or(LastEventIdError)?.next()))
}

impl Resume {
    /// The first value that the client has yet to receive, for
    /// [`since`](rangewatch_bus::SubscribeBuilder::since).
    #[must_use]
    pub const fn since(self) -> u64 {
        self.since
    }

    /// The epoch that the value counts in, for
    /// [`epoch`](rangewatch_bus::SubscribeBuilder::epoch).
    #[must_use]
    pub const fn epoch(self) -> u64 {
        self.epoch
    }
}

impl Id {
    fn parse(text: &str) -> Option<Self> {
        let (epoch, value) = match text.split_once('-') {
            // A stream writes epoch 0 in one way only.
            Some((epoch, value)) => (parse_value(epoch).filter(|epoch| *epoch > 0)?, value),
            None => (0, text),
        };
        let value = match value {
            START => None,
            value => Some(parse_value(value)?),
        };
        Some(Self { epoch, value })
    }

    fn next(self) -> Resume {
        // The greatest value is never emitted on a bus with history: nothing follows.
        let since = self.value.map_or(0, |value| value.saturating_add(1));
        Resume {
            since,
            epoch: self.epoch,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch > 0 {
            write!(f, "{}-", self.epoch)?;
        }
        match self.value {
            Some(value) => value.fmt(f),
            None => f.write_str(START),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for (epoch, value, text) in [
            (0, None, "start"),
            (0, Some(0), "0"),
            (0, Some(u64::MAX), "18446744073709551615"),
            (1, None, "1-start"),
            (3, Some(7), "3-7"),
            (u64::MAX, Some(0), "18446744073709551615-0"),
        ] {
            assert_eq!(Id { epoch, value }.to_string(), text);
            let read = Id::parse(text).unwrap();
            assert_eq!((read.epoch, read.value), (epoch, value));
        }
        for text in [
            "", "-", "-7", "3-", "0-7", "0-start", "3-7-1", "3-+7", "+3-7", "3 7", "start-7",
        ] {
            assert!(Id::parse(text).is_none(), "{text}");
        }
    }
}
