//! Keys as text where they are UTF-8: for `#[serde(with = "rangewatch_bus::serde::key")]`.
//!
//! The form in JSON is that of the [keys of an event](super#keys): a string, or
//! `{"base64":"/w=="}` for bytes that are not UTF-8. Formats that are not human-readable have the
//! bytes. Every key is deserialized to the same bytes.
//!
//! # Examples
//!
//! ```
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Put {
//!     #[serde(with = "rangewatch_bus::serde::key")]
//!     key: Vec<u8>,
//! }
//!
//! for (key, json) in [
//!     (&b"pods/a"[..], r#"{"key":"pods/a"}"#),
//!     (b"\xff", r#"{"key":{"base64":"/w=="}}"#),
//! ] {
//!     let put = Put { key: key.to_vec() };
//!     assert_eq!(serde_json::to_string(&put)?, json);
//!     assert_eq!(serde_json::from_str::<Put>(json)?.key, key);
//! }
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// The one field of a key that is not UTF-8.
const FIELD: &str = "base64";

/// Serializes the bytes of a key.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<K, S>(key: &K, serializer: S) -> Result<S::Ok, S::Error>
where
    K: AsRef<[u8]> + ?Sized,
    S: Serializer,
{
    let key = key.as_ref();
    if !serializer.is_human_readable() {
        return serializer.serialize_bytes(key);
    }
    if let Ok(text) = std::str::from_utf8(key) {
        return serializer.serialize_str(text);
    }
    let mut object = serializer.serialize_struct("Key", 1)?;
    object.serialize_field(FIELD, &Base64(key))?;
    object.end()
}

/// Deserializes the bytes of a key, as `Vec<u8>`, `Box<[u8]>` or another type made from a vector.
///
/// # Errors
///
/// Those of the deserializer, and an error for anything but a string or an object with the one
/// field `base64`, which holds standard base64 with padding.
pub fn deserialize<'de, K, D>(deserializer: D) -> Result<K, D::Error>
where
    K: From<Vec<u8>>,
    D: Deserializer<'de>,
{
    let key = match deserializer.is_human_readable() {
        true => deserializer.deserialize_any(KeyVisitor),
        false => deserializer.deserialize_byte_buf(KeyVisitor),
    };
    key.map(K::from)
}

/// The bytes of a key, to serialize.
pub(super) struct Key<'a>(pub(super) &'a [u8]);

impl Serialize for Key<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0, serializer)
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key: a string, or an object with the field `base64`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        Ok(text.into())
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.into())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<u8>, A::Error> {
        let mut key = None;
        while let Some(field) = map.next_key::<String>()? {
            if field != FIELD {
                return Err(de::Error::unknown_field(&field, &[FIELD]));
            }
            if key.is_some() {
                return Err(de::Error::duplicate_field(FIELD));
            }
            let text: String = map.next_value()?;
            let decoded = STANDARD.decode(&text).map_err(|error| {
                de::Error::custom(format_args!(
                    "`{FIELD}` holds no standard base64 with padding: {error}"
                ))
            })?;
            key = Some(decoded);
        }
        key.ok_or_else(|| de::Error::missing_field(FIELD))
    }
}
