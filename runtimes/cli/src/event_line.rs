//! Events as lines of JSON.

use rangewatch::{Event, Selector};
use serde::Serialize;

/// `{"seq":1,"value":7,"keys":["a","b"],"selector":"prefix:a"}`
#[derive(Debug, Serialize)]
pub(crate) struct EventLine<'a> {
    #[serde(flatten)]
    pub(crate) event: &'a Event,
    pub(crate) selector: &'a Selector,
}

/// `{"lagged":3,"selector":"prefix:a"}`
#[derive(Debug, Serialize)]
pub(crate) struct LaggedLine<'a> {
    pub(crate) lagged: u64,
    pub(crate) selector: &'a Selector,
}
