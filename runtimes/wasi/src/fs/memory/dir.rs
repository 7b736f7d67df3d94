//! Directories of a memory filesystem.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, Mutex, Weak};

use super::device::MemoryDevice;
use super::file::{MemoryFile, MemorySymlink};
use super::shared::{Shared, Times, lock};
use crate::Errno;
use crate::costs::ANCESTOR;
use crate::fs::{
    Create, Dir, DirEntry, File, FileType, Metadata, Node, OpenOptions, ReadDir, SetTimes, add_work,
};
use crate::limits::MAX_ANCESTORS;

pub(super) struct MemoryDir {
    shared: Arc<Shared>,
    weak_self: Weak<Self>,
    ino: u64,
    state: Mutex<DirState>,
}

struct DirState {
    /// A tree: a hash table would be rehashed within one call of the guest when it grows, and would
    /// keep its capacity, which is not charged, when the guest empties it.
    by_name: BTreeMap<Arc<str>, Entry>,
    /// The names in the order of their creation. A listing resumes after the number of its last
    /// entry, so entries that are created or removed meanwhile do not shift it.
    by_creation: BTreeMap<u64, Arc<str>>,
    next_number: u64,
    /// The parent directory; none for the root and for a removed directory.
    parent: Weak<MemoryDir>,
    n_dirs: u64,
    /// A removed directory refuses new entries, which nobody could reach.
    removed: bool,
    times: Times,
}

struct Entry {
    number: u64,
    node: MemoryNode,
}

#[derive(Clone)]
pub(super) enum MemoryNode {
    Dir(Arc<MemoryDir>),
    File(Arc<MemoryFile>),
    Device(Arc<MemoryDevice>),
    Symlink(Arc<MemorySymlink>),
}

impl MemoryNode {
    fn ino(&self) -> u64 {
        match self {
            Self::Dir(dir) => dir.ino,
            Self::File(file) => file.ino(),
            Self::Device(device) => device.ino(),
            Self::Symlink(link) => link.ino(),
        }
    }

    fn file_type(&self) -> FileType {
        match self {
            Self::Dir(_) => FileType::Directory,
            Self::File(_) => FileType::RegularFile,
            Self::Device(_) => FileType::CharacterDevice,
            Self::Symlink(_) => FileType::SymbolicLink,
        }
    }

    fn to_node(&self) -> Node {
        match self {
            Self::Dir(dir) => Node::Dir(Arc::clone(dir) as Arc<dyn Dir>),
            Self::File(file) => Node::File(Arc::clone(file) as Arc<dyn File>),
            Self::Device(device) => Node::File(Arc::clone(device) as Arc<dyn File>),
            Self::Symlink(link) => Node::Symlink(link.target().to_owned()),
        }
    }

    /// Decrements the hard link count.
    fn remove_link(&self) {
        match self {
            // Neither has a hard link count.
            Self::Dir(_) | Self::Device(_) => {}
            Self::File(file) => file.remove_link(),
            Self::Symlink(link) => link.remove_link(),
        }
    }
}

impl DirState {
    fn get(&self, name: &str) -> Result<&MemoryNode, Errno> {
        match self.by_name.get(name) {
            Some(entry) => Ok(&entry.node),
            None => Err(Errno::Noent),
        }
    }

    fn insert(&mut self, name: &str, node: MemoryNode, now_ns: u64) {
        let number = self.next_number;
        self.next_number += 1;
        self.n_dirs += u64::from(matches!(node, MemoryNode::Dir(_)));
        let name: Arc<str> = name.into();
        self.by_creation.insert(number, Arc::clone(&name));
        self.by_name.insert(name, Entry { number, node });
        self.times.modify(now_ns);
    }

    fn remove(&mut self, name: &str, now_ns: u64) -> Result<MemoryNode, Errno> {
        let entry = self.by_name.remove(name).ok_or(Errno::Noent)?;
        self.by_creation.remove(&entry.number);
        self.n_dirs -= u64::from(matches!(entry.node, MemoryNode::Dir(_)));
        self.times.modify(now_ns);
        Ok(entry.node)
    }
}

