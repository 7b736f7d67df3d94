//! What a guest is given, whoever gives it.

use std::path::PathBuf;

use rangewatch::wasi::fs::MemoryFs;

/// What an implementation hands to a guest. Clocks and randomness are the host's in each.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// How much there is to read from standard input.
    pub(crate) stdin_bytes: usize,
    /// Descriptor 3.
    pub(crate) dir: Place,
}

/// Where a guest's files are.
#[derive(Clone, Debug, Default)]
pub(crate) enum Place {
    /// It has none.
    #[default]
    Nowhere,
    /// In a directory of the host.
    Host(PathBuf),
    /// In memory, which only ours knows.
    Memory(MemoryFs),
}

pub(crate) const ARGS: [&str; 3] = ["guest.wasm", "--verbose", "a longer argument, as paths are"];

/// As much input as anyone asks for, shared by all.
pub(crate) fn input(n_bytes: usize) -> &'static [u8] {
    static INPUT: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| vec![b'i'; MAX_INPUT]);
    &INPUT[..n_bytes]
}

/// 32 MiB.
pub(crate) const MAX_INPUT: usize = 32 << 20;

/// An implementation of WASI on an engine, with one compiled guest.
pub(crate) trait Host {
    /// Makes a context and an instance in it.
    fn instantiate(&self, world: &World) -> Box<dyn Guest>;
}

/// A guest that lives.
pub(crate) trait Guest {
    /// Calls the export `setup`, which answers an errno.
    fn setup(&mut self) -> i32;
    /// Calls the export `run`, which makes `n` calls and answers their errnos, or-ed.
    fn run(&mut self, n: u32) -> i32;
    /// Its memory, where the host can be asked for it.
    fn memory(&self) -> Option<&[u8]>;
}
