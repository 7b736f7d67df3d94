//! The entries of a subscriber in the index.

use std::ops::{Deref, DerefMut};

use crate::index::Handle;

/// Handles of entries. One, the common case, is stored inline, in the space of a pointer to many.
pub(crate) enum Handles {
    One(Handle),
    Many(Box<[Handle]>),
}

impl Default for Handles {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl Deref for Handles {
    type Target = [Handle];

    fn deref(&self) -> &[Handle] {
        match self {
            Self::One(handle) => std::slice::from_ref(handle),
            Self::Many(handles) => handles,
        }
    }
}

impl DerefMut for Handles {
    fn deref_mut(&mut self) -> &mut [Handle] {
        match self {
            Self::One(handle) => std::slice::from_mut(handle),
            Self::Many(handles) => handles,
        }
    }
}

impl Handles {
    /// Adds a handle after the others.
    pub(crate) fn push(&mut self, handle: Handle) {
        *self = self.iter().copied().chain([handle]).collect();
    }

    /// Removes the handle at `place`, if there is one; the last one moves there.
    pub(crate) fn swap_remove(&mut self, place: usize) -> Option<Handle> {
        let (&last, others) = self.split_last()?;
        let removed = *self.get(place)?;
        let mut left: Vec<_> = others.to_vec();
        if let Some(moved) = left.get_mut(place) {
            *moved = last;
        }
        *self = left.into_iter().collect();
        Some(removed)
    }
}

impl FromIterator<Handle> for Handles {
    fn from_iter<I: IntoIterator<Item = Handle>>(handles: I) -> Self {
        let mut handles = handles.into_iter();
        match (handles.next(), handles.next()) {
            (Some(only), None) => Self::One(only),
            (first, second) => Self::Many(first.into_iter().chain(second).chain(handles).collect()),
        }
    }
}
