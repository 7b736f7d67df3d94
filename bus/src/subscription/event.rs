//! Events.

use std::fmt;
use std::sync::Arc;

use crate::Seq;
use crate::emit::Record;
use crate::keys::{Escaped, KeyRanges};

/// One emit as an [`EventSubscription`](crate::EventSubscription) receives it: its value and those
/// of its keys that the subscription watches.
///
/// Clones are cheap: all events of one emit share one buffer with all keys of the emit, which
/// [`keys`](Self::keys) filters. An event therefore keeps all keys of its emit in memory.
///
/// # Examples
///
/// ```
/// use rangewatch_bus::RangeWatchBus;
///
/// let bus = RangeWatchBus::new();
/// let mut sub = bus.subscribe("a".."m").events(16)?;
/// bus.emit(7, ["b", "x", "a"])?;
/// let event = sub.try_recv()?;
/// assert_eq!((event.value(), event.seq().get()), (7, 1));
/// assert!(event.keys().eq([b"b", b"a"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Event {
    emit: Record,
    watched: Arc<KeyRanges>,
}

impl Event {
    pub(crate) const fn new(emit: Record, watched: Arc<KeyRanges>) -> Self {
        Self { emit, watched }
    }

    /// The position of the emit in the order of its bus.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.emit.seq()
    }

    /// The value of the emit.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.emit.value()
    }

    /// The keys of the emit that the subscription watches: at least one, in the order of the emit.
    /// A key that was emitted twice is returned twice.
    ///
    /// The iterator matches each key of the emit against the selectors by a binary search.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys {
            emit: &self.emit,
            next: 0,
            watched: &self.watched,
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("seq", &self.seq())
            .field("value", &self.value())
            .field("keys", &self.keys())
            .finish()
    }
}

impl PartialEq for Event {
    /// Whether the events have the same position, value and keys.
    fn eq(&self, other: &Self) -> bool {
        self.seq() == other.seq() && self.value() == other.value() && self.keys().eq(other.keys())
    }
}

impl Eq for Event {}

/// The keys of an [`Event`], from [`Event::keys`].
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, Selector};
///
/// let bus = RangeWatchBus::new();
/// let mut pods = bus.subscribe(Selector::prefix("pods/")).events(8)?;
/// bus.emit(1, ["pods/a", "nodes/n", "pods/b"])?;
/// let event = pods.try_recv()?;
/// assert!(event.keys().eq([&b"pods/a"[..], b"pods/b"])); // those that the subscription watches
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Keys<'a> {
    emit: &'a Record,
    next: usize,
    watched: &'a KeyRanges,
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let key = self.emit.key(self.next)?;
            self.next += 1;
            if self.watched.contains(key) {
                return Some(key);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.emit.n_keys() - self.next))
    }
}

impl std::iter::FusedIterator for Keys<'_> {}

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(Escaped)).finish()
    }
}
