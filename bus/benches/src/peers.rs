//! The message that other channels carry instead of an emit.

use std::ops::Range;
use std::sync::Arc;

/// An emit as a message of a channel: copied once, shared by all receivers.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) value: u64,
    pub(crate) keys: Arc<[Box<[u8]>]>,
}

impl Message {
    pub(crate) fn new(value: u64, keys: &[impl AsRef<[u8]>]) -> Self {
        Self {
            value,
            keys: keys.iter().map(|key| key.as_ref().into()).collect(),
        }
    }

    /// Whether a receiver that watches `ranges`, sorted and disjoint, matches the message.
    pub(crate) fn matches(&self, ranges: &[Range<Vec<u8>>]) -> bool {
        self.keys.iter().any(|key| {
            let n_below = ranges.partition_point(|range| *range.start <= **key);
            n_below > 0 && **key < *ranges[n_below - 1].end
        })
    }
}

/// A message with the payload of its key.
#[derive(Clone, Debug)]
pub(crate) struct Loaded<P> {
    pub(crate) message: Message,
    pub(crate) payload: P,
}