impl MemoryDir {
    pub(super) fn root(shared: Shared) -> Arc<Self> {
        Self::new(&Arc::new(shared), Weak::new())
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn new(shared: &Arc<Shared>, parent: Weak<Self>) -> Arc<Self> {
        let state = DirState {
            by_name: BTreeMap::new(),
            by_creation: BTreeMap::new(),
            next_number: 0,
            parent,
            n_dirs: 0,
            removed: false,
            times: Times::new(shared.now_ns()),
        };
        Arc::new_cyclic(|weak_self| Self {
            shared: Arc::clone(shared),
            weak_self: Weak::clone(weak_self),
            ino: shared.next_ino(),
            state: Mutex::new(state),
        })
    }

    /// Adds a device: a file of another filesystem.
    pub(super) fn add_device(&self, name: &str, file: Arc<dyn File>) -> Result<(), Errno> {
        self.insert_new(name, || {
            Ok(MemoryNode::Device(MemoryDevice::new(&self.shared, file)))
        })
    }

    /// Inserts the result of `make` under a name that does not exist.
    fn insert_new(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<MemoryNode, Errno>,
    ) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        self.insert_new_into(&mut state, name, make)
    }

    fn insert_new_into(
        &self,
        state: &mut DirState,
        name: &str,
        make: impl FnOnce() -> Result<MemoryNode, Errno>,
    ) -> Result<(), Errno> {
        if state.by_name.contains_key(name) {
            return Err(Errno::Exist);
        }
        if state.removed {
            return Err(Errno::Noent);
        }
        self.shared.reserve_entry()?;
        let node = make().inspect_err(|_| self.shared.release_entries(1))?;
        state.insert(name, node, self.shared.now_ns());
        Ok(())
    }

    /// Whether `other` is this directory or one of its ancestors. The caller holds the tree lock.
    fn is_in(&self, other: &Self) -> Result<bool, Errno> {
        let mut dir = self.weak_self.upgrade();
        let mut n_ancestors = 0;
        while let Some(this) = dir {
            if std::ptr::eq(&*this, other) {
                return Ok(true);
            }
            add_work(ANCESTOR);
            n_ancestors += 1;
            if n_ancestors > MAX_ANCESTORS {
                return Err(Errno::Nametoolong);
            }
            dir = lock(&this.state).parent.upgrade();
        }
        Ok(false)
    }
}

/// Downcasts a directory of the filesystem `shared`.
fn same_fs<'a>(dir: &'a dyn Dir, shared: &Arc<Shared>) -> Result<&'a MemoryDir, Errno> {
    match dir.as_any().downcast_ref::<MemoryDir>() {
        Some(dir) if Arc::ptr_eq(&dir.shared, shared) => Ok(dir),
        _ => Err(Errno::Xdev),
    }
}

impl Dir for MemoryDir {
    fn metadata(&self) -> Result<Metadata, Errno> {
        let mut metadata = Metadata::new(FileType::Directory, self.ino);
        let state = lock(&self.state);
        metadata.dev = self.shared.dev;
        metadata.n_links = if state.removed { 0 } else { 2 + state.n_dirs };
        metadata.size_bytes = state.by_name.len() as u64;
        state.times.write_to(&mut metadata);
        Ok(metadata)
    }

    fn lookup(&self, name: &str) -> Result<Node, Errno> {
        lock(&self.state).get(name).map(MemoryNode::to_node)
    }

    fn read_dir(&self) -> Result<ReadDir, Errno> {
        let dir = self.weak_self.upgrade().ok_or(Errno::Noent)?;
        Ok(Box::new(Entries {
            dir,
            after: Bound::Unbounded,
        }))
    }

