//! Values of the embedder, by their types.

use std::any::{Any, TypeId};
use std::fmt;

/// At most one value of each type. There are few, so that a list is searched.
#[derive(Default)]
pub(crate) struct TypedValues(Vec<(TypeId, Box<dyn Any + Send>)>);

impl TypedValues {
    /// Adds a value, in place of the one of its type.
    pub(crate) fn insert<T: Send + 'static>(&mut self, value: T) {
        let ty = TypeId::of::<T>();
        self.0.retain(|(known, _)| *known != ty);
        self.0.push((ty, Box::new(value)));
    }

    pub(crate) fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        let ty = TypeId::of::<T>();
        let (_, value) = self.0.iter_mut().find(|(known, _)| *known == ty)?;
        value.downcast_mut()
    }

    pub(crate) fn take<T: 'static>(&mut self) -> Option<T> {
        let ty = TypeId::of::<T>();
        let index = self.0.iter().position(|(known, _)| *known == ty)?;
        let (_, value) = self.0.swap_remove(index);
        value.downcast().ok().map(|value| *value)
    }
}

impl fmt::Debug for TypedValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedValues")
            .field("n_values", &self.0.len())
            .finish()
    }
}
