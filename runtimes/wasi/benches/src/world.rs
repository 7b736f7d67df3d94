//! The resources of a guest, for any implementation.

use std::path::PathBuf;

use rangewatch::wasi::fs::MemoryFs;

/// The resources that an implementation grants to a guest. Clocks and randomness are always the
/// host's.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) stdin: Stdin,
    /// Descriptor 3.
    pub(crate) dir: FileLocation,
}

/// The guest's standard input.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stdin {
    /// This many bytes, which the host has in memory.
    Prepared(usize),
    /// That of the process.
    Inherited,
}

impl Default for Stdin {
    fn default() -> Self {
        Self::Prepared(0)
    }
}

/// The location of the guest's files.
#[derive(Clone, Debug, Default)]
pub(crate) enum FileLocation {
    /// No files.
    #[default]
    Nowhere,
    /// A host directory.
    Host(PathBuf),
    /// A memory filesystem, which only this crate supports.
    Memory(MemoryFs),
}

pub(crate) const ARGS: [&str; 3] = ["guest.wasm", "--verbose", "a longer argument, as paths are"];

/// Input of the requested size, shared by all implementations.
pub(crate) fn input(n_bytes: usize) -> &'static [u8] {
    static INPUT: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| vec![b'i'; MAX_INPUT]);
    &INPUT[..n_bytes]
}

/// 32 MiB.
pub(crate) const MAX_INPUT: usize = 32 << 20;

/// An implementation of WASI on an engine, with one compiled guest.
pub(crate) trait Host {
    /// Makes a context and an instance.
    fn instantiate(&self, world: &World) -> Box<dyn Guest>;
}

/// A running instance.
pub(crate) trait Guest {
    /// Calls the export `setup`, which returns an errno.
    fn setup(&mut self) -> i32;
    /// Calls the export `run`, which makes `n` calls and returns their errnos, or-ed.
    fn run(&mut self, n: u32) -> i32;
    /// The memory of the instance, if the host can access it.
    fn memory(&self) -> Option<&[u8]>;
}
