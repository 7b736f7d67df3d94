//! Answers of the server.

use bytes::Bytes;
use rangewatch_bridge::{ForeignEntry, Frame, LogError, Part};
use redis::Value;

use crate::error::unexpected;

/// The id of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) value: u64,
    pub(crate) part: u64,
}

/// An entry of a stream.
pub(crate) struct Entry {
    pub(crate) id: Id,
    /// Field, value, field, value.
    fields: Vec<Value>,
}

impl Id {
    pub(crate) fn parse(id: &Value) -> Option<Self> {
        let (value, part) = str::from_utf8(as_bytes(id)?).ok()?.split_once('-')?;
        Some(Self {
            value: value.parse().ok()?,
            part: part.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.value, self.part)
    }
}

impl Entry {
    pub(crate) fn new(id: &Value, fields: Value) -> Option<Self> {
        Some(Self {
            id: Id::parse(id)?,
            fields: into_array(fields)?,
        })
    }

    /// The entries of an answer `[[id, [field, value, ..]], ..]`.
    pub(crate) fn parse_all(entries: Value) -> Option<Vec<Self>> {
        let entries = into_array(entries)?.into_iter();
        let parse = |entry| {
            let [id, fields] = <[Value; 2]>::try_from(into_array(entry)?).ok()?;
            Self::new(&id, fields)
        };
        entries.map(parse).collect()
    }

    /// The part of a frame that it is, or why it is none.
    pub(crate) fn into_part(self) -> Result<Part, ForeignEntry> {
        let at = || self.id.to_string();
        let fields = <[Value; 2]>::try_from(self.fields);
        let Ok([Value::BulkString(field), Value::BulkString(bytes)]) = fields else {
            return Err(ForeignEntry::new(at(), "it has not one field, `k` or `p`"));
        };
        let is_last = match &*field {
            b"k" => true,
            b"p" => false,
            _ => return Err(ForeignEntry::new(at(), "it has not one field, `k` or `p`")),
        };
        Ok(Part {
            value: self.id.value,
            n: self.id.part,
            is_last,
            bytes: Bytes::from(bytes),
        })
    }

    /// Checks the last entry of a stream, whose value is taken for the head of the log.
    pub(crate) fn check_last(self) -> Result<Checked, ForeignEntry> {
        let id = self.id;
        match self.into_part() {
            Err(entry) => Err(foreign_end(id, &entry.reason)),
            Ok(part) if !part.is_last => Err(foreign_end(id, "the last parts are missing")),
            Ok(part) if part.n == 1 => match Frame::decode(part.bytes) {
                Ok(frame) if frame.value() == id.value => Ok(Checked::Frame),
                Ok(_) => Err(foreign_end(id, "it holds the emit of another value")),
                Err(error) => Err(foreign_end(id, &error.to_string())),
            },
            Ok(part) if part.n > 1 => Ok(Checked::LastPart),
            Ok(_) => Err(foreign_end(id, "parts are numbered from 1")),
        }
    }

    /// Checks the first part of the emit that ends a stream.
    pub(crate) fn check_first(self, last: Id) -> Result<(), ForeignEntry> {
        let is_first = self.id == Id { part: 1, ..last };
        let bytes = self.into_part().map(|part| part.bytes);
        match bytes.map(|bytes| Frame::peek(&bytes)) {
            Ok(Ok((_, value))) if is_first && value == last.value => Ok(()),
            _ => Err(foreign_end(last, "the first parts are missing")),
        }
    }
}

/// What the last entry of a stream is.
pub(crate) enum Checked {
    Frame,
    /// The last of several parts.
    LastPart,
}

/// An entry at the end of a stream that writers cannot continue.
pub(crate) fn foreign_end(id: Id, reason: &str) -> ForeignEntry {
    let hint = format!(
        "{reason}; remove it with XDEL, and set the last id of the stream back with XSETID"
    );
    ForeignEntry::new(id.to_string(), hint)
}

/// The elements of an answer.
pub(crate) fn into_array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

pub(crate) fn as_bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// The text of an answer.
pub(crate) fn as_text(value: &Value) -> Option<&str> {
    str::from_utf8(as_bytes(value)?).ok()
}

/// A value, or none where the answer is empty or nil.
pub(crate) fn as_value(value: Option<&Value>, what: &str) -> Result<Option<u64>, LogError> {
    match value {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => match as_text(value) {
            Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| unexpected(what)),
            None => Err(unexpected(what)),
        },
    }
}

/// Takes an element of an answer.
pub(crate) fn take(values: &mut [Value], at: usize) -> Value {
    values.get_mut(at).map_or(Value::Nil, std::mem::take)
}