    fn open(&self, name: &str, options: OpenOptions) -> Result<Node, Errno> {
        let mut state = lock(&self.state);
        match state.get(name) {
            Ok(_) if options.create == Create::New => Err(Errno::Exist),
            Ok(MemoryNode::Dir(_)) if options.write || options.truncate => Err(Errno::Isdir),
            Ok(MemoryNode::Dir(_)) if options.create != Create::Never => Err(Errno::Isdir),
            Ok(MemoryNode::File(_) | MemoryNode::Device(_)) if options.directory => {
                Err(Errno::Notdir)
            }
            Ok(node) => {
                let node = node.clone();
                drop(state);
                match &node {
                    MemoryNode::File(file) if options.truncate => file.set_size(0)?,
                    _ => {}
                }
                Ok(node.to_node())
            }
            Err(Errno::Noent) if options.create != Create::Never => {
                let file = MemoryFile::new(&self.shared);
                let node = MemoryNode::File(Arc::clone(&file));
                self.insert_new_into(&mut state, name, || Ok(node))?;
                Ok(Node::File(file))
            }
            Err(errno) => Err(errno),
        }
    }

    fn metadata_at(&self, name: &str) -> Result<Metadata, Errno> {
        let node = lock(&self.state).get(name)?.clone();
        match node {
            MemoryNode::Dir(dir) => dir.metadata(),
            MemoryNode::File(file) => file.metadata(),
            MemoryNode::Device(device) => device.metadata(),
            MemoryNode::Symlink(link) => Ok(link.metadata()),
        }
    }

    fn create_dir(&self, name: &str) -> Result<(), Errno> {
        self.insert_new(name, || {
            let dir = Self::new(&self.shared, Weak::clone(&self.weak_self));
            Ok(MemoryNode::Dir(dir))
        })
    }

    fn symlink(&self, name: &str, target: &str) -> Result<(), Errno> {
        self.insert_new(name, || {
            MemorySymlink::new(&self.shared, target).map(MemoryNode::Symlink)
        })
    }

    fn link(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = same_fs(to, &self.shared)?;
        // Rename, remove and link exclude each other, so the name cannot be removed in between.
        let _tree = self.shared.lock_tree();
        let node = lock(&self.state).get(name)?.clone();
        to.insert_new(to_name, || {
            match &node {
                MemoryNode::Dir(_) => return Err(Errno::Perm),
                MemoryNode::File(file) => file.add_link(),
                MemoryNode::Device(_) => {}
                MemoryNode::Symlink(link) => link.add_link(),
            }
            Ok(node.clone())
        })
    }

    fn rename(&self, name: &str, to: &dyn Dir, to_name: &str) -> Result<(), Errno> {
        let to = same_fs(to, &self.shared)?;
        let _tree = self.shared.lock_tree();
        let node = lock(&self.state).get(name)?.clone();
        if let MemoryNode::Dir(dir) = &node {
            if to.is_in(dir)? {
                return Err(Errno::Inval);
            }
        }
        let there = lock(&to.state).get(to_name).ok().cloned();
        if let Some(MemoryNode::Dir(there)) = &there {
            // Linux returns this errno whenever the destination is an ancestor of the source.
            if self.is_in(there)? {
                return Err(Errno::Notempty);
            }
        }
        // Names are removed only under the tree lock, so the result of the lookup stays valid. The
        // destination is checked and changed under one lock.
        let mut target = lock(&to.state);
        if target.removed {
            return Err(Errno::Noent);
        }
        let now_ns = self.shared.now_ns();
        if let Ok(replaced) = target.get(to_name).cloned() {
            match (&node, &replaced) {
                _ if replaced.ino() == node.ino() => return Ok(()),
                (MemoryNode::Dir(_), MemoryNode::Dir(there)) => there.mark_removed()?,
                (MemoryNode::Dir(_), _) => return Err(Errno::Notdir),
                (_, MemoryNode::Dir(_)) => return Err(Errno::Isdir),
                _ => {}
            }
            target.remove(to_name, now_ns)?;
            self.shared.release_entries(1);
            replaced.remove_link();
        }
        target.insert(to_name, node.clone(), now_ns);
        drop(target);
        lock(&self.state).remove(name, now_ns)?;
        if let MemoryNode::Dir(dir) = &node {
            lock(&dir.state).parent = Weak::clone(&to.weak_self);
        }
        Ok(())
    }

