//! Payloads as JSON.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// How the payload of a key is written as JSON; `None` if the keys have none.
pub(crate) type Payloads<P> = Option<Arc<WritePayload<P>>>;

type WritePayload<P> =
    dyn Fn(&[u8], &P, PayloadWriter<'_>) -> Result<(), serde_json::Error> + Send + Sync;

/// Takes the JSON of one payload, in the function given to
/// [`payloads`](crate::EventStreamsBuilder::payloads). If nothing is written, the payload is
/// `null`.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use rangewatch_http::EventStreams;
///
/// struct Order { customer: String, n_items: u32 }
///
/// let streams: EventStreams<Arc<Order>> = EventStreams::builder()
///     .payloads(|_key, order: &Arc<Order>, json| json.write(&(&order.customer, order.n_items)))
///     .build();
/// ```
#[must_use = "a payload that is not written is null"]
pub struct PayloadWriter<'a>(&'a mut Vec<u8>);

impl PayloadWriter<'_> {
    /// Writes `value` as the JSON of the payload. Of an `Arc` write what it points to, as in
    /// `json.write(&**order)`: an `Arc` itself is serialized only with the feature `rc` of serde.
    ///
    /// # Errors
    ///
    /// That of `value`, for example a map whose keys are no strings.
    pub fn write<T: Serialize + ?Sized>(self, value: &T) -> Result<(), serde_json::Error> {
        serde_json::to_writer(self.0, value)
    }
}

impl fmt::Debug for PayloadWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadWriter")
    }
}

/// Appends the JSON of a payload, in one line: a line feed would end the data of the event.
pub(crate) fn append<P>(
    out: &mut Vec<u8>,
    write: &WritePayload<P>,
    key: &[u8],
    payload: &P,
) -> Result<(), serde_json::Error> {
    let start = out.len();
    write(key, payload, PayloadWriter(out))?;
    if out.len() == start {
        out.extend_from_slice(b"null");
    }
    // Raw JSON of the service may have line breaks, which are white space there: those within
    // strings are escaped.
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    Ok(())
}
