//! The names of a log.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The stream of a log, and its subject. The name of the bus is encoded, because it may hold what
/// names of streams may not.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) stream: String,
    pub(crate) subject: String,
}

impl Names {
    pub(crate) fn new(bus: &str) -> Self {
        let bus = URL_SAFE_NO_PAD.encode(bus);
        Self {
            stream: format!("rangewatch_{bus}"),
            subject: format!("rangewatch.{bus}"),
        }
    }
}
