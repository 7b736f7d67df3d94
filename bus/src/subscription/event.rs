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
pub struct Event<P = ()> {
    emit: Record<P>,
    watched: Arc<KeyRanges>,
}

impl<P> Event<P> {
    pub(crate) const fn new(emit: Record<P>, watched: Arc<KeyRanges>) -> Self {
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
    pub fn keys(&self) -> Keys<'_, P> {
        Keys {
            emit: &self.emit,
            next: 0,
            watched: &self.watched,
        }
    }

    /// The [keys](Self::keys), each with the payload that it was emitted with.
    ///
    /// # Examples
    ///
    /// ```
    /// use rangewatch_bus::RangeWatchBus;
    ///
    /// let bus = RangeWatchBus::builder().payloads::<f64>().build()?;
    /// let mut sub = bus.subscribe("a".."m").events(16)?;
    /// bus.emit_with(7, [("b", 0.5), ("x", 1.5), ("a", 2.5)])?;
    /// let event = sub.try_recv()?;
    /// assert!(event.entries().eq([(&b"b"[..], &0.5), (b"a", &2.5)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn entries(&self) -> Entries<'_, P> {
        Entries(self.keys())
    }
}

impl<P> Clone for Event<P> {
    fn clone(&self) -> Self {
        Self {
            emit: self.emit.clone(),
            watched: Arc::clone(&self.watched),
        }
    }
}

impl<P> fmt::Debug for Event<P> {
    /// Shows no payloads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("seq", &self.seq())
            .field("value", &self.value())
            .field("keys", &self.keys())
            .finish()
    }
}

impl<P: PartialEq> PartialEq for Event<P> {
    /// Whether the events have the same position, value, keys and payloads.
    fn eq(&self, other: &Self) -> bool {
        self.seq() == other.seq()
            && self.value() == other.value()
            && self.entries().eq(other.entries())
    }
}

impl<P: Eq> Eq for Event<P> {}

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
pub struct Keys<'a, P = ()> {
    emit: &'a Record<P>,
    next: usize,
    watched: &'a KeyRanges,
}

impl<'a, P> Keys<'a, P> {
    /// The next key that is watched, and its place among all keys of the emit.
    fn next_place(&mut self) -> Option<(usize, &'a [u8])> {
        loop {
            let place = self.next;
            let key = self.emit.key(place)?;
            self.next += 1;
            if self.watched.contains(key) {
                return Some((place, key));
            }
        }
    }
}

impl<'a, P> Iterator for Keys<'a, P> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.next_place().map(|(_, key)| key)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.emit.n_keys() - self.next))
    }
}

impl<P> Clone for Keys<'_, P> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<P> std::iter::FusedIterator for Keys<'_, P> {}

impl<P> fmt::Debug for Keys<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(Escaped)).finish()
    }
}

/// The keys and payloads of an [`Event`], from [`Event::entries`].
///
/// # Examples
///
/// ```
/// use rangewatch_bus::{RangeWatchBus, Selector};
///
/// let bus = RangeWatchBus::builder().payloads::<&str>().build()?;
/// let mut pods = bus.subscribe(Selector::prefix("pods/")).events(8)?;
/// bus.emit_with(1, [("pods/a", "ready"), ("nodes/n", "gone")])?;
/// for (key, payload) in pods.try_recv()?.entries() {
///     assert_eq!((key, *payload), (&b"pods/a"[..], "ready"));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Entries<'a, P>(Keys<'a, P>);

impl<'a, P> Iterator for Entries<'a, P> {
    type Item = (&'a [u8], &'a P);

    fn next(&mut self) -> Option<(&'a [u8], &'a P)> {
        let (place, key) = self.0.next_place()?;
        Some((key, self.0.emit.payloads().get(place)?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<P> Clone for Entries<'_, P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P> std::iter::FusedIterator for Entries<'_, P> {}

impl<P> fmt::Debug for Entries<'_, P> {
    /// Shows no payloads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
