//! The exported functions of a module, by number.

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

/// The exported functions of a module, sorted by name.
pub(crate) struct Exports(Box<[(Box<str>, FuncType)]>);

impl Exports {
    pub(crate) fn of(info: &ModuleInfo) -> Self {
        let funcs = info.funcs();
        let funcs = funcs.filter_map(|name| Some((name.into(), info.func(name)?.clone())));
        let mut funcs: Box<[(Box<str>, FuncType)]> = funcs.collect();
        funcs.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self(funcs)
    }

    pub(crate) fn find<'a>(&self, name: &'a str) -> Option<(Export<'a>, &FuncType)> {
        let found = self.0.binary_search_by(|(known, _)| (**known).cmp(name));
        let index = found.ok()?;
        Some((Export { name, index }, &self.0[index].1))
    }

    /// The names, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }
}
