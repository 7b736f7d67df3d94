//! Items of a subscription as server-sent events.

use std::fmt;
use std::io::Write as _;

use rangewatch_bus::{Event, Item, RecvError, Span};

use crate::id::Id;
use crate::payload::{self, Payloads};

/// Appends server-sent events to a buffer.
///
/// An event is appended whole, `id` included, or not at all, and a client ignores one that is cut
/// off: it has an id only if it has everything up to that value.
pub(crate) struct Encoder<P> {
    pub(crate) payloads: Payloads<P>,
    /// The epoch of the ids. `None` on a bus without history: no client can resume after an id.
    pub(crate) epoch: Option<u64>,
}

impl<P> Encoder<P> {
    pub(crate) fn item(&self, out: &mut Vec<u8>, item: &Item<P>) {
        match item {
            Item::Event(event) => self.event(out, event),
            Item::Gap(span) => self.gap(out, *span),
            Item::Progress(value) => self.progress(out, Some(*value)),
            // An item of a later version of the bus.
            _ => {}
        }
    }

    /// Appends the miss or the end that `error` reports.
    pub(crate) fn error(&self, out: &mut Vec<u8>, error: RecvError) {
        match error {
            RecvError::Lagged(missed) => {
                // Without an id: a client that resumes receives what the history still has.
                self.named(
                    out,
                    "lagged",
                    None,
                    format_args!(r#"{{"lagged":{missed}}}"#),
                );
            }
            RecvError::Coalesced(span) => self.gap(out, span),
            RecvError::Disconnected { resume } => {
                let data = format_args!(r#"{{"disconnected":{{"resume":{resume}}}}}"#);
                self.named(out, "disconnected", self.id(resume.checked_sub(1)), data);
            }
            RecvError::Compacted { floor, epoch } => self.compacted(out, floor, epoch),
            RecvError::Closed => self.closed(out, None),
            other => {
                let text = serde_json::Value::from(other.to_string());
                self.named(out, "ended", None, format_args!(r#"{{"ended":{text}}}"#));
            }
        }
    }

    /// The id is that before the floor, so that a client that reconnects resumes with the floor
    /// and is not refused again.
    pub(crate) fn compacted(&self, out: &mut Vec<u8>, floor: u64, epoch: u64) {
        let data = format_args!(r#"{{"compacted":{{"floor":{floor},"epoch":{epoch}}}}}"#);
        let value = floor.checked_sub(1);
        self.named(out, "compacted", Some(Id { epoch, value }), data);
    }

    pub(crate) fn closed(&self, out: &mut Vec<u8>, reason: Option<&str>) {
        let reason = serde_json::Value::from(reason);
        let data = format_args!(r#"{{"closed":{{"reason":{reason}}}}}"#);
        self.named(out, "closed", None, data);
    }

    pub(crate) fn shutdown(&self, out: &mut Vec<u8>) {
        self.named(
            out,
            "shutdown",
            None,
            format_args!(r#"{{"shutdown":{{}}}}"#),
        );
    }

    /// A mark; `None` before anything was emitted.
    pub(crate) fn progress(&self, out: &mut Vec<u8>, value: Option<u64>) {
        let mark = serde_json::Value::from(value);
        let data = format_args!(r#"{{"progress":{mark}}}"#);
        self.named(out, "progress", self.id(value), data);
    }

    fn gap(&self, out: &mut Vec<u8>, gap: Span) {
        self.head(out, Some("gap"), self.id(Some(gap.last())));
        out.extend_from_slice(br#"data: {"coalesced":"#);
        // Numbers and booleans: this does not fail.
        let _ = serde_json::to_writer(&mut *out, &gap);
        out.extend_from_slice(b"}\n\n");
    }

    /// A payload that cannot be written is reported in place of the event, not left out: the client
    /// would take the keys that remain for the whole event.
    fn event(&self, out: &mut Vec<u8>, event: &Event<P>) {
        let start = out.len();
        self.head(out, None, self.id(Some(event.value())));
        out.extend_from_slice(b"data: ");
        match self.line(out, event) {
            Ok(()) => out.extend_from_slice(b"\n\n"),
            Err(error) => {
                out.truncate(start);
                let value = event.value();
                let text = serde_json::Value::from(error.to_string());
                let data = format_args!(r#"{{"failed":{{"value":{value},"error":{text}}}}}"#);
                self.named(out, "failed", self.id(Some(value)), data);
            }
        }
    }

    fn line(&self, out: &mut Vec<u8>, event: &Event<P>) -> Result<(), serde_json::Error> {
        let (seq, value) = (event.seq().get(), event.value());
        append(
            out,
            format_args!(r#"{{"seq":{seq},"value":{value},"keys":"#),
        );
        serde_json::to_writer(&mut *out, &event.keys())?;
        if let Some(write) = &self.payloads {
            out.extend_from_slice(br#","payloads":["#);
            for (i, (key, payload)) in event.entries().enumerate() {
                comma(out, i);
                payload::append(out, &**write, key, payload)?;
            }
            out.push(b']');
        }
        out.push(b'}');
        Ok(())
    }

    fn named(&self, out: &mut Vec<u8>, name: &str, id: Option<Id>, data: fmt::Arguments<'_>) {
        self.head(out, Some(name), id);
        append(out, format_args!("data: {data}\n\n"));
    }

    fn id(&self, value: Option<u64>) -> Option<Id> {
        self.epoch.map(|epoch| Id { epoch, value })
    }

    fn head(&self, out: &mut Vec<u8>, name: Option<&str>, id: Option<Id>) {
        if let Some(name) = name {
            append(out, format_args!("event: {name}\n"));
        }
        if let Some(id) = id {
            append(out, format_args!("id: {id}\n"));
        }
    }
}

fn comma(out: &mut Vec<u8>, place: usize) {
    if place > 0 {
        out.push(b',');
    }
}

/// Writing to a `Vec` does not fail.
fn append(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}
