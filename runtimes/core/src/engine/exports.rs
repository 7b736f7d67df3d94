//! The exported functions of a module, by number.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::engine::module::ModuleInfo;
use crate::engine::val::FuncType;

/// An exported function of a guest, for a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a backend reads both fields")]
pub struct Export<'a> {
    /// The name.
    pub name: &'a str,
    /// The number of the export, from 0: the same for each instance of a linked module, so that a
    /// backend can keep what it has looked up in a list.
    pub index: usize,
}

/// The exported functions of a module, with their numbers.
pub(crate) struct Exports(HashMap<Box<str>, (usize, FuncType), RandomState>);

impl Exports {
    pub(crate) fn of(info: &ModuleInfo) -> Self {
        let funcs = info.funcs();
        let funcs = funcs.enumerate();
        let funcs = funcs.filter_map(|(index, name)| {
            let ty = info.func(name)?.clone();
            Some((name.into(), (index, ty)))
        });
        Self(funcs.collect())
    }

    #[inline]
    pub(crate) fn find<'a>(&self, name: &'a str) -> Option<(Export<'a>, &FuncType)> {
        let (index, ty) = self.0.get(name)?;
        let index = *index;
        Some((Export { name, index }, ty))
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }
}
