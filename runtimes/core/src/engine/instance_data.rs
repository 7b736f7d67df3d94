//! Data of the embedder for one instance.

use std::any::{Any, TypeId};
use std::fmt;

/// At most one value of each type. There are few, so that a list is searched.
#[derive(Default)]
pub(crate) struct InstanceData(Vec<(TypeId, Box<dyn Any + Send>)>);

impl InstanceData {
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
}

impl fmt::Debug for InstanceData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceData")
            .field("n_values", &self.0.len())
            .finish()
    }
}