    fn remove_file(&self, name: &str) -> Result<(), Errno> {
        let _tree = self.shared.lock_tree();
        let mut state = lock(&self.state);
        if let MemoryNode::Dir(_) = state.get(name)? {
            return Err(Errno::Isdir);
        }
        let node = state.remove(name, self.shared.now_ns())?;
        self.shared.release_entries(1);
        drop(state);
        node.remove_link();
        Ok(())
    }

    fn remove_dir(&self, name: &str) -> Result<(), Errno> {
        let _tree = self.shared.lock_tree();
        let mut state = lock(&self.state);
        let MemoryNode::Dir(dir) = state.get(name)? else {
            return Err(Errno::Notdir);
        };
        dir.mark_removed()?;
        state.remove(name, self.shared.now_ns())?;
        self.shared.release_entries(1);
        Ok(())
    }

    fn set_times(&self, times: SetTimes) -> Result<(), Errno> {
        lock(&self.state).times.set(times, self.shared.now_ns());
        Ok(())
    }

    fn set_times_at(&self, name: &str, times: SetTimes) -> Result<(), Errno> {
        let node = lock(&self.state).get(name)?.clone();
        match node {
            MemoryNode::Dir(dir) => dir.set_times(times),
            MemoryNode::File(file) => file.set_times(times),
            MemoryNode::Device(device) => device.set_times(times),
            MemoryNode::Symlink(link) => {
                link.set_times(times);
                Ok(())
            }
        }
    }
}

impl MemoryDir {
    /// Marks an empty directory as removed, before its name is removed. The caller holds the tree
    /// lock.
    fn mark_removed(&self) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        if !state.by_name.is_empty() {
            return Err(Errno::Notempty);
        }
        state.removed = true;
        state.parent = Weak::new();
        Ok(())
    }

    /// Removes all entries, and returns the subdirectories among them.
    ///
    /// The order is that of the names, so that it is the same in each run: files that are open
    /// elsewhere are dated by a clock that may advance per reading.
    fn take_subdirs(&self) -> Vec<Arc<Self>> {
        let mut state = lock(&self.state);
        self.shared.release_entries(state.by_name.len() as u64);
        state.by_creation.clear();
        mem::take(&mut state.by_name)
            .into_values()
            .map(|entry| entry.node)
            .filter_map(|node| match node {
                MemoryNode::Dir(dir) => Some(dir),
                other => {
                    other.remove_link();
                    None
                }
            })
            .collect()
    }
}

/// Drops subdirectories iteratively. A recursive drop would overflow the host's stack when a guest
/// nests directories deeply.
impl Drop for MemoryDir {
    fn drop(&mut self) {
        let mut orphans = self.take_subdirs();
        // A subdirectory that is still open keeps its entries until it is closed.
        while let Some(orphan) = orphans.pop() {
            if let Some(dir) = Arc::into_inner(orphan) {
                orphans.append(&mut dir.take_subdirs());
            }
        }
    }
}

struct Entries {
    dir: Arc<MemoryDir>,
    after: Bound<u64>,
}

impl Iterator for Entries {
    type Item = Result<DirEntry, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        let state = lock(&self.dir.state);
        let (number, name) = state
            .by_creation
            .range((self.after, Bound::Unbounded))
            .next()?;
        self.after = Bound::Excluded(*number);
        let node = state.get(name).ok()?;
        Some(Ok(DirEntry::new(&**name, node.file_type(), node.ino())))
    }
}
