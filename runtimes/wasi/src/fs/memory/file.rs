//! Files and symbolic links of a memory filesystem.

use std::sync::{Arc, Mutex};

use super::contents::Contents;
use super::shared::{Shared, Times, lock};
use crate::Errno;
use crate::fs::{File, FileType, Metadata, SetTimes};

pub(super) struct MemoryFile {
    shared: Arc<Shared>,
    ino: u64,
    state: Mutex<FileState>,
}

struct FileState {
    contents: Contents,
    times: Times,
    n_links: u64,
}

impl MemoryFile {
    /// Makes an empty file with one hard link.
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            ino: shared.next_ino(),
            state: Mutex::new(FileState {
                contents: Contents::default(),
                times: Times::new(shared.now_ns()),
                n_links: 1,
            }),
        })
    }

    pub(super) fn ino(&self) -> u64 {
        self.ino
    }

    pub(super) fn add_link(&self) {
        let mut state = lock(&self.state);
        state.n_links += 1;
        state.times.change(self.shared.now_ns());
    }

    pub(super) fn remove_link(&self) {
        let mut state = lock(&self.state);
        state.n_links -= 1;
        state.times.change(self.shared.now_ns());
    }

    fn write(&self, buf: &[u8], offset: impl FnOnce(&Contents) -> u64) -> Result<usize, Errno> {
        if buf.is_empty() {
            return Ok(0);
        }
        let state = &mut *lock(&self.state);
        let offset = offset(&state.contents);
        let n_bytes = state.contents.write_at(&self.shared, buf, offset)?;
        state.times.modify(self.shared.now_ns());
        Ok(n_bytes)
    }
}

impl File for MemoryFile {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let mut metadata = Metadata::new(FileType::RegularFile, self.ino);
        let state = lock(&self.state);
        metadata.dev = self.shared.dev;
        metadata.n_links = state.n_links;
        metadata.size_bytes = state.contents.size_bytes();
        state.times.write_to(&mut metadata);
        Ok(metadata)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        Ok(lock(&self.state).contents.read_at(buf, offset))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, Errno> {
        self.write(buf, |_| offset)
    }

    fn append(&self, buf: &[u8]) -> Result<usize, Errno> {
        self.write(buf, Contents::size_bytes)
    }

    fn set_size(&self, size_bytes: u64) -> Result<(), Errno> {
        let state = &mut *lock(&self.state);
        state.contents.set_size(&self.shared, size_bytes)?;
        state.times.modify(self.shared.now_ns());
        Ok(())
    }

    /// Extends the file without reserving memory: holes are free.
    fn allocate(&self, offset: u64, len: u64) -> Result<(), Errno> {
        let state = &mut *lock(&self.state);
        let size_bytes = offset.checked_add(len).ok_or(Errno::Fbig)?;
        if size_bytes > state.contents.size_bytes() {
            state.contents.set_size(&self.shared, size_bytes)?;
            state.times.modify(self.shared.now_ns());
        }
        Ok(())
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        state.times.set(times, self.shared.now_ns());
        Ok(())
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        lock(&self.state).contents.release(&self.shared);
    }
}

pub(super) struct MemorySymlink {
    shared: Arc<Shared>,
    ino: u64,
    target: Box<str>,
    state: Mutex<LinkState>,
}

struct LinkState {
    times: Times,
    n_links: u64,
}

impl MemorySymlink {
    pub(super) fn new(shared: &Arc<Shared>, target: &str) -> Result<Arc<Self>, Errno> {
        shared.reserve_bytes(target.len() as u64)?;
        Ok(Arc::new(Self {
            shared: Arc::clone(shared),
            ino: shared.next_ino(),
            target: target.into(),
            state: Mutex::new(LinkState {
                times: Times::new(shared.now_ns()),
                n_links: 1,
            }),
        }))
    }

    pub(super) fn ino(&self) -> u64 {
        self.ino
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    pub(super) fn add_link(&self) {
        let mut state = lock(&self.state);
        state.n_links += 1;
        state.times.change(self.shared.now_ns());
    }

    pub(super) fn remove_link(&self) {
        let mut state = lock(&self.state);
        state.n_links -= 1;
        state.times.change(self.shared.now_ns());
    }

    pub(super) fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::new(FileType::SymbolicLink, self.ino);
        let state = lock(&self.state);
        metadata.dev = self.shared.dev;
        metadata.n_links = state.n_links;
        metadata.size_bytes = self.target.len() as u64;
        state.times.write_to(&mut metadata);
        metadata
    }

    pub(super) fn set_times(&self, times: SetTimes) {
        lock(&self.state).times.set(times, self.shared.now_ns());
    }
}

impl Drop for MemorySymlink {
    fn drop(&mut self) {
        self.shared.release_bytes(self.target.len() as u64);
    }
}
