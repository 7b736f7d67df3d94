//! The entries of a subscriber in the index.

use std::ops::{Deref, DerefMut};

use crate::index::Handle;

/// Handles of entries. One, the common case, is stored inline, in the space of a pointer to many.
#[derive(Default)]
pub(crate) enum Handles {
    #[default]
    None,
    One(Handle),
    #[expect(clippy::box_collection, reason = "the common cases take less memory")]
    Many(Box<Vec<Handle>>),
}

impl Deref for Handles {
    type Target = [Handle];

    fn deref(&self) -> &[Handle] {
        match self {
            Self::None => &[],
            Self::One(handle) => std::slice::from_ref(handle),
            Self::Many(handles) => handles,
        }
    }
}

impl DerefMut for Handles {
    fn deref_mut(&mut self) -> &mut [Handle] {
        match self {
            Self::None => &mut [],
            Self::One(handle) => std::slice::from_mut(handle),
            Self::Many(handles) => handles,
        }
    }
}

impl Handles {
    /// Adds a handle after the others.
    pub(crate) fn push(&mut self, handle: Handle) {
        match self {
            Self::None => *self = Self::One(handle),
            Self::One(first) => *self = Self::Many(Box::new(vec![*first, handle])),
            Self::Many(handles) => handles.push(handle),
        }
    }

    /// Removes the handle at `place`, if there is one; the last one moves there.
    pub(crate) fn swap_remove(&mut self, place: usize) -> Option<Handle> {
        let removed = *self.get(place)?;
        match self {
            Self::None | Self::One(_) => *self = Self::None,
            Self::Many(handles) => {
                handles.swap_remove(place);
                let (len, capacity) = (handles.len(), handles.capacity());
                if len == 0 {
                    *self = Self::None;
                } else if len < capacity / 4 {
                    handles.shrink_to(2 * len);
                }
            }
        }
        Some(removed)
    }
}

impl FromIterator<Handle> for Handles {
    fn from_iter<I: IntoIterator<Item = Handle>>(handles: I) -> Self {
        let mut handles = handles.into_iter();
        match (handles.next(), handles.next()) {
            (None, _) => Self::None,
            (Some(only), None) => Self::One(only),
            (first, second) => {
                let handles = first.into_iter().chain(second).chain(handles);
                Self::Many(Box::new(handles.collect()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyRange;
    use crate::index::IntervalIndex;

    /// A set of n watches would otherwise copy n handles for each insertion and removal.
    #[test]
    fn handles_are_seldom_copied_and_their_memory_is_freed() {
        let mut index = IntervalIndex::new();
        let mut expected: Vec<_> = (0..1_000)
            .map(|value| index.insert(KeyRange::key("k"), value))
            .collect();
        let mut handles = Handles::default();
        let capacity = |handles: &Handles| match handles {
            Handles::Many(handles) => handles.capacity(),
            _ => 0,
        };
        let (mut before, mut n_copies) = (0, 0);
        for &handle in &expected {
            handles.push(handle);
            let now = capacity(&handles);
            n_copies += usize::from(now != before);
            before = now;
        }
        assert!(n_copies <= 12, "{n_copies}");
        assert_eq!(handles.swap_remove(1_000), None);
        while let Some(removed) = handles.swap_remove(expected.len() / 3) {
            assert_eq!(removed, expected.swap_remove(expected.len() / 3));
            assert_eq!(*handles, expected[..]);
            let now = capacity(&handles);
            assert!(now / 4 <= handles.len());
            n_copies += usize::from(now != before);
            before = now;
        }
        assert!(expected.is_empty() && n_copies <= 24, "{n_copies}");
    }
}
