//! The table of entries: the range of each, and where its value is.

use super::Handle;
use crate::KeyRange;

/// The entries of an index, each in a place of the table. A place is reused after its entry was
/// removed, with another generation, so that the handle of the removed entry stays invalid.
pub(super) struct Entries {
    places: Vec<Entry>,
    /// The place that was freed last. The others follow by `Entry::position`.
    first_free: Option<u32>,
    n_free: usize,
    /// The generation of new places: above those of the handles of places that were dropped.
    new_generation: u32,
    /// The greatest generation of a place.
    greatest_generation: u32,
    /// The steps of all operations, for the tests of what they cost.
    #[cfg(test)]
    n_steps: std::sync::atomic::AtomicUsize,
}

struct Entry {
    /// `None` in a free place.
    range: Option<KeyRange>,
    generation: u32,
    /// Where the value is, in the structure that stores it. In a free place: the next free one.
    position: u32,
}

/// Stands for no place.
const NONE: u32 = u32::MAX;

/// Places of later generations are not dropped: new places would have few generations left, and an
/// index that is often empty would use one up with each entry.
const LAST_DROPPED: u32 = u32::MAX / 2;

impl Entries {
    pub(super) const fn new() -> Self {
        Self {
            places: Vec::new(),
            first_free: None,
            n_free: 0,
            new_generation: 0,
            greatest_generation: 0,
            #[cfg(test)]
            n_steps: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// The number of entries.
    pub(super) const fn len(&self) -> usize {
        self.places.len() - self.n_free
    }

    /// The number of places, also of those that are free.
    pub(super) const fn n_places(&self) -> usize {
        self.places.len()
    }

    /// Adds an entry.
    pub(super) fn insert(&mut self, range: KeyRange) -> Handle {
        let Some(place) = self.first_free else {
            let place = u32::try_from(self.places.len())
                .ok()
                .filter(|place| *place != NONE)
                .expect("four billion entries take more memory than there is");
            let generation = self.new_generation;
            let entry = Entry {
                range: Some(range),
                generation,
                position: 0,
            };
            push_tightly(&mut self.places, entry);
            return Handle { place, generation };
        };
        let entry = &mut self.places[place as usize];
        self.first_free = Some(entry.position).filter(|next| *next != NONE);
        self.n_free -= 1;
        entry.range = Some(range);
        entry.position = 0;
        Handle {
            place,
            generation: entry.generation,
        }
    }

    /// Removes an entry, whose value was removed before.
    pub(super) fn remove(&mut self, place: u32) {
        let entry = &mut self.places[place as usize];
        entry.range = None;
        self.n_free += 1;
        // A place whose generations are used up stays free.
        if let Some(generation) = entry.generation.checked_add(1) {
            entry.generation = generation;
            entry.position = self.first_free.unwrap_or(NONE);
            self.first_free = Some(place);
            self.greatest_generation = self.greatest_generation.max(generation);
        }
        if self.len() == 0 && self.greatest_generation <= LAST_DROPPED {
            self.clear();
        }
    }

    /// Gives the memory back once there are no entries.
    #[cold]
    fn clear(&mut self) {
        // The generation of each place lies above those of its handles, which are all stale.
        self.new_generation = self.greatest_generation;
        self.places = Vec::new();
        self.first_free = None;
        self.n_free = 0;
    }

    /// The place of the entry that `handle` names; `None` if it was removed.
    pub(super) fn place_of(&self, handle: Handle) -> Option<u32> {
        let entry = self.places.get(handle.place as usize)?;
        let is_live = entry.range.is_some() && entry.generation == handle.generation;
        is_live.then_some(handle.place)
    }

    /// The range of an entry.
    #[inline]
    pub(super) fn range(&self, place: u32) -> &KeyRange {
        self.count_step();
        let range = self.places[place as usize].range.as_ref();
        range.expect("the structures name entries that exist")
    }

    pub(super) fn position(&self, place: u32) -> u32 {
        self.places[place as usize].position
    }

    pub(super) fn set_position(&mut self, place: u32, position: u32) {
        self.places[place as usize].position = position;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &KeyRange> {
        self.places.iter().filter_map(|entry| entry.range.as_ref())
    }

    /// Counts a step: the look at a range or at a node.
    #[inline]
    pub(super) fn count_step(&self) {
        #[cfg(test)]
        self.n_steps
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn n_steps(&self) -> usize {
        self.n_steps.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Adds an item to a vector that grows by a quarter, not to the double: what there is one of per
/// subscription should not be there twice.
fn push_tightly<T>(items: &mut Vec<T>, item: T) {
    insert_tightly(items, items.len(), item);
}

/// Inserts an item into a vector that grows by a quarter.
pub(crate) fn insert_tightly<T>(items: &mut Vec<T>, i: usize, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len() / 4 + 4);
    }
    items.insert(i, item);
}

/// Removes the marked items of a vector and returns them. Both vectors have no unused capacity.
pub(crate) fn split_tightly<T>(items: &mut Vec<T>, is_marked: &[bool]) -> Vec<T> {
    let n_marked = is_marked.iter().filter(|is_marked| **is_marked).count();
    let mut marked = Vec::with_capacity(n_marked);
    let mut marks = is_marked.iter();
    marked.extend(items.extract_if(.., |_| marks.next() == Some(&true)));
    items.shrink_to_fit();
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_that_are_used_up_cost_one_place() {
        let mut entries = Entries::new();
        let range = KeyRange::unbounded("k");
        let first = entries.insert(range.clone());
        entries.places[0].generation = u32::MAX - 5;
        entries.remove(first.place);
        let mut stale = Vec::new();
        for _ in 0..1_000 {
            let handle = entries.insert(range.clone());
            assert!(!stale.contains(&handle));
            entries.remove(handle.place);
            assert_eq!(entries.place_of(handle), None);
            stale.push(handle);
        }
        assert_eq!(entries.n_places(), 2);
    }
}
