//! Events as lines of JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rangewatch::Event;
use serde::Serialize;

/// `{"seq":1,"value":7,"keys":["a","b"],"selector":"prefix:a"}`
#[derive(Debug, Serialize)]
pub(crate) struct EventLine<'a> {
    seq: u64,
    value: u64,
    keys: Vec<Key<'a>>,
    selector: &'a str,
}

/// `{"lagged":3,"selector":"prefix:a"}`
#[derive(Debug, Serialize)]
pub(crate) struct LaggedLine<'a> {
    pub(crate) lagged: u64,
    pub(crate) selector: &'a str,
}

/// `"a"`, or `{"base64":"/w=="}` for a key that is not UTF-8.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Key<'a> {
    Text(&'a str),
    Bytes { base64: String },
}

impl<'a> EventLine<'a> {
    pub(crate) fn new(event: &'a Event, selector: &'a str) -> Self {
        Self {
            seq: event.seq().get(),
            value: event.value(),
            keys: event.keys().map(Key::new).collect(),
            selector,
        }
    }
}

impl<'a> Key<'a> {
    fn new(key: &'a [u8]) -> Self {
        match std::str::from_utf8(key) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Bytes {
                base64: STANDARD.encode(key),
            },
        }
    }
}
