//! The events of a watch.

use prost::Message;

use crate::history;
use crate::proto::mvccpb::{Event, event::EventType};
use crate::proto::rangewatch::etcd::{ChangesRequest, ChangesResponse};
use crate::range::View;
use crate::records::{self, KeyRange, Revision};
use crate::status::Status;
use crate::store::Store;

/// Bytes of events, of any key, after which a response ends. It bounds the time of a call whose
/// keys have few of the events.
const MAX_SCANNED_BYTES: usize = 4 << 20;

impl<S: Store> View<'_, S> {
    /// Returns the events of a range of keys and of revisions.
    pub(crate) fn changes(&self, request: &ChangesRequest) -> Result<ChangesResponse, Status> {
        if request.key.is_empty() {
            return Err(Status::EMPTY_KEY);
        }
        let mut response = ChangesResponse::default();
        if request.from < self.meta.compact {
            response.compact_revision = self.meta.compact;
            return Ok(response);
        }
        let keys = KeyRange::new(&request.key, &request.range_end);
        let first = request.from;
        let end = request.to.min(self.revision).saturating_add(1);
        let (first_change, end_change) = (Revision::first(first), Revision::first(end));
        let max_bytes = match request.max_bytes {
            ..=0 => usize::MAX,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        let (mut n_bytes, mut n_scanned_bytes) = (0, 0);
        let mut last = None;
        let mut scan = records::scan_events(self.store, first_change, end_change);
        while let Some((Revision { main, .. }, mut event)) = scan.next().map(records::event_entry) {
            let is_full = n_bytes >= max_bytes || n_scanned_bytes >= MAX_SCANNED_BYTES;
            if is_full && last != Some(main) {
                response.next = main;
                return Ok(response);
            }
            last = Some(main);
            n_scanned_bytes += event.encoded_len();
            let is_left_out = match event.r#type() {
                EventType::Put => request.no_put,
                EventType::Delete => request.no_delete,
            };
            let kv = event.kv.as_ref().expect("a record of this guest");
            if is_left_out || !keys.contains(&kv.key) {
                continue;
            }
            if request.prev_kv {
                self.fill_prev_kv(&mut event);
            }
            n_bytes += event.encoded_len();
            response.events.push(event);
        }
        response.next = end.max(first);
        Ok(response)
    }

    /// Adds the state of the key before the revision of the event, if it was present then and the
    /// revision can be read.
    fn fill_prev_kv(&self, event: &mut Event) {
        let kv = event.kv.as_ref().expect("a record of this guest");
        let before = kv.mod_revision - 1;
        if kv.create_revision != kv.mod_revision && before >= self.meta.compact {
            event.prev_kv = history::present_at(self.store, &kv.key, before);
        }
    }
}
