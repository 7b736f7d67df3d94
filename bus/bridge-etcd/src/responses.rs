//! The responses of a watch as items of a log.

use etcd_client::proto::{PbEvent, PbWatchResponse};
use rangewatch_bridge::{ForeignEntry, FrameBuilder, LogError, LogItem};

use crate::error::{canceled, unexpected};
use crate::lineage::revision;
use crate::{EtcdEvent, EventKind};

/// Merges the responses of one watch.
///
/// All events of a revision are one frame. The fragments of a response are merged: a frame is
/// complete when a later revision begins, or with the last fragment. Frames name the one before
/// them: etcd leaves nothing out, so it is the last value that was delivered.
#[derive(Debug)]
pub(crate) struct Responses {
    cluster_id: u64,
    watch_id: i64,
    max_frame_bytes: usize,
    /// Values up to this one were not asked for: the watch begins with this revision, and not after
    /// it, so that etcd refuses to begin at the revision that it was compacted to.
    after: Option<u64>,
    /// The last value that was delivered, as an emit or as progress.
    position: Option<u64>,
    /// The last value that was delivered as an emit.
    emitted: Option<u64>,
    /// The revision whose events are not complete.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    revision: u64,
    /// `None` if it cannot be delivered.
    frame: Option<FrameBuilder>,
}

/// Why a watch cannot be read further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The log says so.
    Log(LogError),
    /// Another cluster has answered.
    Cluster(u64),
    /// An event lies at or below a revision that was reported as progress.
    Contradiction,
}

/// The id of responses that belong to no watch: answers to requests for progress.
const NO_WATCH: i64 = -1;

impl Responses {
    /// Reads what follows `after`, of a cluster.
    pub(crate) const fn new(cluster_id: u64, after: Option<u64>, max_frame_bytes: usize) -> Self {
        Self {
            cluster_id,
            watch_id: NO_WATCH,
            max_frame_bytes,
            after,
            position: after,
            emitted: after,
            open: None,
        }
    }

    /// Takes the response that tells that the watch has begun, or that it has not.
    pub(crate) fn begin(&mut self, response: &PbWatchResponse) -> Result<(), Stop> {
        self.check(response)?;
        if !response.created {
            return Err(Stop::Log(unexpected("no answer to a watch")));
        }
        self.watch_id = response.watch_id;
        Ok(())
    }

    /// Takes the next response, and adds what it says to `items`, also if it fails.
    pub(crate) fn take(
        &mut self,
        response: PbWatchResponse,
        items: &mut Vec<LogItem>,
    ) -> Result<(), Stop> {
        self.check(&response)?;
        if response.events.is_empty() {
            // Between the fragments of a response it says nothing, and does not end them.
            if !response.created && self.open.is_none() {
                self.progress(&response, items);
            }
            return Ok(());
        }
        for event in response.events {
            self.event(event, items)?;
        }
        if response.fragment {
            Ok(())
        } else {
            self.close(items)
        }
    }

    /// The last value that was delivered.
    pub(crate) const fn position(&self) -> Option<u64> {
        self.position
    }

    fn check(&self, response: &PbWatchResponse) -> Result<(), Stop> {
        if let Some(header) = &response.header
            && header.cluster_id != self.cluster_id
        {
            return Err(Stop::Cluster(header.cluster_id));
        }
        if let compacted @ 1.. = response.compact_revision {
            let floor = floor(compacted as u64);
            return Err(Stop::Log(LogError::Compacted { floor }));
        }
        if response.canceled {
            return Err(Stop::Log(canceled(&response.cancel_reason)));
        }
        Ok(())
    }

    fn progress(&mut self, response: &PbWatchResponse, items: &mut Vec<LogItem>) {
        let value = response.header.as_ref().map(revision);
        // A watch that begins in the future, or a member that lags, reports less.
        if value > self.position {
            items.extend(value.map(LogItem::Progress));
            self.position = value;
        }
    }

    fn event(&mut self, event: PbEvent, items: &mut Vec<LogItem>) -> Result<(), Stop> {
        let Some((kv, revision)) = event.kv.and_then(|kv| {
            let revision = u64::try_from(kv.mod_revision).ok()?;
            (revision > 0).then_some((kv, revision))
        }) else {
            return Err(Stop::Log(unexpected("an event without a revision")));
        };
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.revision != revision)
        {
            self.close(items)?;
        }
        if Some(revision) <= self.after {
            return Ok(());
        }
        if self.open.is_none() {
            let prev = if Some(revision) <= self.emitted {
                // Some versions repeat events after a member was restored. The reader counts them.
                None
            } else if Some(revision) <= self.position {
                return Err(Stop::Contradiction);
            } else {
                self.position
            };
            self.open = Some(Open {
                revision,
                frame: Some(FrameBuilder::new(prev, revision)),
            });
        }
        let kind = match event.r#type {
            0 => Some(EventKind::Put),
            1 => Some(EventKind::Delete),
            unknown => {
                let at = format!("the event of revision {revision}");
                let reason = format!("its kind, {unknown}, is not known");
                items.push(LogItem::Foreign(ForeignEntry::new(at, reason)));
                None
            }
        };
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let Some((frame, kind)) = open.frame.as_mut().zip(kind) else {
            open.frame = None;
            return Ok(());
        };
        let is_put = kind == EventKind::Put;
        let number = |number: i64| {
            if is_put {
                u64::try_from(number).unwrap_or(0)
            } else {
                0
            }
        };
        let event = EtcdEvent {
            kind,
            value: bytes::Bytes::new(),
            create_revision: number(kv.create_revision),
            mod_revision: revision,
            version: number(kv.version),
            lease: if is_put { kv.lease } else { 0 },
        };
        frame.push_with(&kv.key, |into| event.encode(&kv.value, into));
        if frame.n_bytes() > self.max_frame_bytes {
            open.frame = None;
        }
        Ok(())
    }

    /// Delivers the revision whose events are complete.
    fn close(&mut self, items: &mut Vec<LogItem>) -> Result<(), Stop> {
        let Some(Open { revision, frame }) = self.open.take() else {
            return Ok(());
        };
        let Some(frame) = frame else {
            let floor = revision.saturating_add(1);
            return Err(Stop::Log(LogError::Compacted { floor }));
        };
        items.push(LogItem::Emit(frame.finish()));
        self.position = self.position.max(Some(revision));
        self.emitted = self.emitted.max(Some(revision));
        Ok(())
    }
}

/// The least value that a log holds whose cluster was compacted to a revision.
///
/// DIFFERENCE: etcd serves a watch that begins with the revision itself. But it has lost the
/// deletions of that revision, before 3.4.34 and 3.5.16. Source: etcd, CHANGELOG-3.4 and -3.5,
/// "Keep the tombstone during compaction if it happens to be the compaction revision", pull
/// requests 18475 and 18474.
pub(crate) const fn floor(compact_revision: u64) -> u64 {
    compact_revision.saturating_add(1)
}

#[cfg(test)]
#[path = "responses_tests.rs"]
mod tests;
