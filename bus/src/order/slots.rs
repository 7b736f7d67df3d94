//! The table of subscribers.

use std::ops::{Index, IndexMut};

use super::Slot;

/// The subscribers of a bus, each in a place of the table. A place is reused after its subscriber
/// was removed.
pub(crate) struct Slots<P> {
    places: Vec<Option<Slot<P>>>,
    free: Vec<usize>,
    /// How many places were visited, for the tests of what an emit costs.
    #[cfg(test)]
    pub(crate) n_visits: std::cell::Cell<usize>,
}

impl<P> Slots<P> {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            #[cfg(test)]
            n_visits: std::cell::Cell::new(0),
        }
    }

    /// The number of subscribers.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The number of places, also of those that are free.
    pub(crate) fn n_places(&self) -> usize {
        self.places.len()
    }

    /// A free place, which the next call returns again unless it is used.
    pub(crate) fn free_place(&mut self) -> usize {
        if let Some(&place) = self.free.last() {
            return place;
        }
        self.grow();
        self.places.push(None);
        self.free.push(self.places.len() - 1);
        self.places.len() - 1
    }

    /// Makes room for a place. The table grows by a sixteenth, where a vector doubles: a place is
    /// large, and each subscription has one.
    fn grow(&mut self) {
        let n = self.places.len();
        if n == self.places.capacity() {
            self.places.reserve_exact(n / 16 + 4);
        }
    }

    /// Puts a subscriber into the [free place](Self::free_place).
    pub(crate) fn insert(&mut self, slot: Slot<P>) {
        if let Some(place) = self.free.pop() {
            self.places[place] = Some(slot);
        }
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<Slot<P>> {
        let slot = self.places[place].take()?;
        self.free.push(place);
        Some(slot)
    }

    /// The subscribers from the place `start` on, up to the place `end`.
    pub(crate) fn range(&self, start: usize, end: usize) -> impl Iterator<Item = &Slot<P>> {
        let places = self.places.get(start..end).unwrap_or_default();
        places.iter().inspect(|_| self.count_visit()).flatten()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot<P>> {
        self.range(0, self.places.len())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot<P>> {
        #[cfg(test)]
        self.n_visits.set(self.n_visits.get() + self.places.len());
        self.places.iter_mut().flatten()
    }

    fn count_visit(&self) {
        #[cfg(test)]
        self.n_visits.set(self.n_visits.get() + 1);
    }
}

impl<P> IntoIterator for Slots<P> {
    type Item = Slot<P>;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Option<Slot<P>>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.places.into_iter().flatten()
    }
}

impl<P> Index<usize> for Slots<P> {
    type Output = Option<Slot<P>>;

    #[inline]
    fn index(&self, place: usize) -> &Option<Slot<P>> {
        self.count_visit();
        &self.places[place]
    }
}

impl<P> IndexMut<usize> for Slots<P> {
    #[inline]
    fn index_mut(&mut self, place: usize) -> &mut Option<Slot<P>> {
        self.count_visit();
        &mut self.places[place]
    }
}
