//! The exported functions of a module, by number.

use std::collections::{BinaryHeap, HashMap};

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

    /// The first `n` names, sorted, and the number of the others. Those that begin with `__` are
    /// for hosts, and are left out.
    pub(crate) fn first(&self, n: usize) -> (Vec<&str>, usize) {
        let names = self.0.keys().map(|name| &**name);
        let (mut first, mut n_names) = (BinaryHeap::new(), 0);
        for name in names.filter(|name| !name.starts_with("__")) {
            n_names += 1;
            first.push(name);
            if first.len() > n {
                first.pop();
            }
        }
        let first = first.into_sorted_vec();
        let n_more = n_names - first.len();
        (first, n_more)
    }
}
