//! Compaction, and the removal of what it made unreachable.

use prost::Message as _;

use crate::header;
use crate::proto::etcdserverpb::{CompactionRequest, CompactionResponse};
use crate::proto::mvccpb::event::EventType;
use crate::proto::rangewatch::etcd::ScrubResponse;
use crate::records::{self, Meta, Revision};
use crate::status::Status;
use crate::store::Store;
use crate::write::Write;

/// Changes that one call of [`scrub`] looks at, and bytes of their events after which it ends. They
/// bound the time that other writes wait for it.
const MAX_SCRUBBED_CHANGES: usize = 256;
const MAX_SCRUBBED_BYTES: usize = 1 << 20;

impl<S: Store> Write<'_, S> {
    /// Makes all revisions before one unreadable.
    pub(crate) fn compact(
        &mut self,
        request: CompactionRequest,
    ) -> Result<CompactionResponse, Status> {
        let meta = &mut self.meta;
        if request.revision <= meta.compact {
            return Err(Status::COMPACTED);
        }
        if request.revision > meta.head {
            return Err(Status::FUTURE_REVISION);
        }
        meta.compact = request.revision;
        // What was kept of the last compact revision may be removable now.
        meta.unscrubbed = Revision::first(meta.unscrubbed.main);
        meta.save(self.store);
        Ok(CompactionResponse {
            header: header::at(meta.head),
        })
    }
}

/// Removes some of the records that no read needs since the last compaction.
///
/// All changes of the compact revision itself stay, for a watch that starts there.
pub(crate) fn scrub(store: &mut impl Store) -> ScrubResponse {
    let mut meta = Meta::load(store);
    let end = Revision::first(meta.compact + 1);
    let mut scan = records::scan_events(store, meta.unscrubbed, end);
    let mut changes = Vec::new();
    let mut n_bytes = 0;
    let mut next = None;
    while let Some((revision, event)) = scan.next().map(records::event_entry) {
        if changes.len() == MAX_SCRUBBED_CHANGES || n_bytes > MAX_SCRUBBED_BYTES {
            next = Some(revision);
            break;
        }
        n_bytes += event.encoded_len();
        let is_delete = event.r#type() == EventType::Delete;
        let kv = event.kv.expect("a record of this guest");
        changes.push((revision, kv, is_delete));
    }
    for (revision, kv, is_delete) in changes {
        // Of the changes before this one only the last is left, and none before a creation. To look
        // for one that there is not would pass over all that were removed.
        let is_creation = kv.version == 1;
        let replaced = (!is_creation).then(|| records::last_change(store, &kv.key, revision));
        let replaced = replaced.flatten().map(|change| change.revision);
        for unreachable in replaced.into_iter().chain(is_delete.then_some(revision)) {
            if unreachable.main < meta.compact {
                records::forget_change(store, &kv.key, unreachable);
            }
        }
    }
    let unscrubbed = next.unwrap_or(Revision::first(meta.compact.max(0)));
    if unscrubbed != meta.unscrubbed {
        meta.unscrubbed = unscrubbed;
        meta.save(store);
    }
    ScrubResponse {
        more: next.is_some(),
    }
}
