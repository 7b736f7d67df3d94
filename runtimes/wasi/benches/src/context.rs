//! This crate's context for a world, the same on both engines.

use std::path::Path;

use rangewatch::wasi::fs::{Access, HostDir, MemoryFs};
use rangewatch::wasi::{
    SharedBuffer, Stdin as Input, SystemClock, SystemRandom, Wasi, WasiBuilder,
};

use crate::world::{ARGS, FileLocation, Stdin, World, input};

pub(crate) fn ours(world: &World) -> Wasi {
    let stdin = match world.stdin {
        Stdin::Prepared(n_bytes) => Input::bytes(input(n_bytes)),
        Stdin::Inherited => Input::inherit(),
    };
    let builder = Wasi::builder()
        .args(ARGS)
        .clock(SystemClock::new())
        .random(SystemRandom::new())
        .stdin(stdin)
        .stdout(SharedBuffer::new());
    match &world.dir {
        FileLocation::Nowhere => builder.build(),
        FileLocation::Host(path) => with_host_dir(builder, path),
        FileLocation::Memory(fs) => with_memory_fs(builder, fs),
    }
    .unwrap()
}

/// Builds a context with one host directory.
pub(crate) fn build_with_host_dir(path: &Path) -> Wasi {
    with_host_dir(Wasi::builder().args(ARGS), path).unwrap()
}

/// Builds a context with one existing memory filesystem.
pub(crate) fn build_with_memory_fs(fs: &MemoryFs) -> Wasi {
    with_memory_fs(Wasi::builder().args(ARGS), fs).unwrap()
}

type Built = Result<Wasi, rangewatch::wasi::WasiBuildError>;

fn with_host_dir(builder: WasiBuilder, path: &Path) -> Built {
    let dir = HostDir::open(path).unwrap();
    builder.preopen("/", dir, Access::ReadWrite).build()
}

fn with_memory_fs(builder: WasiBuilder, fs: &MemoryFs) -> Built {
    let dir = fs.clone();
    builder.preopen("/", dir, Access::ReadWrite).build()
}
