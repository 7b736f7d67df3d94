//! An emit as queues and histories hold it.

use crate::Seq;
use crate::key_list::KeyList;

/// An emit that waits: in the queue of a subscription, or in the history.
#[derive(Clone)]
pub(crate) struct Queued {
    pub(crate) seq: Seq,
    pub(crate) value: u64,
    pub(crate) keys: KeyList,
}
